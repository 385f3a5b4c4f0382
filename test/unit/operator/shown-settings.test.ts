/** The configuration in force as people see it: in the words of the file, and without what is secret. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadSettings } from "../../../src/config/load.js";
import { HOST_SCHEMA } from "../../../src/config/schema.js";
import { showSettings } from "../../../src/operator/shown-settings.js";

async function shown(host: object): Promise<Map<string, string>> {
  const settings = await loadSettings({
    remote: { x: { address: "192.0.2.1", port: 25, protocol: "smtp", ...host } },
  } as Parameters<typeof loadSettings>[0]);
  return new Map(showSettings(settings.hosts.get("x")!, true));
}

describe("the configuration that is shown", () => {
  it("has the keys of the file", async () => {
    const keys = [
      ...(
        await shown({
          lookup: true,
          "source-address": "192.0.2.7",
          auth: { username: "gw", secret: "hunter2" },
          limits: { rate: "10/s", "per-user": 2, recipients: 100 },
          lookups: { "catch-all": "detect", harvest: { unknown: 20, window: "10m", ratio: 0.8 } },
          cache: { file: "x.cache", "by-client": true, ttl: { positive: "2h" } },
        })
      ).keys(),
    ];
    const known = new Set(["id", "lookups.harvest.unknown", "lookups.harvest.window", "lookups.harvest.ratio"]);
    assert.deepEqual(
      keys.filter((key) => !known.has(key) && !Object.hasOwn(HOST_SCHEMA, key)),
      [],
    );
  });

  it("has its values as one would write them", async () => {
    const all = await shown({ limits: { rate: "10/s", idle: "90s" }, timeouts: { "data-block": "3m" } });
    const some = [
      "timeout",
      "limits.idle",
      "timeouts.data-block",
      "limits.rate",
      "limits.rate-burst",
      "cache.stale-if-error",
    ];
    assert.deepEqual(
      some.map((key) => all.get(key)),
      ["1m", "90s", "3m", "10/s", "10", "0"],
    );
  });

  it("has no secret", async () => {
    const all = await shown({ auth: { username: "gw", secret: "hunter2" } });
    assert.equal(all.get("auth.secret"), "given, not shown");
    assert.ok(![...all.values()].some((value) => value.includes("hunter2")));
  });
});
