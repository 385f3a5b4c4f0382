/**
 * The access token that a host's connections log in by, and those of them that wait for one. Kept by dialer.ts; the gateway's thread,
 * which fetches tokens, is asked through the pool's owner.
 */
import { type Failure, isFailure } from "../../src/errors.js";
import type { TokenGrant } from "../../src/messages/tokens.js";
import type { Clock } from "../../src/timer-wheel.js";

/** A token that may be used now. */
export interface UsableToken {
  readonly serial: number;
  readonly token: string;
}

type Use = (outcome: UsableToken | Failure) => void;

interface HeldToken extends UsableToken {
  readonly endMs: number;
  readonly renewMs: number;
}

/** The next token that has not come is asked for again after so long, while the one at hand may be used: nobody tells of a failure until then. */
const ASK_AGAIN_MS = 10_000;

export class AccountTokens {
  private held: HeldToken | undefined;
  /** Before then another one is not asked for, once it was. */
  private askAgainMs = Number.NEGATIVE_INFINITY;
  private waiting: { readonly refused: number; readonly use: Use }[] = [];

  /** @param ask for a token other than that with the number `refused`; it comes by {@link given}, never before `ask` returns */
  constructor(
    private readonly clock: Clock,
    private readonly ask: (refused: number) => void,
  ) {}

  /**
   * Calls back with a token, at once where one is held.
   *
   * @param refused the number of the token that the host refused; 0: none was. Where no other one is to be had, it is that again
   */
  take(refused: number, use: Use): void {
    const { held } = this;
    const now = this.clock.now();
    if (held !== undefined && now < held.endMs && held.serial !== refused) {
      if (now >= held.renewMs && now >= this.askAgainMs) {
        this.askAgainMs = now + ASK_AGAIN_MS;
        this.ask(0);
      }
      return use(held);
    }
    const isAsked = this.waiting.some((other) => other.refused === refused);
    this.waiting.push({ refused, use });
    if (!isAsked) {
      this.ask(refused);
    }
  }

  given({ refused, outcome }: TokenGrant): void {
    const now = this.clock.now();
    if (!isFailure(outcome)) {
      const { serial, token, leftMs, renewInMs } = outcome;
      this.held = { serial, token, endMs: now + leftMs, renewMs: now + renewInMs };
    }
    const { waiting } = this;
    const isMeant = (each: { refused: number }): boolean =>
      each.refused === refused || (!isFailure(outcome) && each.refused !== outcome.serial);
    this.waiting = waiting.filter((each) => !isMeant(each));
    for (const { use } of waiting.filter(isMeant)) {
      use(outcome);
    }
  }
}
