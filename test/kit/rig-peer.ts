/** One connection to a host under the clock of a test, seen from the server, which answers as the test says. Made by host-rig.ts. */
import assert from "node:assert/strict";
import type { Failure } from "../../src/errors.js";
import type { Clock } from "../../src/timer-wheel.js";
import type { Session, Wire } from "../../workers/wire/session.js";

/** What a peer says to a line; undefined: nothing yet. */
export type AnswerLine = (line: string, peer: RigPeer) => string | undefined;

/** What a peer needs of its rig. */
export interface PeerOwner {
  readonly clock: Clock;
  readonly options: {
    readonly answer?: AnswerLine;
    readonly connect?: (peer: RigPeer) => "accept" | "refuse" | "hold";
    readonly greeting?: (peer: RigPeer) => string | undefined;
  };
  /** The ends of connections are held back. */
  readonly holdsClose: boolean;
  /** Calls back behind all that happens now. */
  soon(run: () => void): void;
}

/** A friendly server: accepts everything but recipients that begin with `no`, and every password `good`. */
export const friendly: AnswerLine = (line) => {
  const [verb = "", rest = ""] = line.split(/ (.*)/);
  switch (verb) {
    case "EHLO":
    case "LHLO":
      return "250-host\r\n250-PIPELINING\r\n250 AUTH PLAIN";
    case "RCPT":
      return rest.startsWith("TO:<no") ? "550 5.1.1 unknown" : "250 ok";
    case "VRFY":
      return `250 <${rest}>`;
    case "AUTH":
      return Buffer.from(rest.split(" ")[1] ?? "", "base64")
        .toString()
        .endsWith("\0good")
        ? "235 ok"
        : "535 no";
    case "DATA":
      return "354 go";
    case "QUIT":
      return "221 bye";
    default:
      return "250 ok";
  }
};

/** One connection, seen from the server. */
export class RigPeer implements Wire {
  readonly localAddress = "192.0.2.1";
  unsentOctets = 0;
  readonly lines: string[] = [];
  state: "connecting" | "open" | "ending" | "gone" = "connecting";
  isInContent = false;
  /** A reply is held back: later commands wait, since replies keep their order. */
  private isHolding = false;
  private readonly heldLines: string[] = [];
  private session!: Session;
  private unread = "";
  private limitMs = 0;
  private stopLimit: (() => void) | undefined;

  constructor(
    private readonly rig: PeerOwner,
    readonly number: number,
    readonly address: string,
    /** What stands in front of everything, where something does. */
    readonly preface: Uint8Array | undefined,
  ) {}

  begin(session: Session): void {
    this.session = session;
    this.rig.soon(() => {
      if (this.state !== "connecting") {
        return;
      }
      const outcome = this.rig.options.connect?.(this) ?? "accept";
      if (outcome === "accept") {
        this.accept();
      } else if (outcome === "refuse") {
        this.cut({ code: "CONNECT_FAILED", message: "refused" });
      }
    });
  }

  accept(): void {
    this.state = "open";
    this.session.connected(true);
    const { greeting } = this.rig.options;
    const said = greeting === undefined ? "220 host" : greeting(this);
    if (said !== undefined) {
      this.say(said);
    }
  }

  /** Says something, and goes on with what was held back until it is said. */
  say(text: string): void {
    this.rig.soon(() => {
      if (this.state === "open") {
        this.session.received(Buffer.from(`${text}\r\n`));
      }
    });
    this.isHolding = false;
    for (const line of this.heldLines.splice(0)) {
      this.rig.soon(() => this.read(line));
    }
  }

  /** The connection is gone. */
  cut(failure: Failure = { code: "REMOTE_CLOSED", message: "cut" }): void {
    if (this.state === "gone") {
      return;
    }
    this.state = "gone";
    this.stopLimit?.();
    this.rig.soon(() => this.session.closed(failure));
  }

  write(data: string | Uint8Array): void {
    this.unread += Buffer.from(data as string).toString("latin1");
    const lines = this.unread.split("\r\n");
    this.unread = lines.pop()!;
    for (const line of lines) {
      this.rig.soon(() => this.read(line));
    }
  }

  startTls(): void {
    assert.fail("the rig speaks TLS from the start");
  }

  end(): void {
    if (this.state !== "open") {
      return;
    }
    this.rig.soon(() => !this.rig.holdsClose && this.cut());
    this.state = "ending";
  }

  destroy(): void {
    this.cut();
  }

  expectWithin(ms: number): void {
    this.stopLimit?.();
    this.limitMs = ms;
    if (ms > 0) {
      this.stopLimit = this.rig.clock.after(ms, () => this.limitMs > 0 && this.session.timedOut());
    }
  }

  private read(line: string): void {
    if (this.state === "gone") {
      return;
    }
    if (this.isHolding) {
      this.heldLines.push(line);
      return;
    }
    if (this.isInContent && line !== ".") {
      return;
    }
    this.isInContent = false;
    this.lines.push(line);
    const reply = (this.rig.options.answer ?? friendly)(line, this);
    this.isHolding = reply === undefined;
    if (reply === undefined) {
      return;
    }
    this.isInContent = reply.startsWith("354");
    this.say(reply);
  }
}
