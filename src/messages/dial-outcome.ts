/** How an attempt to open a connection ended: told by the pool's opener.ts, carried by both mailboxes, published as `relaypost:connect`. */
import type { Failure } from "../errors.js";

export interface DialOutcome {
  readonly hostId: string;
  /** Counted from 1 for each host. */
  readonly connection: number;
  /** From the dial to a session that is ready, or to the failure. */
  readonly durationMs: number;
  /** Why there is no session; `undefined`: there is one. */
  readonly failure: Failure | undefined;
  /** TLS version, such as `TLSv1.3`; `null` where there is none. */
  readonly tls: string | null;
}
