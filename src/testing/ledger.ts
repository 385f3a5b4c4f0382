/**
 * What a server saw: the record that a test holds against what the client claims. Written by mail-session.ts and
 * imap-session.ts, read by tests.
 */

/** One RCPT. */
export interface LedgerRecipient {
  /** As it stood between the angle brackets. */
  readonly address: string;
  /** ESMTP parameters, as they came. */
  readonly parameters: readonly string[];
  /** The reply to RCPT, its lines joined by `\n`; empty when none was sent. */
  reply: string;
  isAccepted: boolean;
  /** The reply behind the terminator that concerns this recipient; undefined when there was none. */
  finalReply?: string;
}

/** One mail transaction, from an accepted MAIL on. */
export interface LedgerTransaction {
  /** The connection's number, counted from 1. */
  readonly connection: number;
  readonly from: string;
  /** ESMTP parameters of MAIL, as they came. */
  readonly parameters: readonly string[];
  readonly recipients: LedgerRecipient[];
  readonly isSecure: boolean;
  /** The connection had logged in as this user. */
  readonly authenticatedAs: string | undefined;
  /** The address of the client whose message it is: by XFORWARD, or else by XCLIENT. */
  readonly client: string | undefined;
  /** How the content came; undefined when none was asked for. */
  via: "DATA" | "BDAT" | undefined;
  /** Content octets as they would be stored: dots un-stuffed, no terminator. Empty unless `keep` is `content`. */
  content: Buffer;
  /** SHA-256 of the content in hex, when `keep` is `digest`. */
  digest: string | undefined;
  /** Octets of content that arrived. */
  sizeOctets: number;
  /** The final dot, or the whole chunk marked LAST, was seen. */
  isTerminated: boolean;
  /** Replies behind the terminator: one, or with LMTP one for each accepted recipient. */
  readonly finalReplies: string[];
  /** What ended the transaction otherwise: `RSET`, `EHLO`, `QUIT` or `closed`. */
  endedBy: string | undefined;
}

/** One connection. */
export interface LedgerConnection {
  /** Counted from 1. */
  readonly number: number;
  /** Command lines in order, as they came (without CRLF). Answers to challenges are not commands. */
  readonly commands: string[];
  /** What a strict server objects to: see docs/testing.md. */
  readonly violations: string[];
  /** Logins, right and wrong. */
  readonly logins: {
    readonly mechanism: string;
    readonly username: string | undefined;
    readonly isAccepted: boolean;
    readonly isSecure: boolean;
    /** The address of the client that the connection was told of before. */
    readonly client?: string;
  }[];
  isSecure: boolean;
  /** The address of the client that the connection was told of last, by XCLIENT or ID; undefined: of none. */
  client: string | undefined;
  isClosed: boolean;
  /** The client took its leave (QUIT, LOGOUT). */
  saidGoodbye: boolean;
}

/** What the ledger keeps of each message. `nothing`: counters only, for long runs. */
export type LedgerDetail = "content" | "digest" | "envelope" | "nothing";

/** A login was decided, on a connection as it is now. */
export function enterLogin(
  connection: LedgerConnection,
  { mechanism, username }: Pick<LedgerConnection["logins"][number], "mechanism" | "username">,
  isAccepted: boolean,
  isSecure: boolean,
): void {
  const { client } = connection;
  connection.logins.push({ mechanism, username, isAccepted, isSecure, ...(client === undefined ? {} : { client }) });
}

/** The record of a transaction that an accepted MAIL begins. */
export function newTransaction(
  begin: Pick<LedgerTransaction, "connection" | "from" | "parameters" | "isSecure" | "authenticatedAs" | "client">,
): LedgerTransaction {
  return {
    ...begin,
    recipients: [],
    via: undefined,
    content: Buffer.alloc(0),
    digest: undefined,
    sizeOctets: 0,
    isTerminated: false,
    finalReplies: [],
    endedBy: undefined,
  };
}

/** The whole record of a server. */
export class Ledger {
  readonly connections: LedgerConnection[] = [];
  readonly transactions: LedgerTransaction[] = [];
  /** Command lines on all connections. */
  commandCount = 0;
  /** Messages of which at least one recipient got a 2yz behind the terminator. */
  messageCount = 0;
  /** Recipients with a 2yz behind the terminator. */
  deliveryCount = 0;
  /** Called for each transaction as it ends. */
  onTransaction: ((transaction: LedgerTransaction) => void) | undefined;

  readonly #waiting = new Set<() => void>();

  /** Resolves as soon as `condition` holds; it is asked after each entry. */
  until(condition: (ledger: Ledger) => boolean): Promise<void> {
    if (condition(this)) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const ask = () => {
        if (!condition(this)) {
          return;
        }
        this.#waiting.delete(ask);
        resolve();
      };
      this.#waiting.add(ask);
    });
  }

  /** Everything that strict servers would object to, each with its connection's number. */
  get violations(): string[] {
    return this.connections.flatMap((connection) =>
      connection.violations.map((violation) => `connection ${connection.number}: ${violation}`),
    );
  }

  /** Every command line of every connection, in the order of the connections. */
  get commands(): string[] {
    return this.connections.flatMap((connection) => connection.commands);
  }

  /** What stands in mailboxes now: one entry for each recipient with a 2yz behind the terminator. */
  get deliveries(): { address: string; from: string; content: Buffer; digest: string | undefined }[] {
    return this.transactions.flatMap(({ from, content, digest, recipients }) =>
      recipients
        .filter(({ finalReply }) => finalReply?.startsWith("2"))
        .map(({ address }) => ({ address, from, content, digest })),
    );
  }

  /** For sessions: something was entered. */
  changed(): void {
    if (this.#waiting.size > 0) {
      for (const ask of this.#waiting) {
        ask();
      }
    }
  }
}
