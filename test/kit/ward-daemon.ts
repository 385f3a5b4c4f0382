/** A daemon whose hosts are those of a ward, asked through a socketmap listener of its own. Serves the tests of the operator's faces. */
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import type { Diagnosis } from "../../src/operator/report.js";
import { Daemon } from "../../src/serve/daemon.js";
import { netstring } from "../../src/serve/netstring.js";
import type { Patient, Ward } from "./ward.js";

export class WardDaemon<W extends Ward> implements AsyncDisposable {
  private constructor(
    readonly ward: W,
    readonly daemon: Daemon,
    readonly file: string,
  ) {}

  /**
   * @param ward it is closed with the daemon
   * @param listeners tables of `[serve]` beside `http` and `map`; `FOLDER` in them is the ward's
   */
  static async open<W extends Ward>(ward: W, listeners = ""): Promise<WardDaemon<W>> {
    const file = join(ward.folder, "serve.toml");
    const own = `
[serve.http]
protocol = "http"
listen = "127.0.0.1:0"

[serve.map]
protocol = "socketmap"
listen = "unix:FOLDER/map"
limits = { pipeline = 10000 }
`;
    writeFileSync(file, `${ward.tables}${own}${listeners}`.replaceAll("FOLDER", ward.folder));
    const daemon = await Daemon.start(file, pino({ level: "silent" }));
    return new WardDaemon(ward, daemon, file);
  }

  /** `http://127.0.0.1:31337`. */
  get url(): string {
    const address = this.daemon.addressOf("http");
    if (address?.kind !== "tcp") {
      throw new Error("the http listener is not on a port");
    }
    return `http://${address.host}:${address.port}`;
  }

  /** Begins to ask. */
  begin(): void {
    const clients = new Map(this.ward.patients.map(({ id }) => [id, connect(join(this.ward.folder, "map"))]));
    for (const client of clients.values()) {
      client.resume().on("error", () => {});
    }
    this.ward.begin((hostId, recipient) => clients.get(hostId)!.write(netstring(`${hostId}-rcpt ${recipient}`)));
  }

  /** Begins to ask; resolves when each patient's diagnosis was the one that it was made for. */
  async sicken(): Promise<void> {
    this.begin();
    await this.diagnosed(this.ward.patients);
  }

  /** Resolves when the diagnosis of each of them was the one that it was made for. */
  async diagnosed(patients: readonly Patient[]): Promise<void> {
    const seen = new Set<string>();
    for (const endMs = Date.now() + 150_000; Date.now() < endMs; ) {
      const diagnoses = await this.diagnoses();
      for (const { id, cause } of patients) {
        if (diagnoses.get(id)?.cause === cause) {
          seen.add(id);
        }
      }
      if (seen.size === patients.length) {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const diagnoses = await this.diagnoses();
    const others = patients.filter(({ id }) => !seen.has(id));
    const found = others.map(({ id, cause }) => `${id}: ${JSON.stringify(diagnoses.get(id))}, not ${cause}`);
    throw new Error(`the diagnosis is another one:\n${found.join("\n")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon.close(0);
    await this.ward[Symbol.asyncDispose]();
  }

  private async diagnoses(): Promise<Map<string, Diagnosis>> {
    const { hosts } = (await (await fetch(`${this.url}/reports`)).json()) as {
      hosts: { id: string; diagnosis: Diagnosis }[];
    };
    return new Map(hosts.map(({ id, diagnosis }) => [id, diagnosis]));
  }
}
