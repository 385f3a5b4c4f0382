/**
 * Which users' logins may be asked of a shadow's other host. A password that is right here may be wrong there, and servers lock accounts
 * by counting: after one attempt that was not known to be right, a user's logins are left alone for a day. Serves shadow.ts.
 */
import type { Clock } from "../timer-wheel.js";

const LEFT_ALONE_MS = 86_400_000;
/** When so many users are left alone, no other user is tried: the alternative is to forget whom not to try. */
const MOST_USERS = 10_000;

export class ShadowLogins {
  /** Until when each user is left alone; the oldest first, since all are for the same time. */
  private readonly users = new Map<string, number>();

  constructor(private readonly clock: Clock) {}

  /** Whether a user's login may be tried. If so, no other one of this user may, until {@link wasHarmless}. */
  mayTry(username: string): boolean {
    const nowMs = this.clock.now();
    for (const [user, untilMs] of this.users) {
      if (untilMs > nowMs) {
        break;
      }
      this.users.delete(user);
    }
    // Most servers take names of users in upper and lower case for the same.
    const user = username.toLowerCase();
    if (this.users.has(user) || this.users.size >= MOST_USERS) {
      return false;
    }
    this.users.set(user, nowMs + LEFT_ALONE_MS);
    return true;
  }

  /** The password was right there too, or it was not sent. */
  wasHarmless(username: string): void {
    this.users.delete(username.toLowerCase());
  }
}
