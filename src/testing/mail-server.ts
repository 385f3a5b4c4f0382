/**
 * The strict servers with a ledger: SMTP, LMTP and IMAP on loopback. For tests that need a correct server that records everything;
 * `script` lets a scripted server pass its connections on to it.
 */
import type { ImapSessionOptions } from "./imap-options.js";
import { ImapSession } from "./imap-session.js";
import { Ledger, type LedgerConnection } from "./ledger.js";
import type { MailSessionOptions } from "./mail-options.js";
import { MailSession } from "./mail-session.js";
import { type Order, Orders } from "./orders.js";
import type { ScriptedPeer } from "./peer.js";
import { type ListenOptions, ScriptedServer } from "./scripted-server.js";

type Serve = (peer: ScriptedPeer, overrides: Orders, ledger: Ledger, record: LedgerConnection) => Promise<void>;

/** A server that keeps the rules, unless it is ordered not to, and records everything. Not yet listening: a script for a {@link ScriptedServer}. */
export class StrictService {
  readonly ledger = new Ledger();
  readonly #overrides: Orders;
  readonly #serve: Serve;

  /** Use {@link strictMailService} or {@link strictImapService}. */
  constructor(serve: Serve, orders: readonly Order[] | undefined) {
    this.#serve = serve;
    this.#overrides = new Orders(orders);
  }

  /** Orders it to answer otherwise from now on; the function returned withdraws the order. */
  order(order: Order): () => void {
    return this.#overrides.add(order);
  }

  /** Serves a connection: a script. */
  readonly script = async (peer: ScriptedPeer): Promise<void> => {
    const record: LedgerConnection = {
      number: peer.id,
      commands: [],
      violations: [],
      logins: [],
      isSecure: peer.isSecure,
      client: undefined,
      isClosed: false,
      saidGoodbye: false,
    };
    this.ledger.connections.push(record);
    this.ledger.changed();
    await this.#serve(peer, this.#overrides, this.ledger, record);
  };
}

/** The service of an SMTP or LMTP server. */
export function strictMailService(options: MailSessionOptions = {}): StrictService {
  return new StrictService(
    (peer, overrides, ledger, record) => new MailSession(peer, options, overrides, ledger, record).serve(),
    options.overrides,
  );
}

/** The service of an IMAP server. */
export function strictImapService(options: ImapSessionOptions = {}): StrictService {
  return new StrictService(
    (peer, overrides, ledger, record) => new ImapSession(peer, options, overrides, ledger, record).serve(),
    options.overrides,
  );
}

/** A strict server that listens. */
export class StrictServer implements AsyncDisposable {
  readonly #service: StrictService;
  readonly #server: ScriptedServer;

  private constructor(service: StrictService, server: ScriptedServer) {
    this.#service = service;
    this.#server = server;
  }

  /** Listens, and serves every connection by `service`. */
  static async listen(service: StrictService, options: ListenOptions = {}): Promise<StrictServer> {
    return new StrictServer(service, await ScriptedServer.listen(service.script, options));
  }

  get ledger(): Ledger {
    return this.#service.ledger;
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
  connection(number: number): Promise<ScriptedPeer> {
    return this.#server.connection(number);
  }

  /** Orders it to answer otherwise from now on; the function returned withdraws the order. */
  order(order: Order): () => void {
    return this.#service.order(order);
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
export function listenMail(options: MailSessionOptions & ListenOptions = {}): Promise<StrictServer> {
  return StrictServer.listen(strictMailService(options), options);
}

/** Listens as an IMAP server. */
export function listenImap(options: ImapSessionOptions & ListenOptions = {}): Promise<StrictServer> {
  return StrictServer.listen(strictImapService(options), options);
}
