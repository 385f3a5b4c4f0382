/**
 * Tells the owner of an IMAP session that a login may be given, from a loop and not from within `login()`: a queue of a thousand
 * logins that this server cannot serve at all is answered in one go, and must not be a stack of a thousand calls.
 */
export class ReadyLoop {
  private state: "idle" | "telling" | "again" = "idle";

  constructor(
    private readonly isReady: () => boolean,
    private readonly tell: () => void,
  ) {}

  run(): void {
    if (this.state !== "idle") {
      this.state = "again";
      return;
    }
    do {
      this.state = "telling";
      if (this.isReady()) {
        this.tell();
      }
    } while (this.isDueAgain);
    this.state = "idle";
  }

  /** Asked for while it told. */
  private get isDueAgain(): boolean {
    return this.state === "again";
  }
}
