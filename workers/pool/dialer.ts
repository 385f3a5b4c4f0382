/** Opens one host's connections: resolves the name, tries the addresses in turn, and keeps what a host's connections share. */
import type { HostSettings } from "../../src/config/settings.js";
import { type Failure, isFailure } from "../../src/errors.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { Timer } from "../../src/timer-wheel.js";
import type { Dial } from "../wire/dial.js";
import { ImapPeerMemory } from "../wire/imap/peer-memory.js";
import { proxyHeader } from "../wire/proxy-header.js";
import { ReplyRules } from "../wire/reply-rules.js";
import type { Session, Wire, WireSight } from "../wire/session.js";
import { PeerMemory } from "../wire/smtp/peer-memory.js";
import { TlsMemory } from "../wire/tls.js";
import type { WireTap } from "../wire/wire-tap.js";
import type { World } from "../world.js";
import { AccountTokens } from "./account-tokens.js";
import { AddressBook } from "./address-book.js";

/** Failures that another address of the same host would meet too. */
const SAME_EVERYWHERE: ReadonlySet<string> = new Set(["DNS_FAILED", "AUTH_FAILED", "MISSING_AUTH", "MISSING_STARTTLS"]);

/**
 * Whom a connection may be lent to: `any` client; one that the host can be `told` of anew (XCLIENT), and never back to nobody; its
 * `own` client only, since the host is told once for a connection (ID, the PROXY protocol).
 */
export type Lending = "any" | "told" | "own";

export class Dialer {
  readonly lending: Lending;
  readonly smtpPeer = new PeerMemory();
  readonly imapPeer = new ImapPeerMemory();
  readonly replyRules: ReplyRules | undefined;
  /** Where the account logs in by access tokens. */
  readonly tokens: AccountTokens | undefined;
  private readonly tls: TlsMemory;
  private readonly book: AddressBook;

  constructor(
    readonly world: World,
    readonly settings: HostSettings,
    log: HostLog,
    private readonly tap: WireTap,
    askForToken: (refused: number) => void,
  ) {
    this.lending = lendingOf(settings);
    this.replyRules = settings.replies === undefined ? undefined : new ReplyRules(settings.replies);
    this.tokens = settings.auth?.by === "token" ? new AccountTokens(world.clock, askForToken) : undefined;
    this.tls = new TlsMemory(settings.tls, log);
    this.book = new AddressBook(world, settings.address);
  }

  /**
   * @param connection its number
   * @param client on whose behalf, see src/messages/client.ts
   */
  attempt<S extends Session>(
    connection: number,
    open: (wire: Wire) => S,
    fail: (failure: Failure) => void,
    client: string,
  ): Attempt<S> {
    const { world, settings, book, tls, tap } = this;
    const preface = settings.client === "proxy-v2" ? proxyHeader(client) : undefined;
    return new Attempt(world, settings, book, { tls, tap, connection, preface }, open, fail);
  }
}

/** One connection on its way, over as many addresses as it takes within `remote.<id>.timeout`. */
export class Attempt<S extends Session> {
  session: S | undefined;
  private addresses: readonly string[] = [];
  private next = 0;
  private readonly endsMs: number;
  private readonly limit: Timer;
  private isOver = false;
  private wire: Wire | undefined;

  constructor(
    private readonly world: World,
    private readonly settings: HostSettings,
    private readonly book: AddressBook,
    private readonly shared: Pick<Dial, "tls" | "tap" | "connection" | "preface">,
    private readonly open: (wire: Wire) => S,
    private readonly fail: (failure: Failure) => void,
  ) {
    this.endsMs = world.clock.now() + settings.timeoutMs;
    this.limit = new Timer(() =>
      this.resolved({
        code: "DNS_FAILED",
        message: `The name ${settings.address} was not resolved in time (timeout).`,
      }),
    );
    world.wheel.set(this.limit, settings.timeoutMs);
  }

  /** Where it leads, once it was dialled. */
  get sight(): WireSight | undefined {
    return this.wire?.sight;
  }

  begin(): void {
    this.book.addresses((result) => this.resolved(result));
  }

  /** Given up while the name is being resolved; a session is ended by its own means. */
  abandon(failure: Failure): void {
    if (this.isOver || this.session !== undefined) {
      return;
    }
    this.isOver = true;
    this.world.wheel.clear(this.limit);
    this.fail(failure);
  }

  /** The session stands. */
  succeeded(): void {
    this.isOver = true;
    this.book.worked(this.addresses[this.next - 1]!);
  }

  /** The session ended before it stood. True: another address is tried. */
  failed(failure: Failure): boolean {
    if (this.isOver) {
      return false;
    }
    if (SAME_EVERYWHERE.has(failure.code)) {
      return false;
    }
    this.book.failed(this.addresses[this.next - 1]!);
    if (this.next >= this.addresses.length || this.world.clock.now() >= this.endsMs) {
      return false;
    }
    this.dialNext();
    return true;
  }

  private resolved(result: readonly string[] | Failure): void {
    this.world.wheel.clear(this.limit);
    if (this.isOver || this.addresses.length > 0) {
      return;
    }
    if (isFailure(result)) {
      this.isOver = true;
      this.fail(result);
      return;
    }
    this.addresses = result;
    this.dialNext();
  }

  private dialNext(): void {
    const address = this.addresses[this.next]!;
    // A black hole may not eat the time of the addresses behind it.
    const withinMs = (this.endsMs - this.world.clock.now()) / (this.addresses.length - this.next);
    this.next++;
    this.session = this.world.dial({ settings: this.settings, address, withinMs, ...this.shared }, (wire) => {
      this.wire = wire;
      return this.open(wire);
    });
  }
}

function lendingOf({ client }: HostSettings): Lending {
  if (client === "id" || client === "proxy-v2") {
    return "own";
  }
  return client === "xclient" ? "told" : "any";
}

/** Whether the host may have ended an opening connection because of the client that it was told of. */
export function mayConcernClient({ code, reply }: Failure): boolean {
  if (code === "HOST_UNAVAILABLE") {
    return reply !== undefined && reply.code >= 500;
  }
  return code === "REMOTE_CLOSED" || code === "REMOTE_PROTOCOL" || code === "COMMAND_TIMEOUT";
}
