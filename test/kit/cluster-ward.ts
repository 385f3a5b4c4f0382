/**
 * Hosts that several gateways share over a real Redis: one whose places are all taken, and one of a gateway that is cut off from Redis.
 * Serves the tests of whoever shows what is wrong. The other gateway is the ward's own.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { DiagnosisCause } from "../../src/operator/report.js";
import { RemoteHosts } from "../../src/remote-hosts.js";
import { listenMail, type StrictServer } from "../../src/testing/index.js";
import { RedisServer } from "../cluster/kit/redis-server.js";
import { SICK_HOSTS } from "./sick-hosts.js";
import { ONE_BY_ONE, slow } from "./sick-ward.js";
import { type Ask, hostTables, type Patient, RECIPIENT_DOMAIN, type Ward } from "./ward.js";

export class ClusterWard implements Ward {
  readonly patients: Patient[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), "relaypost-cluster-ward-"));
  private other: RemoteHosts | undefined;
  private timer: NodeJS.Timeout | undefined;
  private asked = 0;

  private constructor(
    private readonly redis: RedisServer,
    private readonly server: StrictServer,
  ) {}

  static async open(): Promise<ClusterWard> {
    const server = await listenMail({ protocol: "lmtp", keep: "nothing", overrides: [slow(300)] });
    const ward = new ClusterWard(await RedisServer.start(), server);
    ward.admit("waiting-for-place", 2, 40);
    ward.admit("cluster-lost", 8, 4);
    const file = join(ward.folder, "other.toml");
    writeFileSync(file, ward.tables);
    ward.other = await RemoteHosts.open(file, { logger: pino({ level: "silent" }) });
    return ward;
  }

  get tables(): string {
    return `[cluster]\nurl = "${this.redis.url}"\nname = "ward"\nlease = "2s"\ntimeout = "1s"\n${hostTables(this.patients)}`;
  }

  /** Asks of both gateways. */
  begin(ask: Ask): void {
    this.timer = setInterval(() => {
      this.asked++;
      for (const { id, rate } of this.patients) {
        for (let number = 0; number < rate / 4; number++) {
          const recipient = `ann${this.asked}-${number}@${RECIPIENT_DOMAIN}`;
          ask(id, recipient);
          this.other!.host(id)
            .verifyRecipient(recipient)
            .catch(() => {});
        }
      }
    }, 250);
  }

  /** Redis is gone for both. */
  async cutOff(): Promise<void> {
    await this.redis.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.timer);
    await this.other?.close({ drainMs: 0 });
    await Promise.all([this.server.close(), this.redis.close()]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private admit(cause: DiagnosisCause, places: number, rate: number): void {
    const keys = `${ONE_BY_ONE}\ncluster = { concurrency = ${places} }`;
    this.patients.push({ ...SICK_HOSTS[cause], cause, keys, rate, address: '"127.0.0.1"', port: this.server.port });
  }
}
