/**
 * Replays a dialogue against a sans-IO session, for the unit tests of smtp/ and imap/: what the server says is delivered
 * whole, byte by byte, and cut in two at every place, and each time the session must write and report the same.
 *
 * A transcript is a list of steps:
 * - `"S: text"`  the server sends this line. Neighbouring server steps arrive as one segment (until a replay cuts them).
 * - `"S| text"`  the server sends this without a line ending.
 * - `"C: text"`  the session must have written exactly this line. A word like `$a` stands for any word without spaces: the first
 *   time it is remembered, afterwards (in C and in S) it means the same. So unpredictable tags can be written down.
 * - `"C| text"`  the session must have written exactly this, without a line ending.
 * - `"TLS"`      the session must have asked for TLS; the handshake succeeds.
 * - `"TIMEOUT"`  the session must be waiting for something; the time for it passes.
 * - `"EOF"`      the connection is gone.
 * - `"END"`      the session must have asked for an orderly close, or `"DESTROY"` for one at once; it is closed.
 * - a function   called with the session: what the owner does.
 *
 * Whatever the session writes must stand in the transcript; what follows after a close is not delivered.
 */
import assert from "node:assert/strict";
import type { Failure } from "../../src/errors.js";
import type { Session, Wire } from "../../workers/wire/session.js";

/** One dialogue. */
export interface Script<S extends Session> {
  /** Makes a fresh session; `wire` is what it writes to. */
  open(wire: Wire): S;
  /** Whether TLS stands from the start. Default false. */
  readonly isSecure?: boolean;
  readonly steps: readonly (string | ((session: S) => void))[];
}

/** How the server's bytes are cut: not at all, into single bytes, or the segment numbered `segment` once, before octet `at`. */
export type Cut = "whole" | "bytes" | { readonly segment: number; readonly at: number };

/** What became of one replay. */
export interface Played<S extends Session> {
  readonly session: S;
  readonly wire: ScriptedWire;
  /** Octets of each segment of the server, in order: where it can be cut. */
  readonly segments: readonly number[];
}

/** A wire without a socket: it records. */
export class ScriptedWire implements Wire {
  localAddress: string | undefined = "192.0.2.1";
  unsentOctets = 0;
  /** What the session does with its connection; `closed` once the session was told so. */
  state: "open" | "starting-tls" | "ending" | "destroyed" | "closed" = "open";
  /** The last value given to expectWithin. */
  awaitedMs = 0;
  private written: Buffer = Buffer.alloc(0);

  write(data: string | Uint8Array): void {
    if (this.state === "destroyed" || this.state === "closed") {
      return;
    }
    assert.notEqual(this.state, "starting-tls", "nothing may be written between the request for TLS and its handshake");
    assert.notEqual(this.state, "ending", "nothing may be written after end()");
    this.written = Buffer.concat([this.written, Buffer.from(data as string)]);
  }

  startTls(): void {
    assert.equal(this.state, "open");
    this.state = "starting-tls";
  }

  end(): void {
    if (this.state === "open") {
      this.state = "ending";
    }
  }

  destroy(): void {
    if (this.state !== "closed") {
      this.state = "destroyed";
    }
  }

  expectWithin(ms: number): void {
    this.awaitedMs = ms;
  }

  /** Octets written that no step has taken yet. */
  get untaken(): Buffer {
    return this.written;
  }

  /** Takes a line that must have been written; without its line ending. */
  takeLine(wanted: string): string {
    const end = this.written.indexOf("\r\n");
    assert.notEqual(end, -1, `the session should have written ${JSON.stringify(wanted)}; it wrote ${this.describe()}`);
    const line = this.written.subarray(0, end).toString();
    this.written = this.written.subarray(end + 2);
    return line;
  }

  /** Takes octets that must have been written. */
  takeText(wanted: string): void {
    const octets = Buffer.byteLength(wanted);
    assert.equal(this.written.subarray(0, octets).toString(), wanted);
    this.written = this.written.subarray(octets);
  }

  describe(): string {
    return JSON.stringify(this.written.toString());
  }
}

/** Replays a script once. Throws where the session departs from it. */
export function replay<S extends Session>(script: Script<S>, cut: Cut = "whole"): Played<S> {
  const player = new Player(script, cut);
  for (const step of script.steps) {
    player.step(step);
  }
  player.finish();
  return player;
}

/**
 * Replays a script whole, byte by byte and at every split, and calls `check` after each: what the owner was told must not depend
 * on where the network cut the bytes.
 */
export function replayEverySplit<S extends Session>(script: () => Script<S>, check: (played: Played<S>) => void): void {
  const whole = replay(script(), "whole");
  check(whole);
  check(replay(script(), "bytes"));
  whole.segments.forEach((octets, segment) => {
    for (let at = 1; at < octets; at++) {
      const played = replay(script(), { segment, at });
      try {
        check(played);
      } catch (error) {
        throw new Error(`segment ${segment} cut before octet ${at}`, { cause: error });
      }
    }
  });
}

class Player<S extends Session> implements Played<S> {
  readonly wire = new ScriptedWire();
  readonly session: S;
  readonly segments: number[] = [];
  private readonly words = new Map<string, string>();
  private segment = "";

  constructor(
    script: Script<S>,
    private readonly cut: Cut,
  ) {
    this.session = script.open(this.wire);
    this.session.connected(script.isSecure ?? false);
  }

  step(step: string | ((session: S) => void)): void {
    if (typeof step === "string" && /^S[:|] /.test(step)) {
      this.segment += this.fill(step.slice(3)) + (step[1] === ":" ? "\r\n" : "");
      return;
    }
    this.deliver();
    if (typeof step === "function") {
      this.mustBeTaken();
      step(this.session);
      this.settle();
    } else if (step.startsWith("C: ")) {
      this.match(step.slice(3), this.wire.takeLine(step.slice(3)));
    } else if (step.startsWith("C| ")) {
      this.wire.takeText(this.fill(step.slice(3)));
    } else {
      this.event(step);
    }
  }

  finish(): void {
    this.deliver();
    this.mustBeTaken();
  }

  private event(step: string): void {
    this.mustBeTaken();
    const { state } = this.wire;
    switch (step) {
      case "TLS":
        assert.equal(state, "starting-tls", "the session should have asked for TLS");
        this.wire.state = "open";
        this.session.secured();
        break;
      case "TIMEOUT":
        assert.ok(this.wire.awaitedMs > 0, "the session should be waiting for something");
        this.wire.awaitedMs = 0;
        this.session.timedOut();
        break;
      case "EOF":
        this.close();
        break;
      case "END":
        assert.equal(state, "ending", "the session should have ended the connection");
        this.close();
        break;
      case "DESTROY":
        assert.equal(state, "closed", "the session should have destroyed the connection");
        break;
      default:
        assert.fail(`unknown step ${step}`);
    }
    this.settle();
  }

  private mustBeTaken(): void {
    assert.equal(this.wire.untaken.length, 0, `the session wrote what no step expects: ${this.wire.describe()}`);
  }

  private deliver(): void {
    if (this.segment === "") {
      return;
    }
    this.mustBeTaken();
    const bytes = Buffer.from(this.segment);
    const number = this.segments.push(bytes.length) - 1;
    this.segment = "";
    for (const part of cutBytes(bytes, number, this.cut)) {
      if (this.wire.state === "closed") {
        return;
      }
      // A copy that is spoilt afterwards: a session that keeps a view instead of its contents is found out.
      const lent = Uint8Array.from(part);
      this.session.received(lent);
      lent.fill(0xaa);
      this.settle();
    }
  }

  /** A destroyed connection tells its session so, later than the call that destroyed it. */
  private settle(): void {
    if (this.wire.state === "destroyed") {
      this.close();
    }
  }

  private close(): void {
    if (this.wire.state === "closed") {
      return;
    }
    this.wire.state = "closed";
    const failure: Failure = { code: "REMOTE_CLOSED", message: "The connection is gone." };
    this.session.closed(failure);
  }

  private fill(text: string): string {
    return text.replace(/\$[a-z]\w*/g, (name) => this.words.get(name) ?? name);
  }

  private match(wanted: string, line: string): void {
    let pattern = "^";
    const names: string[] = [];
    for (const part of this.fill(wanted).split(/(\$[a-z]\w*)/)) {
      if (/^\$[a-z]/.test(part)) {
        names.push(part);
        pattern += "([^ ]+)";
      } else {
        pattern += part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
      }
    }
    const found = new RegExp(`${pattern}$`).exec(line);
    assert.ok(found !== null, `the session wrote ${JSON.stringify(line)} instead of ${JSON.stringify(wanted)}`);
    names.forEach((name, i) => {
      this.words.set(name, found[i + 1] ?? "");
    });
  }
}

function cutBytes(bytes: Uint8Array, segment: number, cut: Cut): Uint8Array[] {
  if (cut === "whole") {
    return [bytes];
  }
  if (cut === "bytes") {
    return Array.from(bytes, (octet) => Uint8Array.of(octet));
  }
  if (cut.segment !== segment) {
    return [bytes];
  }
  return [bytes.subarray(0, cut.at), bytes.subarray(cut.at)];
}
