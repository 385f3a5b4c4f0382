/** Access tokens on their way from the gateway's thread, which fetches them, to the worker whose connections log in by them. */
import type { Failure } from "../errors.js";

/** A worker asks for a token. */
export interface TokenWish {
  /** The number of the token that the host refused; 0: none was. */
  readonly refused: number;
}

/** An access token. */
export interface AccessToken {
  /** Counted from 1 for each host. */
  readonly serial: number;
  readonly token: string;
  /** How long it may be used, and after what time another one should be asked for, in milliseconds from now. */
  readonly leftMs: number;
  readonly renewInMs: number;
}

/** What a worker is told: a token, or why there is none. */
export type TokenGrant = TokenWish & { readonly outcome: AccessToken | Failure };
