/** A host's cache through changes of its settings and through restarts: whose answers it knows then. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostSettings } from "../../../src/config/settings.js";
import type { CacheFiles } from "../../../workers/host/cache-files.js";
import { lookupKey } from "../../../workers/host/cache-keys.js";
import { HostCache } from "../../../workers/host/host-cache.js";
import type { World } from "../../../workers/world.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const KEY = lookupKey("rcpt", "anna@example.org");

/** One host under some settings after the other; its file stays. */
function restarts() {
  let text: string | undefined;
  const clock = new VirtualClock();
  const files: CacheFiles = {
    read: async () => {
      const lines = text?.trimEnd().split("\n");
      return lines === undefined
        ? undefined
        : (async function* () {
            yield* lines;
          })();
    },
    write: async (_path, chunks) => {
      text = "";
      for await (const chunk of chunks) {
        text += chunk;
      }
    },
  };
  const world = { clock, randomBytes: (count: number) => new Uint8Array(count) } as unknown as World;
  return async (details: Partial<HostSettings> = {}): Promise<HostCache> => {
    const { cache } = smtpSettings();
    const kept = { ...cache, entries: 10, positiveTtlMs: 60_000, negativeTtlMs: 60_000, file: "cache" };
    const settings = smtpSettings({ cache: kept, ...details });
    const storage = { files, unixMs: () => 1_700_000_000_000 + clock.now() };
    const host = new HostCache({ settings, world, log: { write() {} }, marks: undefined, storage });
    await new Promise((resolve) => setImmediate(resolve));
    return host;
  };
}

describe("a host's cache after a restart", () => {
  it("knows what it knew, whatever else has changed", async () => {
    const restart = restarts();
    const first = await restart();
    first.answers.put(KEY, { found: false, values: [], reply: { code: 550, text: "no" } });
    await first.close();
    assert.equal((await restart({ concurrency: 3 })).answers.get(KEY)?.answer.found, false);
  });

  it("knows nothing where the host is another one, or its replies mean something else", async () => {
    for (const details of [
      { address: "192.0.2.9" },
      { auth: { username: "gw", secret: "x" } },
      { replies: [{ to: "rcpt", code: 550, meaning: "no-answer" }] },
    ] as Partial<HostSettings>[]) {
      const restart = restarts();
      const first = await restart();
      first.answers.put(KEY, { found: false, values: [], reply: { code: 550, text: "no" } });
      await first.close();
      assert.equal((await restart(details)).answers.get(KEY), undefined, JSON.stringify(details));
    }
  });
});
