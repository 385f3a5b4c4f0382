/** A daemon in front of strict servers on loopback, from the text of a configuration. Serves the tests of src/serve/. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { pino } from "pino";
import { Daemon } from "../../../../src/serve/daemon.js";
import type { ListenAddress } from "../../../../src/serve/listen-address.js";
import { listenImap, listenMail, type StrictServer } from "../../../../src/testing/index.js";

/** One record of the daemon's log. */
export type LogRecord = Readonly<Record<string, unknown>> & { readonly event: string; readonly msg: string };

/** What a test needs of a daemon. */
export class House implements AsyncDisposable {
  readonly records: LogRecord[] = [];
  readonly file: string;
  private wake: () => void = () => {};
  daemon!: Daemon;

  private constructor(
    readonly folder: string,
    readonly lmtp: StrictServer,
    readonly imap: StrictServer,
  ) {
    this.file = join(folder, "serve.toml");
  }

  /** @param tables the configuration below the hosts `lmtp` and `imap`; `FOLDER` in it is a folder of the test's own */
  static async open(tables: string, options: Parameters<typeof listenMail>[0] = {}): Promise<House> {
    const lmtp = await listenMail({
      protocol: "lmtp",
      recipients: ["ann@example.org", "bob@example.org", "cy@example.org"],
      capabilities: { smtpUtf8: true, size: true },
      overrides: [
        { on: "RCPT", match: /later@/, reply: "450 4.2.1 later" },
        { on: "RCPT", match: /full@/, reply: "552 5.2.2 over quota" },
        { on: "RCPT", match: /off@/, reply: "550 5.2.1 switched off" },
      ],
      ...options,
    });
    const imap = await listenImap({ users: { ann: "right" } });
    const house = new House(mkdtempSync(join(tmpdir(), "relaypost-serve-")), lmtp, imap);
    house.write(tables);
    try {
      await house.start();
    } catch (error) {
      await house[Symbol.asyncDispose]();
      throw error;
    }
    return house;
  }

  private async start(): Promise<void> {
    const stream = new Writable({
      write: (line, _encoding, done) => {
        this.records.push(JSON.parse(String(line)) as LogRecord);
        this.wake();
        done();
      },
    });
    this.daemon = await Daemon.start(this.file, pino({ level: "debug", base: null }, stream));
  }

  /** Ends the daemon and starts another, for settings that a reload does not take. */
  async restart(): Promise<void> {
    await this.daemon.close(0);
    await this.start();
  }

  /** Writes the configuration anew, without reloading it. */
  write(tables: string): void {
    const { lmtp, imap } = this;
    const host = (id: string, server: StrictServer) => `
[remote.${id}]
address = "${server.address}"
port = ${server.port}
protocol = "${id}"
lookup = true
tls = { implicit = false, starttls = "disable" }
auth = { allow-plaintext = true }
limits = { errors = 1000, requests = 100000 }
# Servers here are told to say something else of a recipient from one message to the next.
cache = { learn = false }
`;
    // The machine's own name may be worth a warning.
    const runtime = '\n[runtime]\nhostname = "gateway.example.org"\n';
    const text = `${host("lmtp", lmtp)}${host("imap", imap)}${tables.replaceAll("FOLDER", this.folder)}${runtime}`;
    writeFileSync(this.file, text);
  }

  address(name: string): ListenAddress {
    return this.daemon.addressOf(name)!;
  }

  connect(name: string): Client {
    return new Client(connectTo(this.address(name)));
  }

  /** A client of a gateway's listener, past its greeting and EHLO; LHLO where the listener speaks LMTP. */
  async greet(name: string, hello: "EHLO" | "LHLO" = "EHLO"): Promise<Client> {
    const client = this.connect(name);
    await client.until(/^220 .*\r\n/m);
    await client.ask(`${hello} client.test`);
    return client;
  }

  /** The first record of an event, as soon as there is one. */
  async event(event: string): Promise<LogRecord> {
    for (;;) {
      const found = this.records.find((record) => record.event === event);
      if (found !== undefined) {
        return found;
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon?.close(0);
    await this.lmtp.close();
    await this.imap.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function connectTo(address: ListenAddress): Socket {
  const options = address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
  return connect({ ...options, allowHalfOpen: true });
}

/** A client that says what it is told to. */
export class Client implements Disposable {
  #received = "";
  #isEnded = false;
  #wake: () => void = () => {};

  constructor(readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on("data", (chunk) => {
      this.#received += chunk.toString();
      this.#wake();
    });
    for (const event of ["end", "close", "error"]) {
      socket.on(event, () => {
        this.#isEnded = true;
        this.#wake();
      });
    }
  }

  say(data: string | Uint8Array): this {
    this.socket.write(data);
    return this;
  }

  /** Says a line of SMTP or LMTP; the last line of the reply. */
  async ask(line: string): Promise<string> {
    return (await this.say(`${line}\r\n`).until(/^\d{3} .*\r\n/m)).trim().split("\r\n").at(-1)!;
  }

  /** Says each line when the one before it was answered; the last lines of the replies. */
  async converse(...lines: readonly string[]): Promise<string[]> {
    const replies: string[] = [];
    for (const line of lines) {
      replies.push(await this.ask(line));
    }
    return replies;
  }

  /** Everything received up to the end of the first match, as soon as there is one; the next call looks at what comes after it. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.#received);
      if (match !== null) {
        const end = match.index + match[0].length;
        const taken = this.#received.slice(0, end);
        this.#received = this.#received.slice(end);
        return taken;
      }
      if (this.#isEnded) {
        throw new Error(`closed after ${JSON.stringify(this.#received)}, waiting for ${pattern}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Everything that was not taken, when the server has closed. */
  async rest(): Promise<string> {
    while (!this.#isEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
