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

/** What every request takes. */
export interface RequestOptions {
  /** Aborts the request. Once a message was sent completely, `relay()` resolves with `uncertain` instead: see {@link RecipientResult.status}. */
  signal?: AbortSignal;
  /** The deadline of the whole request in milliseconds, time in the queue included. Default: none beyond the host's own timeouts. */
  timeoutMs?: number;
  /** On whose behalf. Default: nobody's, or nobody who is known. */
  client?: Client;
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

/** Settled lookups of one kind. Those that shared an answer are counted with it. */
export interface LookupCounts {
  /** Answered by the peer. */
  found: number;
  notFound: number;
  /** Answered from the positive and the negative cache. */
  cachedFound: number;
  cachedNotFound: number;
  /** Without an answer. */
  failed: number;
}

/** How long something took, in buckets up to 1, 2, 5, 10, 25, 50, 100, 250, 500 ms, 1, 2.5, 5, 10, 30, 60 s, and longer. */
export interface DurationHistogram {
  /** How many fell into each bucket, and into none of those before it. */
  counts: number[];
  sumMs: number;
}

/** Why a host could not be reached. */
export interface LastFailure {
  /** An error code, such as `CONNECT_FAILED`. */
  code: string;
  message: string;
  /** What the host said, where it said something. */
  reply?: Reply;
  /** When it failed last, and when it first failed with this code, in milliseconds since the epoch. */
  at: number;
  since: number;
  /** How often it failed with this code in a row. */
  count: number;
}

/** Counters of one host, since its worker was started. */
export interface HostStats {
  id: string;
  address: string;
  port: number;
  protocol: Protocol;
  /**
   * `down`: connections to it fail, or it says nothing to anybody; requests are refused at once. `recovering`: the next connection finds
   * out whether it is back. `paused`: by an operator. `draining`: it was removed or closed. `failed`: its worker crashed too often. `starting`: its worker is not there yet. `idle`: it has none, since
   * nothing was asked of it, or not for `runtime.idle`.
   */
  state: "up" | "idle" | "starting" | "down" | "recovering" | "paused" | "draining" | "failed";
  /** Since when it is up, or is not, in milliseconds since the epoch. */
  since: number;
  /** While it is not up: when it is tried again, in milliseconds since the epoch. */
  retryAt?: number;
  /** The last failure to reach it since it was last down, in its own words. */
  lastFailure?: LastFailure;
  /** How long the oldest request that waits has waited, in milliseconds. 0: none waits. */
  oldestQueuedMs: number;
  /** `open`: the host could not be reached lately, requests are refused at once. `half-open`: one connection finds out. */
  circuit: "closed" | "open" | "half-open";
  /** Connections by what they do now. Their sum never exceeds `concurrency`. */
  connections: { opening: number; idle: number; busy: number; closing: number };
  /** Connections opened so far, and how many of those failed before they were ready. */
  opened: number;
  connectFailures: number;
  /** Wrong passwords answered late, since too many were wrong lately (`limits.guesses`). */
  guesses: number;
  /** Requests that wait for a connection, and requests on one. */
  queued: number;
  inFlight: number;
  /** Requests that were refused at once: too many wait, the worker has failed, or the host was removed or closed. */
  turnedAway: number;
  /** Requests that failed, by the code of their error, those that were refused at once among them. */
  failures: Readonly<Record<string, number>>;
  /** What its settings allow: connections (`concurrency`), and requests that wait (`limits.queue`). */
  limits: { concurrency: number; queue: number };
  /** Settled relays, and their recipients by status. */
  relays: { settled: number; failed: number; delivered: number; refused: number; deferred: number; uncertain: number };
  /** Settled lookups: answered from the cache, by joining one in flight, by the peer; those without an answer; and those answered by other gateways (`cluster.cache`). */
  lookups: { cached: number; shared: number; remote: number; failed: number; cluster: number };
  /** Settled lookups by kind. */
  kinds: Record<LookupKind, LookupCounts>;
  /**
   * Times. `queue`: in the queue. `connect`: from the start of a connection until it is ready. For each kind of request: from its first
   * command on a connection to its result.
   */
  durations: Record<"queue" | "connect" | RequestKind, DurationHistogram>;
  cache: { positive: number; negative: number };
  /** With several addresses (an array in `remote.<id>.address`): each of them, in the order of the configuration. */
  addresses?: AddressStats[];
  /** With `limits.rate` or `cluster.rate`. */
  rate?: RateStats;
  /**
   * What messages have taught the cache (`cache.learn`): recipients that exist and that do not, and cached answers that said otherwise
   * and were dropped.
   */
  learned: { found: number; notFound: number; contradicted: number };
  /** With `lookups.harvest`: clients suspected now, and lookups of such that were held back, and refused. */
  harvest: { suspects: number; late: number; refused: number };
  /** With `lookups.catch-all = "detect"`: random recipients asked for, and domains of which the host knows its recipients, or accepts all. */
  catchAll: { asked: number; verified: number; acceptsAll: number };
  /** With `remote.<id>.cluster.concurrency`: the connections that gateways share. */
  places?: PlaceStats;
  /** With `remote.<id>.shadow`. */
  shadow?: ShadowStats;
  /** How often its worker was replaced. */
  restarts: number;
}

/** One of several addresses of a host. */
export interface AddressStats {
  address: string;
  port: number;
  backup: boolean;
  /** `down`: it is left alone for a while after a failure. `recovering`: the next connection finds out whether it is back. */
  state: "up" | "down" | "recovering";
  /** Connections to it now, those being opened and closed included. */
  connections: number;
  /** Connections opened to it so far, and how often one could not be made or got no reply. */
  opened: number;
  connectFailures: number;
  /** While it is not up. */
  lastFailure?: LastFailure;
}

/** How often requests may begin at a host (`limits.rate`, `cluster.rate`). */
export interface RateStats {
  /** Most requests in a second, and most at once after a pause. */
  perSecond: number;
  burst: number;
  /** With `cluster.rate`: the part of it that is this gateway's now, from 0 to 1. */
  part?: number;
  /** Requests that wait for it now, and those that had to wait for it so far. */
  waiting: number;
  delayed: number;
}

/** What became of lookups of one kind that a shadow was to ask of the other host too. */
export interface ShadowCounts {
  /** Both hosts said the same. */
  agreed: number;
  /** The recipient, user or list exists here and not at the other host, or the other way round; for `auth`: the password is right here only. */
  onlyHere: number;
  onlyThere: number;
  /** A recipient was found by a host that is known to accept all of its domain, or of which that is not known yet: `certainty`. */
  unsure: number;
  /** The other host gave no definite answer. */
  failed: number;
  /** Not asked: one of the hosts was busy or closed, or the user's password may have been wrong there lately. */
  dropped: number;
}

/** What the shadow of a host has counted since `open()`, or since it was given another host. */
export interface ShadowStats {
  /** The id of the other host. */
  host: string;
  /** Kinds that were asked for so far. */
  kinds: Partial<Record<LookupKind, ShadowCounts>>;
}

/** Two hosts contradict each other. */
export interface ShadowDifference {
  /** Milliseconds since the epoch. */
  at: number;
  kind: LookupKind;
  differs: "only-here" | "only-there";
  /** The recipient or user; only where addresses may be shown. */
  subject?: string;
  /** What each host replied. */
  here?: Reply;
  there?: Reply;
}

/** What `shadowReport()` returns. */
export interface ShadowReport extends ShadowStats {
  /** `shadow.share`. */
  share: number;
  /** Since when it counts, in milliseconds since the epoch. */
  since: number;
  /** The last fifty, oldest first. */
  differences: ShadowDifference[];
}

/** What a gateway knows of the connections to a host that gateways share (docs/cluster.md). */
export interface PlaceStats {
  /** `cluster.concurrency`. */
  total: number;
  /** How many connections this gateway may have now. */
  granted: number;
  /** Why it may have them: they were leased, or Redis is lost (`cluster.on-loss`). `none`: it has heard nothing yet. */
  basis: "none" | "lease" | "share" | "local" | "refused";
  /** Connections that this gateway has, and how many it could use. */
  held: number;
  wanted: number;
  /** Connections above `granted`: each is brought to the end of its work. */
  overdrawn: number;
  /** As Redis said last, of all gateways: how many have a lease, the places recorded as theirs, and what they could use. */
  gateways: number;
  used: number;
  wantedByAll: number;
  /** How often a request found that a connection more needed a place more. */
  waits: number;
}

/** What a gateway knows of its cluster, since it joined it. */
export interface ClusterStats {
  /** `lost`: Redis does not answer, and `cluster.on-loss` holds. */
  state: "starting" | "held" | "lost";
  /** How often Redis was lost. */
  losses: number;
  /**
   * While it is lost: since when, in milliseconds since the epoch, how many calls of it failed since then, what the last one failed of, and
   * what holds until it answers (`cluster.on-loss`).
   */
  loss?: { since: number; failedCalls: number; reason: string; onLoss: "share" | "refuse" | "local" };
  /** Calls of Redis that were answered, those that failed, and how long the former took. */
  calls: { answered: number; failed: number; durations: DurationHistogram };
  /** With a secret: questions asked of Redis, answers that it knew, waits for another gateway's answer, calls that failed. */
  answers?: { asked: number; known: number; awaited: number; failed: number };
}

/** What `stats()` answers. */
export interface RuntimeStats {
  /** Worker threads that run now. */
  threads: number;
  hosts: Record<string, HostStats>;
  /** With a `[cluster]`. */
  cluster?: ClusterStats;
}

/** What `reload()` did: the ids of the hosts, by what became of them. */
export interface ReloadReport {
  added: string[];
  removed: string[];
  changed: string[];
  unchanged: string[];
}
