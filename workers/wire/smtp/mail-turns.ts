/** What one connection has seen of mail transactions: whether one stands open, and whether the host takes any. Serves session.ts. */

/** MAIL deferred so often in a row: the next message is tried on a fresh connection. */
const MOST_DEFERRALS = 3;

export class MailTurns {
  /** A MAIL was or may have been accepted and its transaction not ended. */
  isOpen = false;
  /** MAIL commands that were sent. */
  count = 0;
  /** How often MAIL was deferred in a row. */
  private deferrals = 0;

  /** MAIL is sent. */
  begin(): void {
    this.isOpen = true;
    this.count++;
  }

  /** MAIL was answered. False: another connection may do better. */
  answered(code: number): boolean {
    this.deferrals = code >= 400 && code < 500 ? this.deferrals + 1 : 0;
    return this.deferrals < MOST_DEFERRALS;
  }
}
