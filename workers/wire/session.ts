/**
 * The seam between a protocol session (sans-IO: smtp/, imap/) and whoever moves its bytes:
 * connection.ts on a real socket, a simulated one, or a test with a transcript.
 */
import type { Failure } from "../../src/errors.js";

/** What a session may do with its connection. */
export interface Wire {
  /**
   * Queues octets; everything queued in one turn of the event loop leaves in one write. A string goes out as UTF-8.
   * @param whenSent the peer's side has taken this and everything before it, so that its memory may be used again; never called on a lost connection
   */
  write(data: string | Uint8Array, whenSent?: () => void): void;
  /** The IP address that the connection comes from, once it stands. A unix socket has none. */
  readonly localAddress: string | undefined;
  /** Octets queued and not yet taken by the peer: content waits when there are too many. */
  readonly unsentOctets: number;
  /** Starts TLS now. {@link Session.secured} follows, or {@link Session.closed}. */
  startTls(): void;
  /** Closes after what is queued was sent. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
  /** The reply that is awaited now must be complete within this time, else {@link Session.timedOut}. Bytes do not prolong it. 0: nothing is awaited. */
  expectWithin(ms: number): void;
  /** Where it leads, and by which TLS. */
  readonly sight?: WireSight;
}

/** What an operator may see of a connection. */
export interface WireSight {
  readonly address: string;
  /** The protocol version; null without TLS. */
  readonly tls: string | null;
}

/** What a connection tells its session. */
export interface Session {
  /** TCP (and implicit TLS) stands. */
  connected(isSecure: boolean): void;
  /** Bytes; the buffer is only valid during the call. */
  received(bytes: Uint8Array): void;
  /** The handshake that {@link Wire.startTls} began is done, the peer's identity checked. */
  secured(): void;
  /** The limit given to {@link Wire.expectWithin} passed. */
  timedOut(): void;
  /** Unsent octets fell below the high-water mark again. */
  drained(): void;
  /** The connection is gone; nothing follows. Called once, also after `end()` and `destroy()`. */
  closed(failure: Failure): void;
}
