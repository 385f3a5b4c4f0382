/** The shapes that callers hand in and get back. Types only; the classes that use them are in remote-hosts.ts. */
import type { Readable } from "node:stream";
import type { Logger } from "pino";
import type { LookupKind } from "./lookup-kinds.js";

/** The protocol of a remote host (`remote.<id>.protocol`). */
export type Protocol = "smtp" | "lmtp" | "imap";

/** Settings of {@link RemoteHosts.open}. */
export interface OpenOptions {
  /** The gateway's own pino logger; workers' records reach it too. Default: warnings and worse, as JSON on standard error. */
  logger?: Logger;
  /** Aborting it stops an `open()` that has not finished, and afterwards closes the hosts without a drain. */
  signal?: AbortSignal;
  /** Let the process end although the hosts were not closed. Default `false`: the threads keep it alive until `close()`. */
  unref?: boolean;
  /**
   * Where the worker threads' module is, for a gateway that is bundled: a `file:` URL of a copy of `relaypost/worker`, which is one file.
   * Default: the package's own.
   */
  workerUrl?: string | URL;
}

/**
 * Who caused a request: the client on whose behalf the gateway asks or relays. Hosts that are told of it (`remote.<id>.client`) take it
 * for the truth: give what was seen, such as a peer's address, and nothing that a client says of itself in its place.
 */
export interface Client {
  /** IP address. */
  address: string;
  port?: number;
  /** Host name, as DNS confirms it: of the address, and back. */
  name?: string;
  /** What the client said in HELO, EHLO or LHLO. */
  helo?: string;
  /** The user's name, where the client has logged in. */
  login?: string;
  protocol?: "SMTP" | "ESMTP" | "LMTP";
  /** The gateway's own name for the client's session, which the host's log then shows. */
  session?: string;
  /** Where the client has connected to. */
  local?: { address: string; port?: number };
}

/** How a tenant's requests that wait are served beside each other: `high`, `normal` and `bulk` ones 8:4:1. */
export type Priority = "high" | "normal" | "bulk";

/** What every request takes. */
export interface RequestOptions {
  /** Aborts the request. Once a message was sent completely, `relay()` resolves with `uncertain` instead: see {@link RecipientResult.status}. */
  signal?: AbortSignal;
  /** The deadline of the whole request in milliseconds, time in the queue included. Default: none beyond the host's own timeouts. */
  timeoutMs?: number;
  /** On whose behalf. Default: nobody's, or nobody who is known. */
  client?: Client;
  /** Whose request it is, at most 255 octets: tenants have equal parts of a host, or as `[tenant."name"]` says. Default: nobody's. */
  tenant?: string;
  /** Among the requests of one tenant. Default: `normal`. */
  priority?: Priority;
  /** The caller's own name for the request, such as a queue id; the traces contain it. Default: none. */
  id?: string;
}

/** DSN parameters (RFC 3461 4). */
export interface DsnParameters {
  /** RET: whether a failure notification holds the whole message or its header only. */
  ret?: "full" | "hdrs";
  /** ENVID, at most 100 characters, encoded as xtext here. */
  envid?: string;
  /** One for each recipient, in the order of `Envelope.to`. */
  recipients?: {
    notify?: ("never" | "success" | "failure" | "delay")[] /** `rfc822;user@example.org`; encoded as xtext here. */;
    orcpt?: string;
  }[];
}

/** Who sends to whom (RFC 5321 2.3.1). Addresses stand without angle brackets. */
export interface Envelope {
  /** Reverse-path; the empty string is the null reverse-path `<>`. */
  from: string;
  /** Forward-paths; each has its own result, duplicates too. */
  to: string | string[];
  /** SIZE in octets (RFC 1870). Default: the content's own length where it is known. */
  size?: number;
  /** Ask for SMTPUTF8 (RFC 6531). Needed when an address is not ASCII. */
  smtputf8?: boolean;
  /** BODY (RFC 6152, RFC 3030). Default: `8bitmime` where the peer offers it. */
  body?: "7bit" | "8bitmime" | "binarymime";
  /** REQUIRETLS (RFC 8689): refuse to send unless TLS is verified and the peer offers the extension. */
  requireTls?: boolean;
  dsn?: DsnParameters;
}

/** A message in Internet Message Format. Newlines are made CRLF and dots are stuffed on the way. A string is sent as UTF-8. */
export type Content = string | Uint8Array | Readable | AsyncIterable<Uint8Array>;

/** A user's credentials, for `authenticate()`. */
export type Credentials = { username: string; secret: string } | { username: string; accessToken: string };

/** A reply of the peer (RFC 5321 4.2). */
export interface Reply {
  /** Three digits; for IMAP 200 stands for OK, 400 for a temporary NO, 500 for NO and 501 for BAD. */
  code: number;
  /** Enhanced status code, such as `5.1.1` (RFC 3463), or an IMAP response code, such as `AUTHENTICATIONFAILED`. */
  enhanced?: string;
  /** The text after the codes; lines joined by `\n`. */
  text: string;
}

/**
 * Why a mailbox that exists takes no mail now (RFC 3463 3.3): it is `full` (5.2.2), `disabled` (5.2.1 and others), the message is
 * `too-large` for it (5.2.3), or it is a `list` that cannot be expanded (5.2.4).
 */
export type MailboxState = "full" | "disabled" | "too-large" | "list";

/**
 * How much a definite answer says. `verified`: the host knows whom it says yes and no to. `accepts-all`: it accepts every recipient of the
 * domain, so that its yes says nothing. `unknown`: it accepts the recipient, and nobody has found out whether it would accept any.
 */
export type Certainty = "verified" | "accepts-all" | "unknown";

/** A definite answer. Where there is none, the lookup rejects. */
export interface LookupAnswer {
  found: boolean;
  /** VRFY and EXPN: the mailboxes of the reply; otherwise empty. */
  values: string[];
  /**
   * `shared`: an equal lookup was in flight and its answer serves this one too. `cluster`: another gateway was given it
   * (`cluster.cache`).
   */
  source: "cache" | "remote" | "shared" | "cluster";
  /** How long ago the peer said so, in milliseconds. */
  ageMs: number;
  reply?: Reply;
  /** `verifyRecipient()`, beside `found: false`: the address exists, and this is why its mailbox takes no mail now. */
  mailbox?: MailboxState;
  /** Only `verifyRecipient()`'s `found: true` may be other than `verified`, and is better known with `lookups.catch-all = "detect"`. */
  certainty: Certainty;
}

/** The result for one recipient. */
export interface RecipientResult {
  address: string;
  /**
   * `delivered`: the host took responsibility (2yz). `refused`: 5yz. `deferred`: 4yz; without a reply where
   * the message went to others in a transaction of their own, and was not sent to this one.
   * `uncertain`: the connection broke, the worker crashed or the deadline passed between the end of the message and the reply. The
   * message may have been delivered, so a blind retry may duplicate it.
   */
  status: "delivered" | "refused" | "deferred" | "uncertain";
  reply?: Reply;
}

/** The result of a relayed message. If `relay()` rejects instead, nobody received it. */
export interface RelayResult {
  /** In the order of `Envelope.to`, duplicates kept. */
  recipients: RecipientResult[];
  /** The reply that ended the transaction, where one reply did. */
  reply?: Reply;
  /** Number of the connection that carried it, counted from 1 for each host; 0 when the worker crashed and it is not known. */
  connection: number;
}

/** What a request asks for. */
export type RequestKind = "relay" | LookupKind;

/** What `reload()` did: the ids of the hosts, by what became of them. */
export interface ReloadReport {
  added: string[];
  removed: string[];
  changed: string[];
  unchanged: string[];
}
