/** What a listener's protocol is to the connection that carries it. Implemented by each protocol, driven by conversation.ts. */

/** What goes back to the client; empty for nothing. */
export type Answer = string | Promise<string>;

/** An answer's promise rejects with it when the connection must end instead. */
export class Hangup extends Error {
  override readonly name = "Hangup";
}

/** One client, sans IO: octets in, answers out, in the order of the requests. */
export interface Session {
  /** Said before the client says anything; empty for nothing. */
  readonly greeting: string;
  receive(chunk: Buffer): void;
  /**
   * The answer to the next whole request among the octets received, or `undefined` when there is none.
   *
   * @throws ProtocolError when the client broke the protocol
   */
  next(): Answer | undefined;
}
