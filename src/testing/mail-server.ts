/**
 * The strict servers with a ledger: SMTP, LMTP and IMAP on loopback. For tests that need a correct server that records everything;
 * `script` lets a scripted server pass its connections on to it.
 */
import type { ImapSessionOptions } from "./imap-options.js";
import { ImapSession } from "./imap-session.js";
import { Ledger, type LedgerConnection } from "./ledger.js";
import type { MailSessionOptions } from "./mail-options.js";
import { MailSession } from "./mail-session.js";
import { type Override, Overrides } from "./overrides.js";
import type { Peer } from "./peer.js";
import { type ListenOptions, ScriptedServer } from "./scripted-server.js";

type Serve = (peer: Peer, overrides: Overrides, ledger: Ledger, record: LedgerConnection) => Promise<void>;

/** A server that keeps the rules, unless it is ordered not to, and records everything. Not yet listening: a script for a {@link ScriptedServer}. */
export class Judge {
  readonly ledger = new Ledger();
  readonly #overrides: Overrides;
  readonly #serve: Serve;

  /** Use {@link smtpJudge} or {@link imapJudge}. */
  constructor(serve: Serve, orders: readonly Override[] | undefined) {
    this.#serve = serve;
    this.#overrides = new Overrides(orders);
  }

  /** Orders it to answer otherwise from now on; the function returned withdraws the order. */
  order(override: Override): () => void {
    return this.#overrides.add(override);
  }

  /** Serves a connection: a script. */
  readonly script = async (peer: Peer): Promise<void> => {
    const record: LedgerConnection = {
      number: peer.id,
      commands: [],
      violations: [],
      logins: [],
      isSecure: peer.isSecure,
      isClosed: false,
      saidGoodbye: false,
    };
    this.ledger.connections.push(record);
    this.ledger.changed();
    await this.#serve(peer, this.#overrides, this.ledger, record);
  };
}

/** An SMTP or LMTP judge. */
export function mailJudge(options: MailSessionOptions = {}): Judge {
  return new Judge(
    (peer, overrides, ledger, record) => new MailSession(peer, options, overrides, ledger, record).serve(),
    options.overrides,
  );
}

/** An IMAP judge. */
export function imapJudge(options: ImapSessionOptions = {}): Judge {
  return new Judge(
    (peer, overrides, ledger, record) => new ImapSession(peer, options, overrides, ledger, record).serve(),
    options.overrides,
  );
}

/** A judge that listens. */
export class JudgeServer implements AsyncDisposable {
  readonly #judge: Judge;
  readonly #server: ScriptedServer;

  private constructor(judge: Judge, server: ScriptedServer) {
    this.#judge = judge;
    this.#server = server;
  }

  /** Listens with `judge`. */
  static async listen(judge: Judge, options: ListenOptions = {}): Promise<JudgeServer> {
    return new JudgeServer(judge, await ScriptedServer.listen(judge.script, options));
  }

  get ledger(): Ledger {
    return this.#judge.ledger;
  }

  get port(): number {
    return this.#server.port;
  }

  get address(): string {
    return this.#server.address;
  }

  /** Connections open now. */
  get open(): number {
    return this.#server.open;
  }

  /** Most connections open at the same time. */
  get peak(): number {
    return this.#server.peak;
  }

  /** Connections so far. */
  get accepted(): number {
    return this.#server.accepted;
  }

  /** The connection with this number, counted from 1, as soon as it has come. */
  connection(number: number): Promise<Peer> {
    return this.#server.connection(number);
  }

  /** Orders it to answer otherwise from now on; the function returned withdraws the order. */
  order(override: Override): () => void {
    return this.#judge.order(override);
  }

  /** Refuses new connections. */
  refuse(): void {
    this.#server.refuse();
  }

  /** Takes connections again, on the same port. */
  accept(): Promise<void> {
    return this.#server.accept();
  }

  /** Cuts every connection and stops listening. */
  close(): Promise<void> {
    return this.#server.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Listens as an SMTP or, with `protocol: "lmtp"`, LMTP server. */
export function listenMail(options: MailSessionOptions & ListenOptions = {}): Promise<JudgeServer> {
  return JudgeServer.listen(mailJudge(options), options);
}

/** Listens as an IMAP server. */
export function listenImap(options: ImapSessionOptions & ListenOptions = {}): Promise<JudgeServer> {
  return JudgeServer.listen(imapJudge(options), options);
}
