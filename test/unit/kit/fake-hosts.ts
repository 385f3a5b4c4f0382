/** Remote hosts on real worker threads with fake actors; see fake-worker.ts for what they answer. */
import { Writable } from "node:stream";
import { type Logger, pino } from "pino";
import type { OpenOptions } from "../../../src/api.js";
import type { ConfigInput, HostInput } from "../../../src/config/input.js";
import { loadSettings } from "../../../src/config/load.js";
import { RemoteHosts } from "../../../src/remote-hosts.js";

export const FAKE_ENTRY = new URL("./fake-worker.js", import.meta.url);

/** A host that nothing connects to. */
export const HOST = { address: "mail.example.org", port: 25, protocol: "smtp", lookup: true } as const;

export async function openFakeHosts(
  remote: Record<string, Partial<HostInput>>,
  runtime: ConfigInput["runtime"] = {},
  options: OpenOptions = {},
  entry: URL = FAKE_ENTRY,
): Promise<RemoteHosts> {
  const hosts: Record<string, HostInput> = {};
  for (const [id, host] of Object.entries(remote)) {
    hosts[id] = { ...HOST, ...host };
  }
  const settings = await loadSettings({ remote: hosts, runtime: { start: "eager", ...runtime } });
  return RemoteHosts.start(settings, { logger: silentLogger(), ...options }, entry);
}

function silentLogger(): Logger {
  return pino({ level: "silent" });
}

/** A log that can be awaited. */
export class RecordedLog {
  readonly records: Record<string, unknown>[] = [];
  readonly logger: Logger;
  private wake: () => void = () => {};

  constructor(level = "debug") {
    const destination = new Writable({
      write: (chunk, _encoding, done) => {
        this.records.push(JSON.parse(String(chunk)) as Record<string, unknown>);
        this.wake();
        done();
      },
    });
    this.logger = pino({ level }, destination);
  }

  /** The first record of the event that stands behind `from`. */
  async event(event: string, from = 0): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.records.slice(from).find((record) => record.event === event);
      if (found !== undefined) {
        return found;
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}
