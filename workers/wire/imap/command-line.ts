/** The command in flight on an IMAP connection: its tag, which nobody can guess, its octets, and how long its reply may take. Serves session.ts. */
import type { Wire } from "../session.js";
import type { ImapResponseParser } from "./response.js";

const TAG_OCTETS = 6;

export class CommandLine {
  private tag: string | null = null;

  constructor(
    private readonly wire: Wire,
    private readonly parser: ImapResponseParser,
    private readonly randomBytes: (octets: number) => Uint8Array,
  ) {}

  /** @param command what follows the tag, complete with its CRLF */
  send(command: string | Uint8Array, withinMs: number): void {
    this.tag = `r${Buffer.from(this.randomBytes(TAG_OCTETS)).toString("hex")}`;
    this.wire.write(`${this.tag} `);
    this.goOn(command, withinMs);
  }

  /** More of the command in flight: the server has asked for it. */
  goOn(octets: string | Uint8Array, withinMs: number): void {
    this.parser.startReply();
    this.wire.write(octets);
    this.expectWithin(withinMs);
  }

  /** A tagged response ends the command in flight; false: it belongs to no such command. */
  take(tag: string): boolean {
    const isOurs = tag === this.tag;
    if (isOurs) {
      this.tag = null;
    }
    return isOurs;
  }

  expectWithin(ms: number): void {
    this.wire.expectWithin(ms);
  }
}
