/** What the connections of one host share, and how each of them begins (attempt.ts). */
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { ImapPeerMemory } from "../wire/imap/peer-memory.js";
import { proxyHeader } from "../wire/proxy-header.js";
import { ReplyRules } from "../wire/reply-rules.js";
import type { Session, Wire } from "../wire/session.js";
import { PeerMemory } from "../wire/smtp/peer-memory.js";
import { TlsMemory } from "../wire/tls.js";
import type { WireTap } from "../wire/wire-tap.js";
import type { World } from "../world.js";
import { AccountTokens } from "./account-tokens.js";
import { AddressBook } from "./address-book.js";
import { Attempt } from "./attempt.js";

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
