/**
 * The place where a host's connections look whether somebody listens: one field that is read for each write and each read, and is
 * `undefined` unless an operator asked for a trace. Handed to connections by the pool's dialer, filled by its actor.
 */

/** Hears what goes over the wire, before TLS and after it. */
export interface WireListener {
  sent(connection: number, data: string | Uint8Array): void;
  received(connection: number, octets: Uint8Array): void;
}

export interface WireTap {
  listener: WireListener | undefined;
}

/** For connections that nobody can listen to. */
export const NO_TAP: WireTap = Object.freeze({ listener: undefined });
