/** What the simulated mail and IMAP servers have in common: input by lines, replies in order and maybe late, strict about grouping. */
import type { Ledger, PeerRecord } from "./ledger.js";
import type { Link, Peer } from "./link.js";
import type { PeerFaults } from "./peer-faults.js";
import type { Random } from "./random.js";
import type { Offer, Scenario } from "./scenario.js";
import type { Trace } from "./trace.js";
import type { VirtualTime } from "./virtual-time.js";

/** What a server's end of a connection is made of. */
export interface PeerParts {
  readonly link: Link;
  readonly record: PeerRecord;
  readonly faults: PeerFaults;
  readonly scenario: Scenario;
  readonly time: VirtualTime;
  readonly random: Random;
  readonly ledger: Ledger;
  readonly trace: Trace;
  /** What each relay's content must look like on arrival, by its number. */
  readonly contents: ReadonlyMap<string, string>;
  /** Of each relay, by its number. */
  readonly recipients: ReadonlyMap<string, readonly string[]>;
  readonly pace: Pace;
}

/** How slow the servers are now: each reply takes so much longer. */
export interface Pace {
  replyMs: number;
}

export abstract class LinePeer implements Peer {
  abstract readonly awaitsTls: boolean;
  protected readonly link: Link;
  protected readonly record: PeerRecord;
  protected readonly faults: PeerFaults;
  protected readonly random: Random;
  protected readonly ledger: Ledger;
  protected readonly offer: Offer;
  protected input = "";
  protected isSecure = false;
  /** It waits until a late reply is said; what comes meanwhile waits too. */
  private isBusy = false;
  private isGone = false;
  private isDeaf = false;
  private hasClientEnded = false;
  private isLineLost = false;
  /** Something stood behind the last command when its reply was said. */
  private wasGrouped = false;
  private stopIdling: () => void = () => {};

  constructor(protected readonly parts: PeerParts) {
    this.link = parts.link;
    this.record = parts.record;
    this.faults = parts.faults;
    this.random = parts.random;
    this.ledger = parts.ledger;
    this.offer = parts.scenario.offer;
  }

  protected abstract greet(): void;
  /** Reads one command, line or chunk from the input. False: it is not complete. */
  protected abstract read(): boolean;
  /** What it says when it has waited too long for a command. */
  protected abstract farewell(): string;
  /** Commands may come before the replies to those before them. */
  protected abstract get mayGroup(): boolean;

  opened(isSecure: boolean): void {
    this.isSecure = isSecure;
    if (this.faults.isSilent) {
      this.isDeaf = true;
    } else {
      this.greet();
    }
  }

  received(octets: Uint8Array): void {
    this.input += Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("latin1");
    this.run();
  }

  secured(): void {
    if (!this.awaitsTls) {
      this.violation("TLS began before it was agreed to");
    }
    if (this.faults.injects) {
      this.violation("TLS began although octets stood behind the reply to STARTTLS");
    }
    this.isSecure = true;
    this.input = "";
    this.wasGrouped = false;
  }

  clientEnded(): void {
    this.hasClientEnded = true;
    this.run();
  }

  gone(): void {
    this.isGone = true;
    this.stopIdling();
    this.note("the connection is gone");
    this.ledger.gone(this.record);
  }

  /** The server goes down. */
  stop(): void {
    this.link.reset();
  }

  protected takeLine(): string | undefined {
    const end = this.input.indexOf("\r\n");
    if (end === -1) {
      return undefined;
    }
    const line = this.input.slice(0, end);
    this.input = this.input.slice(end + 2);
    if (!this.isLineLost) {
      return line;
    }
    this.isLineLost = false;
    return this.takeLine();
  }

  /** Says a reply, perhaps late. `endsGroup`: nothing may have been sent behind its command. */
  protected answer(text: string, endsGroup: boolean, then?: () => void): void {
    const lateMs = this.faults.lateMs + this.parts.pace.replyMs;
    if (lateMs === 0) {
      return this.say(text, endsGroup, then);
    }
    this.isBusy = true;
    this.parts.time.after(lateMs, () => {
      this.isBusy = false;
      if (this.isGone) {
        return;
      }
      this.say(text, endsGroup, then);
      this.run();
    });
  }

  /** Looks at a command before it is obeyed. True: it shall be obeyed, refused where `refuse` is called. */
  protected isServed(refuse: () => void): boolean {
    switch (this.faults.fate()) {
      case "closed":
        this.note("closes instead of a reply");
        this.link.finish();
        return false;
      case "reset":
        this.note("resets the connection");
        this.link.reset();
        return false;
      case "stalled":
        this.note("says nothing more");
        this.isDeaf = true;
        return false;
      case "garbage":
        this.note("says garbage");
        this.link.send(this.faults.garbage);
        this.isDeaf = true;
        return false;
      case "closed-behind":
        this.closeBehind = true;
        return true;
      case "refused":
        refuse();
        return true;
      default:
        return true;
    }
  }

  protected violation(what: string): void {
    this.ledger.violation(`connection ${this.record.number}: ${what}`);
  }

  protected note(what: string): void {
    this.parts.trace.add(`s${this.record.number}`, what);
  }

  /** Called with each command that is read. */
  protected noteCommand(line: string): void {
    this.note(`< ${line}`);
    if (this.wasGrouped && !this.mayGroup && this.record.isPairable) {
      this.violation(`"${line}" was sent before the reply to the command before it, and that is not offered`);
    }
    this.stopIdling();
    this.stopIdling = () => {};
  }

  private closeBehind = false;

  private say(text: string, endsGroup: boolean, then?: () => void): void {
    if (endsGroup && this.input !== "" && this.record.isPairable) {
      this.violation(`octets stand behind a command that ends its group: ${JSON.stringify(this.input.slice(0, 40))}`);
    }
    this.note(`> ${text.trimEnd().replaceAll("\r\n", " | ")}`);
    this.link.send(text);
    this.wasGrouped = this.input !== "";
    if (this.wasGrouped && this.faults.drops) {
      this.note("throws away what it has read");
      this.record.isPairable = false;
      // The rest of a line that was half read goes too: a reply to it would hide that one is missing.
      this.isLineLost = !this.input.endsWith("\r\n");
      this.input = "";
    }
    then?.();
    if (this.closeBehind) {
      this.link.finish();
    }
    this.idle();
  }

  private idle(): void {
    if (this.isGone || !this.random.chance(this.parts.scenario.faults.idleClose)) {
      return;
    }
    this.stopIdling();
    this.stopIdling = this.parts.time.after(this.random.pick([1, 10, 50, 500, 3_000]), () => {
      if (this.isBusy || this.isDeaf || this.input !== "") {
        return;
      }
      this.note("has waited long enough");
      if (this.random.chance(0.3)) {
        return this.link.reset();
      }
      if (this.random.chance(0.7)) {
        this.link.send(this.farewell());
      }
      this.link.finish();
    });
  }

  private run(): void {
    while (!this.isBusy && !this.isGone && !this.isDeaf && this.read()) {}
    if (this.hasClientEnded && !this.isBusy && !this.isGone) {
      this.link.finish();
    }
  }
}
