/**
 * Wrong passwords above `limits.guesses`: the host has answered, and its connection serves others; whoever asked is told later, so
 * that guessing is slow whether the host itself delays or not. A right password is never late. Works for actor.ts.
 */
import { NO_CLIENT, networkOfClient } from "../../src/messages/client.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { Timer } from "../../src/timer-wheel.js";
import type { World } from "../world.js";
import { shortHashOf } from "./cache-keys.js";
import { Guesses } from "./guesses.js";
import type { LoginLookup } from "./questions.js";

const FIRST_MS = 1_000;
const LONGEST_MS = 15_000;
/** Held answers wait as requests do, and may not fill the queue of those who have guessed nothing. */
const MOST_HELD = 1_000;
const TOLD_EVERY_MS = 60_000;

export class LateAnswers {
  /** Wrong passwords answered late so far. */
  count = 0;
  private readonly users = new Guesses();
  private readonly clients = new Guesses();
  /** What is held back, oldest first, and how each is told. */
  private readonly held = new Map<Timer, () => void>();
  private lastLoggedMs = Number.NEGATIVE_INFINITY;
  private sinceLogged = 0;

  constructor(
    private readonly world: World,
    private readonly log: HostLog,
  ) {}

  /**
   * A password was wrong.
   *
   * @param limit `limits.guesses`; 0: nothing is held back
   * @param tell tells those who wait
   * @returns whether they are told later
   */
  holds(login: LoginLookup, limit: number, tell: () => void): boolean {
    if (limit === 0 || login.isRefresh) {
      return false;
    }
    const nowMs = this.world.clock.now();
    const { username } = login.credentials;
    const client = networkOfClient(login.client);
    const secret = shortHashOf(login.key);
    const ofUser = this.users.count(username, secret, limit, nowMs);
    const ofClient = client === NO_CLIENT ? 0 : this.clients.count(client, secret, limit, nowMs);
    const over = Math.max(ofUser, ofClient);
    if (over === 0 || login.waiting === 0) {
      return false;
    }
    this.note(ofClient >= ofUser ? "client" : "user", username, client, nowMs);
    // In time: a late verdict is worth more than none.
    const ms = Math.min(FIRST_MS * 2 ** (over - 1), LONGEST_MS, (login.deadlineMs - nowMs) / 2);
    this.hold(Math.max(0, ms), tell);
    return true;
  }

  /** Tells everyone now. */
  flush(): void {
    for (const timer of [...this.held.keys()]) {
      this.release(timer);
    }
  }

  private hold(ms: number, tell: () => void): void {
    const timer = new Timer(() => this.release(timer));
    this.held.set(timer, tell);
    this.world.wheel.set(timer, ms);
    if (this.held.size > MOST_HELD) {
      for (const oldest of this.held.keys()) {
        this.release(oldest);
        break;
      }
    }
  }

  private release(timer: Timer): void {
    const tell = this.held.get(timer);
    this.held.delete(timer);
    this.world.wheel.clear(timer);
    tell?.();
  }

  /** Once a minute: a storm of guesses is none of records. */
  private note(by: "client" | "user", user: string, client: string, nowMs: number): void {
    this.count++;
    this.sinceLogged++;
    if (nowMs - this.lastLoggedMs < TOLD_EVERY_MS) {
      return;
    }
    const late = this.sinceLogged;
    this.sinceLogged = 0;
    this.lastLoggedMs = nowMs;
    this.log.write(
      "warn",
      "guessing",
      `Passwords are being guessed by one ${by}: further wrong ones are answered late (limits.guesses).`,
      { by, user, client: client === NO_CLIENT ? undefined : client, late },
    );
  }
}
