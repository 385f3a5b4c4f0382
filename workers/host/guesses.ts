/**
 * Who guesses passwords (`limits.guesses`): wrong ones with different secrets in the last minute, by user and by client. Serves
 * late-answers.ts. Only so many are remembered: a guesser may name any user there is.
 */
import { Generations } from "../pool/generations.js";

const WINDOW_MS = 60_000;
/** Who guessed longest ago is forgotten first. A guesser who is forgotten as a user is known as a client. */
const MOST_GUESSERS = 10_000;

interface Guesser {
  /** The latest wrong ones, oldest first: never more than the limit. */
  readonly secrets: string[];
  readonly times: number[];
  /** How many in a row were above the limit. */
  over: number;
}

export class Guesses {
  private readonly guessers = new Generations<Guesser>(WINDOW_MS, MOST_GUESSERS);

  get size(): number {
    return this.guessers.size;
  }

  /**
   * A password was wrong.
   *
   * @param who user or client
   * @param secret stands for the credentials
   * @returns how many in a row are above the limit with this one; 0: it is not above it, or was counted before
   */
  count(who: string, secret: string, limit: number, nowMs: number): number {
    const guesser = this.guessers.get(who, nowMs) ?? { secrets: [], times: [], over: 0 };
    this.guessers.set(who, guesser, nowMs);
    const { secrets, times } = guesser;
    dropBefore(guesser, nowMs - WINDOW_MS);
    if (secrets.includes(secret)) {
      return 0;
    }
    secrets.push(secret);
    times.push(nowMs);
    if (times.length <= limit) {
      guesser.over = 0;
    } else {
      guesser.over++;
      secrets.shift();
      times.shift();
    }
    return guesser.over;
  }
}

function dropBefore({ secrets, times }: Guesser, sinceMs: number): void {
  while (times.length > 0 && times[0]! <= sinceMs) {
    secrets.shift();
    times.shift();
  }
}
