/** What a connection attempt needs to know. Given by the pool's dialer, read by connection.ts and by whatever stands in for it. */
import type { HostSettings } from "../../src/config/settings.js";
import type { PlainSocket } from "./plain-socket.js";
import type { TlsMemory } from "./tls.js";
import type { WireTap } from "./wire-tap.js";

/** One connection attempt to one address. */
export interface Dial {
  readonly settings: HostSettings;
  /** An IP address. */
  readonly address: string;
  /** What is left of `remote.<id>.timeout`, for TCP and implicit TLS. */
  readonly withinMs: number;
  readonly tls: TlsMemory;
  /** The connection's number, and where it looks whether somebody listens. */
  readonly connection?: number;
  readonly tap?: WireTap;
  /** Octets in front of everything, TLS included: the PROXY protocol's header. */
  readonly preface?: Uint8Array | undefined;
  /** The TCP connection, where it stands already: the one that {@link Reach} found. */
  readonly plain?: PlainSocket | undefined;
}

/** Several addresses of one host, to be connected to side by side. */
export interface Reach {
  readonly settings: HostSettings;
  /** Best first. */
  readonly addresses: readonly string[];
  /** What is left of `remote.<id>.timeout`. */
  readonly withinMs: number;
}
