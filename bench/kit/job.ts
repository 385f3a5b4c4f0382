/** What a contender is asked to do, and what it tells of it. Crosses between processes as plain data. */

/** Every contender. smtp-source, lettre and go-smtp are programs of their own. */
export type ContenderName =
  | "relaypost"
  | "nodemailer"
  | "limit"
  | "smtp-source"
  | "lettre"
  | "lettre, TCP_NODELAY forced"
  | "go-smtp";

/** Sending equal messages as fast as they go. */
export interface RelayJob {
  readonly kind: "relay";
  readonly contender: ContenderName;
  readonly port: number;
  readonly protocol: "smtp" | "lmtp";
  readonly isTls: boolean;
  readonly connections: number;
  /** Messages at hand for each connection: the one on its way included. */
  readonly callersEach: number;
  readonly sizeOctets: number;
  /** How long it is measured, after a warm-up of half of that. */
  readonly seconds: number;
  /** The Redis over which its connections are shared; relaypost alone can do that. */
  readonly clusterUrl?: string;
}

/** Asking about ever new recipients as fast as it goes. */
export interface ProbeJob {
  readonly kind: "probe";
  readonly contender: "relaypost" | "limit";
  readonly port: number;
  readonly connections: number;
  /** RCPT commands in flight on one connection. */
  readonly depth: number;
  readonly seconds: number;
}

/** Asking about the same recipients again and again, or for passwords. */
export interface LookupJob {
  readonly kind: "cached" | "auth";
  readonly contender: "relaypost";
  readonly port: number;
  readonly isTls: boolean;
  /** Questions in flight. */
  readonly callers: number;
  readonly seconds: number;
}

/** Round trips to another thread, without any network. */
export interface ThreadJob {
  readonly kind: "thread";
  readonly contender: "postMessage" | "comlink" | "batches";
  readonly callers: number;
  readonly seconds: number;
}

/** Many hosts, all of them busy. */
export interface HostsJob {
  readonly kind: "hosts";
  readonly contender: "relaypost";
  readonly port: number;
  readonly hosts: number;
  readonly threads: number;
  readonly seconds: number;
}

/** Many hosts, each with a thread and a steady trickle of messages; how long the messages of all but the first take. */
export interface IsolationJob {
  readonly kind: "isolation";
  readonly contender: "relaypost";
  readonly port: number;
  readonly hosts: number;
  /** Half of them calm, and in the middle of the others the first host's thread is killed. */
  readonly windows: number;
  /** Of each window. */
  readonly seconds: number;
}

/** What the hosts that nobody killed did in one window. */
export interface IsolationWindow {
  readonly isKilled: boolean;
  readonly failed: number;
  readonly seconds: number;
  /** CPU of the whole process. */
  readonly cpuMicros: number;
  /** How long each message took that ended in it. */
  readonly tookMicros: Float64Array;
  /** Those that ended in the second that begins in its middle: where there was a kill, the second behind it. */
  readonly tookMicrosBehindMiddle: Float64Array;
}

/** One large message, as a stream. */
export interface StreamJob {
  readonly kind: "stream";
  readonly contender: "relaypost" | "limit";
  readonly port: number;
  readonly sizeOctets: number;
}

/** Asking a daemon about one recipient again and again. */
export interface SocketmapJob {
  readonly kind: "socketmap";
  readonly contender: "relaypost";
  /** The daemon's unix socket. */
  readonly socket: string;
  /** Connections, each with one question in flight. */
  readonly clients: number;
  readonly seconds: number;
}

/** Many hosts under a steady load, while nobody looks, the model does, or people look at the page. */
export interface OperatorJob {
  readonly kind: "operator";
  readonly contender: "relaypost";
  readonly port: number;
  readonly hosts: number;
  readonly threads: number;
  readonly perSecond: number;
  /** People before the page. */
  readonly viewers: number;
  /** Of each kind. */
  readonly windows: number;
  /** Of each window. */
  readonly seconds: number;
}

/** Who looks at the hosts. */
export type Looking = "nobody" | "model" | "page";

/** One time in which somebody looked, or nobody. */
export interface OperatorWindow {
  readonly looking: Looking;
  readonly done: number;
  readonly failed: number;
  readonly seconds: number;
  /** CPU time of the gateway's thread alone. */
  readonly threadMicros: number;
}

/** A process of its own, until its first message is delivered. */
export interface StartJob {
  readonly kind: "start";
  readonly contender: "relaypost" | "nodemailer" | "limit";
  readonly port: number;
}

/** Hosts that are opened and asked nothing. */
export interface OpenJob {
  readonly kind: "open";
  readonly contender: "relaypost";
  readonly hosts: number;
}

/** Connections that have worked and rest. */
export interface IdleJob {
  readonly kind: "idle";
  readonly contender: "relaypost" | "nodemailer";
  readonly port: number;
  readonly hosts: number;
  readonly connections: number;
  /** How long they work before. */
  readonly seconds: number;
}

/** Any job. */
export type Job =
  | OperatorJob
  | StartJob
  | OpenJob
  | IdleJob
  | SocketmapJob
  | RelayJob
  | ProbeJob
  | LookupJob
  | ThreadJob
  | HostsJob
  | IsolationJob
  | StreamJob;

/** What came of a job. NaN where a contender cannot tell. */
export interface Measurement {
  /** Messages, lookups or round trips that succeeded. */
  readonly done: number;
  readonly failed: number;
  readonly seconds: number;
  /** CPU of the whole client process, all its threads together. */
  readonly cpuMicros: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  /** Peak resident set of the client process, in octets; for streams, how far it grew. */
  readonly rssOctets: number;
  /** Before the first request could be made. */
  readonly startMs?: number;
}
