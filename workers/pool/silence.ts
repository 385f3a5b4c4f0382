/**
 * Notices a hung host: one that takes connections and says nothing to anybody. The pool asks here, since no failed attempt tells
 * of it, how long a host's silence is normal, and whether it has lasted for longer.
 *
 * A hung host is down: requests are refused at once. One connection waits at its door meanwhile and is replaced by a fresh one
 * from time to time, more and more seldom; the first octets that come on any connection end it.
 */
import type { HostSettings } from "../../src/config/settings.js";
import type { Clock } from "../../src/timer-wheel.js";
import type { TaskKind } from "./task.js";

/** Whoever waited for less says nothing about the host. */
const LEAST_PATIENCE_MS = 2_000;
/** A wait is long by so many times the host's usual one. */
const LONG = 3;
/**
 * A login may take so long while the host speaks on other connections. Dovecot as its package sets it up lets the logins of an address
 * with wrong passwords wait, right ones too: up to 15 s for the address, and 2 s for what was wrong.
 */
const LATE_LOGIN_MS = 30_000;
/** Callers who gave up one after the other, without a word of the host in between. */
const MOST_GIVEN_UP = 3;
const MOST_KNOCK_MS = 60_000;
/** A longest time is forgotten by so much with each one that is shorter. */
const FORGET = 1 / 16;

export class Silence {
  isHung = false;
  /** When a connection of the host last got something to read. */
  private heardMs: number;
  private givenUp = 0;
  private knocks = 0;
  private knockedMs = 0;
  /** About the longest times of late. */
  private readonly longestMs = { relay: 0, lookup: 0, auth: 0 };

  constructor(
    private readonly clock: Clock,
    private readonly settings: () => HostSettings,
  ) {
    this.heardMs = clock.now();
  }

  /** A connection got something to read. True: the host was hung until now. */
  heard(): boolean {
    this.heardMs = this.clock.now();
    this.givenUp = 0;
    if (!this.isHung) {
      return false;
    }
    this.isHung = false;
    this.knocks = 0;
    return true;
  }

  /** A request was with the host for so long. Those that ended in its silence teach nothing. */
  took(kind: TaskKind, ms: number): void {
    if (this.isHung) {
      return;
    }
    const of = classOf(kind);
    const longestMs = this.longestMs[of];
    this.longestMs[of] = ms > longestMs ? ms : longestMs + (ms - longestMs) * FORGET;
  }

  /** How long a lookup or a login may go on without a word: logins longer where this host delays its answers to wrong passwords. */
  limitMs(kind: TaskKind): number {
    const { lookupMs } = this.settings().timeouts;
    return kind === "auth" ? Math.max(lookupMs, LONG * this.longestMs.auth) : lookupMs;
  }

  /** What is left for a login that had no word since then, on a host that may be slow to it alone. */
  lateMs(sinceMs: number): number {
    return this.isHung || this.isSince(sinceMs) ? 0 : Math.max(0, sinceMs + LATE_LOGIN_MS - this.clock.now());
  }

  /** Nothing was heard on any connection since then. */
  isSince(sinceMs: number): boolean {
    return this.heardMs <= sinceMs;
  }

  /** A caller's deadline passed. True: too many in a row, who waited for longer than this host usually takes. */
  gaveUp(kind: TaskKind, sinceMs: number): boolean {
    const least = kind === "relay" ? this.settings().timeouts.lookupMs : LEAST_PATIENCE_MS;
    const patienceMs = Math.max(least, LONG * this.longestMs[classOf(kind)]);
    if (this.isHung || !this.isSince(sinceMs) || this.clock.now() - sinceMs < patienceMs) {
      return false;
    }
    this.givenUp++;
    return this.givenUp >= MOST_GIVEN_UP;
  }

  /** A connection ended for want of a reply, and had last got something then. True: too many in a row. */
  timedOut(sinceMs: number): boolean {
    if (this.isHung || !this.isSince(sinceMs)) {
      return false;
    }
    this.givenUp++;
    return this.givenUp >= MOST_GIVEN_UP;
  }

  /** The host is hung from now on. */
  begin(): void {
    this.isHung = true;
    this.knocks = 0;
  }

  /** A connection is made to find out. */
  knock(): void {
    this.knocks++;
    this.knockedMs = this.clock.now();
  }

  /** How long the one that waits at the door is left there before a fresh one takes its place. */
  get knockMs(): number {
    return Math.min(MOST_KNOCK_MS, this.settings().timeouts.lookupMs * 2 ** Math.max(0, this.knocks - 1));
  }

  /** Until the next one. */
  get waitMs(): number {
    return Math.max(0, this.knockedMs + this.knockMs - this.clock.now());
  }
}

function classOf(kind: TaskKind): "relay" | "lookup" | "auth" {
  return kind === "relay" || kind === "auth" ? kind : "lookup";
}
