/**
 * Hosts that are sick of the causes that the diagnosis knows (sick-hosts.ts), on loopback. Serves the tests of whoever shows it (page,
 * `top`, `ctl`), and the pictures in the docs.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import type { DiagnosisCause } from "../../src/operator/report.js";
import {
  type Certificate,
  listenMail,
  makeCertificate,
  ScriptedServer,
  type StrictServer,
  strictMailService,
} from "../../src/testing/index.js";
import { SICK_HOSTS } from "./sick-hosts.js";
import { answer, TokenServer } from "./token-server.js";
import { type Ask, hostTables, type Patient, RECIPIENT_DOMAIN, type Ward } from "./ward.js";

/** The healthy one is asked when the others have settled: on a busy machine their beginning would make it slow. */
const CALM_TICKS = 20;
/** Ticks, four a second, from one absence to the next. */
const FLAP_TICKS = 80;

type MailOptions = Parameters<typeof listenMail>[0];

/** The password of the account that `locked` refuses; whoever shows it has betrayed it. */
export const ACCOUNT_SECRET = "kanarienvogel-7f3a";
export const PLAIN = 'tls = { implicit = false, starttls = "disable" }';
/** Slow answers to one another, and connections that live through them. */
export const ONE_BY_ONE = `${PLAIN}\nlimits = { pipeline = 1, errors = 1000, requests = 100000 }`;
/** Hosts whose thread is taken away, and how often. */
const LOSSES: Readonly<Partial<Record<DiagnosisCause, number>>> = { "worker-lost": 2, "worker-failed": 3 };

export class SickWard implements Ward {
  readonly patients: Patient[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), "relaypost-ward-"));
  private readonly servers: { close(): Promise<void> }[] = [];
  private readonly workers: Worker[] = [];
  private late!: StrictServer;
  private timer: NodeJS.Timeout | undefined;
  private asked = 0;
  private isLosing = false;

  static async open(): Promise<SickWard> {
    const ward = new SickWard();
    process.on("worker", ward.noteWorker);
    await ward.admitUnreachable();
    await ward.admitInsecure();
    await ward.admitUnwilling();
    await ward.admitOverworked();
    await ward.admitHealthy();
    return ward;
  }

  get tables(): string {
    // Each host's thread is started with the ward, in the order of the hosts: see noteWorker.
    return `[runtime]\nrestarts = 2\nstart = "eager"\n${hostTables(this.patients)}`;
  }

  /** Asks of each host what it is asked, from now on; and takes the threads of two of them away. */
  begin(ask: Ask): void {
    const tick = (): void => {
      this.asked++;
      for (const { id, rate, cause } of this.patients) {
        if (cause === "healthy" && this.asked < CALM_TICKS) {
          continue;
        }
        const count = rate >= 1 ? rate / 4 : this.asked === 1 ? rate * 4 : 0;
        for (let number = 0; number < count; number++) {
          ask(id, `ann${this.asked}-${number}@${RECIPIENT_DOMAIN}`);
        }
      }
      // One host is away for a moment, again and again.
      if (this.asked % FLAP_TICKS === 1) {
        this.late.refuse();
      } else if (this.asked % FLAP_TICKS === 6) {
        void this.late.accept();
      }
    };
    tick();
    this.timer = setInterval(tick, 250);
    void this.loseWorkers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.timer);
    process.off("worker", this.noteWorker);
    await Promise.all(this.servers.map((server) => server.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Each host has a thread of its own; they are started in the order of the hosts. */
  private readonly noteWorker = (worker: Worker): void => {
    this.workers.push(worker);
    if (this.isLosing) {
      void worker.terminate();
    }
  };

  /** One after the other: whoever is started next takes the place of the one that was lost. */
  private async loseWorkers(): Promise<void> {
    const lost = this.patients.flatMap(({ cause }, at) => {
      const losses = LOSSES[cause];
      return losses === undefined ? [] : [{ worker: this.workers[at]!, losses }];
    });
    for (const { worker, losses } of lost) {
      let current = worker;
      for (let loss = 1; loss <= losses; loss++) {
        // The last host's thread is lost as often as it is tried again.
        this.isLosing = loss === losses && worker === lost.at(-1)!.worker;
        const successor = once(process, "worker") as Promise<[Worker]>;
        await current.terminate();
        if (this.isLosing) {
          return;
        }
        [current] = await successor;
        await once(current, "online");
      }
    }
  }

  private admit(cause: DiagnosisCause, patient: Pick<Patient, "keys" | "port"> & Partial<Patient>): void {
    this.patients.push({ address: '"127.0.0.1"', rate: 4, cause, ...SICK_HOSTS[cause], ...patient });
  }

  private async serve(options: MailOptions): Promise<StrictServer> {
    const server = await listenMail({ protocol: "lmtp", keep: "nothing", ...options });
    this.servers.push(server);
    return server;
  }

  private pem(name: string, text: string): string {
    const file = join(this.folder, name);
    writeFileSync(file, text);
    return file;
  }

  private async admitUnreachable(): Promise<void> {
    const closed = createServer().listen(0, "127.0.0.1");
    await once(closed, "listening");
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    this.admit("unreachable", { keys: PLAIN, port });
    const { port: other } = await this.serve({});
    this.admit("address-down", {
      address: `[{ address = "127.0.0.1" }, { address = "127.0.0.1", port = ${other} }]`,
      keys: `${PLAIN}\nlimits = { errors = 1000, requests = 100000 }`,
      port,
    });
    this.admit("dns", { address: '"mx.nowhere.invalid"', keys: PLAIN, port: 24 });
  }

  private async admitInsecure(): Promise<void> {
    const secured = async (cause: DiagnosisCause, certificate: Certificate, trusts: boolean) => {
      const { port } = await this.serve({ startTls: certificate });
      const ca = trusts ? `, ca = "${this.pem(`${cause}.pem`, certificate.ca)}"` : "";
      this.admit(cause, { keys: `tls = { implicit = false${ca} }`, port });
    };
    const [expired, misnamed, unknown] = await Promise.all([
      makeCertificate({ kind: "expired" }),
      makeCertificate({ kind: "wrong-name" }),
      makeCertificate({ kind: "own-ca" }),
    ]);
    await secured("tls-expired", expired, true);
    await secured("tls-name", misnamed, true);
    await secured("tls-unknown-ca", unknown, false);
    const { port } = await this.serve({});
    this.admit("tls-failed", { keys: "", port });
    this.admit("tls-missing", { keys: "tls = { implicit = false }", port });
  }

  private async admitUnwilling(): Promise<void> {
    const strict = await this.serve({ users: { gateway: "right" }, requireAuth: true });
    const account = `auth = { username = "gateway", secret = "${ACCOUNT_SECRET}", allow-plaintext = true }`;
    this.admit("account-refused", { keys: `${PLAIN}\n${account}`, port: strict.port });
    const tokens = await TokenServer.listen();
    tokens.always = answer(401, { error: "invalid_client", error_description: "the secret has expired" });
    this.servers.push({ close: () => tokens[Symbol.asyncDispose]() });
    const oauth2 = `{ token-url = "${tokens.url}", client-id = "gateway", client-secret = "${ACCOUNT_SECRET}" }`;
    this.admit("token-server", {
      keys: `${PLAIN}\nauth = { username = "gateway", oauth2 = ${oauth2} }`,
      port: strict.port,
    });
    const greeting = async (cause: DiagnosisCause, reply: string | string[], keys = "") => {
      const { port } = await this.serve({
        overrides: [reply.length > 0 ? { on: "greeting", reply, afterwards: "close" } : { on: "greeting", reply }],
      });
      this.admit(cause, { keys: `${PLAIN}\n${keys}`, port });
    };
    await greeting("blocked", "554 5.7.1 Service unavailable; client blocked using zen.spamhaus.org");
    await greeting("refused-at-greeting", "421 4.3.2 shutting down");
    await greeting("protocol", "HTTP/1.1 400 Bad Request");
    await greeting("hung", [], 'timeouts = { greeting = "500ms" }');
    const judge = strictMailService({ protocol: "lmtp", keep: "nothing", overrides: [slow(700)] });
    const narrow: ScriptedServer = await ScriptedServer.listen(async (peer) => {
      if (narrow.open > 2) {
        await peer.reply("421 4.7.0 Too many connections from you");
        peer.close();
      } else {
        await judge.script(peer);
      }
    });
    this.servers.push(narrow);
    this.admit("too-many-connections", { keys: ONE_BY_ONE, port: narrow.port, rate: 8 });
  }

  private async admitOverworked(): Promise<void> {
    const crowd = await this.serve({ overrides: [slow(400)] });
    this.admit("overloaded", { keys: `concurrency = 2\n${ONE_BY_ONE}`, port: crowd.port, rate: 40 });
    const lame = await this.serve({ overrides: [slow(1_600)] });
    this.admit("slow", { keys: ONE_BY_ONE, port: lame.port });
    const { port } = await this.serve({});
    const limits = 'limits = { rate = "2/s", errors = 1000, requests = 100000 }';
    this.admit("rate-limited", { keys: `${PLAIN}\n${limits}`, port, rate: 8 });
    this.admit("worker-lost", { keys: PLAIN, port });
    this.admit("worker-failed", { keys: PLAIN, port });
  }

  private async admitHealthy(): Promise<void> {
    this.late = await this.serve({});
    this.admit("recovering", { keys: `${PLAIN}\nlimits = { lifetime = "1s" }`, port: this.late.port });
    const { port } = await this.serve({});
    this.admit("idle", { keys: PLAIN, port, rate: 0 });
    this.admit("healthy", {
      keys: `${PLAIN}\nlimits = { errors = 1000, requests = 100000 }`,
      port,
      rate: 120,
    });
  }
}

/** Each RCPT is answered so late. */
export function slow(ms: number) {
  return { on: "RCPT", waitFor: () => delay(ms), reply: "250 2.1.5 OK" };
}
