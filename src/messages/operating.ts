/** What an operator may ask of a host while it runs, as it crosses between the threads. Beside {@link HostActor}, which serves callers. */
import type { Protocol } from "../api.js";

/** `pause`: requests wait, connections QUIT. `resume`: they go on. `reconnect`: what was learnt of the host is forgotten, and its connections are replaced. */
export type HostOrder = "pause" | "resume" | "reconnect";

/** One connection of a host, as it is now. */
export interface ConnectionSight {
  /** Counted from 1 for each host. */
  readonly number: number;
  readonly state: "opening" | "idle" | "busy" | "closing";
  /** `login`: it tries users' passwords and does nothing else. */
  readonly purpose: "service" | "login";
  /** Since it began to open, in milliseconds. */
  readonly ageMs: number;
  /** Requests given to it so far. */
  readonly requests: number;
  /** Of the peer; null before it was dialled. */
  readonly address: string | null;
  /** `TLSv1.3`; null without TLS. */
  readonly tls: string | null;
}

/** What is to be seen of a host's wire. */
export interface TraceOrder {
  readonly protocol: Protocol;
  /** Only transactions and lookups that name this recipient. */
  readonly recipient: string | undefined;
  /** It ends after so many lines, */
  readonly mostLines: number;
  /** or after so long, in milliseconds. */
  readonly forMs: number;
}

/** One line of the dialogue, as it was on the wire, without its CRLF; credentials and contents are left out. */
export interface TraceLine {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly connection: number;
  readonly from: "relaypost" | "host";
  readonly text: string;
}

/** What was seen since it was asked last. */
export interface TracePart {
  readonly lines: readonly TraceLine[];
  readonly isOver: boolean;
}
