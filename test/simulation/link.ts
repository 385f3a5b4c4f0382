/**
 * One simulated connection: the {@link Wire} of a session at one end, a scripted peer at the other, two pipes between them. Behaves
 * as workers/wire/connection.ts does on a socket: what is written in one event leaves at its end, a close is told once and later.
 */
import type { Failure } from "../../src/errors.js";
import { Timer, type TimerWheel } from "../../src/timer-wheel.js";
import type { Dial } from "../../workers/wire/dial.js";
import type { Session, Wire } from "../../workers/wire/session.js";
import { LEAST_DELAY_MS, Pipe, type PipeShape } from "./pipe.js";
import type { Random } from "./random.js";
import type { VirtualTime } from "./virtual-time.js";

/** As long as a real connection waits for its peer's close. */
const LINGER_MS = 2_000;

/** What one connection meets. */
export interface LinkFaults extends PipeShape {
  readonly connect: "accepted" | "refused" | "lost";
  readonly tls: "stands" | "fails" | "stalls";
  /** Where a direction is cut. `stall`: nothing more arrives, and nobody is told. */
  readonly cut:
    | { readonly direction: "up" | "down"; readonly atOctet: number; readonly how: "reset" | "stall" }
    | undefined;
  /** Unsent octets are reported so many times as many, so that short contents meet the high-water mark. */
  readonly pressure: number;
}

/** A server's end. */
export interface Peer {
  /** It may speak now. */
  opened(isSecure: boolean): void;
  received(octets: Uint8Array): void;
  secured(): void;
  /** Whether it has agreed to TLS. */
  readonly awaitsTls: boolean;
  /** The client sends nothing more. */
  clientEnded(): void;
  /** The connection is gone; told once, also after finish() and reset(). */
  gone(): void;
}

export class Link implements Wire {
  readonly localAddress = "192.0.2.1";
  session!: Session;
  private state: "connecting" | "open" | "handshaking" | "ending" | "closed" = "connecting";
  private peer: Peer | undefined;
  /** The client wrote something that nothing it heard at that moment had asked for: the connection had rested. */
  hasRested = false;
  private heardMs = Number.POSITIVE_INFINITY;
  /** Something was written since: what follows it does not find the connection at rest. */
  private awaitsReply = false;
  private isPeerOpen = false;
  private outgoing: Uint8Array[] = [];
  private outgoingOctets = 0;
  private readonly whenSent: (() => void)[] = [];
  private failure: Failure | undefined;
  private readonly up: Pipe;
  private readonly down: Pipe;
  private readonly limit = new Timer(() => this.limitPassed());

  constructor(
    private readonly dial: Dial,
    private readonly time: VirtualTime,
    private readonly wheel: TimerWheel,
    private readonly random: Random,
    readonly faults: LinkFaults,
    private readonly accept: (link: Link) => Peer | undefined,
  ) {
    const { cut } = faults;
    const at = (direction: "up" | "down"): number =>
      cut?.direction === direction ? cut.atOctet : Number.POSITIVE_INFINITY;
    const cutOff = (): void => this.cutOff();
    this.up = new Pipe(time, random, faults, at("up"), {
      arrived: (octets) => this.arrivedUp(octets),
      ended: () => this.peer!.clientEnded(),
      cut: cutOff,
    });
    this.down = new Pipe(time, random, faults, at("down"), {
      arrived: (octets) => this.arrivedDown(octets),
      ended: () => this.lost("closed"),
      cut: cutOff,
    });
    wheel.set(this.limit, dial.withinMs);
    if (faults.connect === "accepted") {
      time.after(this.delay() + LEAST_DELAY_MS, () => this.arrive());
    } else if (faults.connect === "refused") {
      time.after(this.delay(), () => this.lost("refused"));
    }
  }

  // --- the session's end -----------------------------------------------------------------------------------------

  get unsentOctets(): number {
    return (this.outgoingOctets + this.up.inFlightOctets) * this.faults.pressure;
  }

  /** Octets are kept as they were given until they leave: who changes them before `whenSent` is found out by the content that arrives. */
  write(data: string | Uint8Array, whenSent?: () => void): void {
    const octets = typeof data === "string" ? Buffer.from(data) : data;
    this.outgoing.push(octets);
    this.outgoingOctets += octets.length;
    if (whenSent !== undefined) {
      this.whenSent.push(whenSent);
    }
    if (this.outgoing.length === 1) {
      this.hasRested ||= !this.awaitsReply && this.time.nowMs > this.heardMs;
      this.awaitsReply = true;
      this.time.soon(this.flush);
    }
  }

  startTls(): void {
    this.flush();
    this.state = "handshaking";
    this.wheel.set(this.limit, this.dial.settings.timeoutMs);
    this.handshake(() => {
      this.peer!.secured();
      this.session.secured();
    });
  }

  end(): void {
    if (this.state === "closed" || this.state === "ending") {
      return;
    }
    this.flush();
    this.state = "ending";
    this.wheel.set(this.limit, LINGER_MS);
    this.up.finish();
  }

  destroy(): void {
    if (this.state === "closed") {
      return;
    }
    this.state = "ending";
    this.hangUp();
    this.time.soon(() => this.close());
  }

  expectWithin(ms: number): void {
    if (this.state !== "open") {
      return;
    }
    if (ms === 0) {
      this.wheel.clear(this.limit);
    } else {
      this.wheel.set(this.limit, ms);
    }
  }

  /** The session's thread is gone, and its sockets with it. */
  crash(): void {
    if (this.state === "closed") {
      return;
    }
    this.state = "closed";
    this.hangUp();
  }

  // --- the peer's end --------------------------------------------------------------------------------------------

  send(text: string): void {
    if (this.isPeerOpen) {
      this.down.send(Buffer.from(text, "latin1"));
    }
  }

  /** Closes after what was sent. */
  finish(): void {
    if (!this.isPeerOpen) {
      return;
    }
    this.down.finish();
    this.leave();
  }

  reset(): void {
    if (!this.isPeerOpen) {
      return;
    }
    this.down.close(this.random.chance(0.5));
    this.leave();
    this.time.after(LEAST_DELAY_MS, () => this.lost("reset"));
  }

  // --- inside ----------------------------------------------------------------------------------------------------

  private readonly flush = (): void => {
    const { outgoing } = this;
    if (outgoing.length === 0) {
      return;
    }
    this.outgoing = [];
    this.outgoingOctets = 0;
    const whenSent = this.whenSent.splice(0);
    if (this.state !== "open") {
      return;
    }
    this.up.send(Buffer.concat(outgoing));
    for (const tell of whenSent) {
      tell();
    }
  };

  private arrive(): void {
    if (this.state !== "connecting") {
      return;
    }
    this.peer = this.accept(this);
    if (this.peer === undefined) {
      this.time.after(LEAST_DELAY_MS, () => this.lost("refused"));
      return;
    }
    this.isPeerOpen = true;
    const { implicit } = this.dial.settings.tls;
    const open = (): void => {
      this.session.connected(implicit);
      this.peer!.opened(implicit);
    };
    if (implicit) {
      this.handshake(open);
    } else {
      this.time.after(LEAST_DELAY_MS, () => this.open(open));
    }
  }

  private handshake(done: () => void): void {
    const { tls } = this.faults;
    if (tls === "stalls") {
      return;
    }
    // Octets that were sent in clear behind the reply to STARTTLS are no TLS record.
    const isBroken = tls === "fails" || this.down.inFlightOctets > 0;
    this.time.after(this.delay() * 2, () => {
      if (isBroken) {
        this.lost("tls");
      } else {
        this.open(done);
      }
    });
  }

  private open(done: () => void): void {
    if (this.state !== "connecting" && this.state !== "handshaking") {
      return;
    }
    this.state = "open";
    this.wheel.clear(this.limit);
    this.hear();
    done();
  }

  private arrivedUp(octets: Uint8Array): void {
    if (this.isPeerOpen) {
      this.peer!.received(octets);
    }
    if (this.faults.pressure > 1 && this.up.inFlightOctets === 0 && this.state === "open") {
      this.session.drained();
    }
  }

  private arrivedDown(octets: Uint8Array): void {
    if (this.state === "handshaking") {
      this.lost("tls");
    }
    if (this.state !== "open") {
      return;
    }
    // A session that keeps a view instead of its contents is found out.
    const lent = Uint8Array.from(octets);
    this.hear();
    this.session.received(lent);
    lent.fill(0xaa);
  }

  private hear(): void {
    this.heardMs = this.time.nowMs;
    this.awaitsReply = false;
  }

  private cutOff(): void {
    if (this.faults.cut!.how === "stall") {
      return;
    }
    this.leave();
    this.time.after(LEAST_DELAY_MS, () => this.lost("reset"));
  }

  private limitPassed(): void {
    if (this.state === "open") {
      this.session.timedOut();
    } else {
      this.lost("timeout");
    }
  }

  /** The socket is closed for a reason that is not the session's. */
  private lost(how: "closed" | "reset" | "refused" | "tls" | "timeout"): void {
    if (this.state === "closed") {
      return;
    }
    const isOpening = this.state === "connecting" || this.state === "handshaking";
    const code =
      how === "tls" || (this.state === "handshaking" && how !== "timeout")
        ? "TLS_FAILED"
        : !isOpening
          ? "REMOTE_CLOSED"
          : how === "timeout"
            ? "CONNECT_TIMEOUT"
            : "CONNECT_FAILED";
    this.failure ??= { code, message: `The simulated connection failed: ${how}.` };
    this.hangUp();
    this.close();
  }

  private close(): void {
    if (this.state === "closed") {
      return;
    }
    this.state = "closed";
    this.wheel.clear(this.limit);
    this.session.closed(this.failure ?? { code: "REMOTE_CLOSED", message: "The simulated connection was closed." });
  }

  /** The server learns that its client is gone; what was on its way may come before that, or never. */
  private hangUp(): void {
    this.down.close(false);
    if (!this.isPeerOpen) {
      return;
    }
    const isKept = this.random.chance(0.5);
    this.time.after(LEAST_DELAY_MS, () => {
      this.up.close(isKept);
      this.leave();
    });
  }

  private leave(): void {
    if (!this.isPeerOpen) {
      return;
    }
    this.isPeerOpen = false;
    this.up.close(false);
    this.peer!.gone();
  }

  private delay(): number {
    return this.random.skewed(LEAST_DELAY_MS, this.faults.mostDelayMs);
  }
}
