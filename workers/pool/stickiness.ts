/**
 * Gives each recipient an address of its own among several (`sticky = "recipient"`), for stores that keep a mailbox's index on one node:
 * by rendezvous hashing (Thaler and Ravishankar, 1998) with weights, over the addresses that are up. Where one goes, only its recipients
 * move, each to the next of its ranking, and back when it returns. Binds the requests of an opener's pool.
 */
import { foldDomain } from "../../src/messages/lookup-key.js";
import { Timer } from "../../src/timer-wheel.js";
import type { World } from "../world.js";
import type { Binder } from "./bindings.js";
import type { Endpoint } from "./endpoint.js";
import { hashOf, mixed } from "./place-hash.js";
import type { Tally } from "./tally.js";
import type { Task } from "./task.js";

/** A request waits for a busy address of its own for so long, while another one could serve it. */
export const STICKY_WAIT_MS = 1_000;

/** What it needs of its pool. */
export interface StickyPool {
  /** Those that may get connections now: of the best rank. */
  readonly candidates: readonly Endpoint[];
  /** Those of them that could serve one more request at once, or have a connection opened for it. */
  readonly able: ReadonlySet<Endpoint>;
  /** Requests wait. */
  readonly isWaitedFor: boolean;
  /** Binds again what waits. */
  rebind(): void;
  /** Whoever may have a connection now gets it. */
  serve(): void;
}

export class Stickiness implements Binder {
  private readonly timer = new Timer(() => this.look());
  private isTimed = false;
  /** While what waits is bound again: asked for once. */
  private able: ReadonlySet<Endpoint> | undefined;

  constructor(
    private readonly world: World,
    private readonly pool: StickyPool,
  ) {}

  bindingOf(task: Task): string {
    const { clock, wheel } = this.world;
    if (!this.isTimed) {
      this.isTimed = true;
      wheel.set(this.timer, STICKY_WAIT_MS);
    }
    const { candidates } = this.pool;
    const hash = hashOf(keyOf(task));
    const own = bestOf(candidates, hash);
    if (own === undefined || clock.now() - task.enqueuedMs < STICKY_WAIT_MS) {
      return own?.place ?? "";
    }
    const able = this.able ?? this.pool.able;
    return (
      able.has(own)
        ? own
        : (bestOf(
            candidates.filter((each) => able.has(each)),
            hash,
          ) ?? own)
    ).place;
  }

  covered(opening: Tally): Tally {
    const covered = opening.copy();
    for (const { place, room } of this.pool.candidates) {
      if (room <= 0) {
        covered.set(place, Number.POSITIVE_INFINITY);
      }
    }
    return covered;
  }

  /** What waits is bound again: an address went or came, or some have waited for long. */
  rebind(): void {
    this.able = this.pool.able;
    this.pool.rebind();
    this.able = undefined;
  }

  stop(): void {
    this.world.wheel.clear(this.timer);
  }

  private look(): void {
    const { pool, world } = this;
    this.isTimed = pool.isWaitedFor;
    if (this.isTimed) {
      world.wheel.set(this.timer, STICKY_WAIT_MS);
      this.rebind();
    }
    pool.serve();
  }
}

/** A message to several recipients goes where its first one belongs: it is sent once. */
function keyOf(task: Task): string {
  if (task.kind === "relay") {
    return foldDomain(task.job.recipients[0] ?? "");
  }
  return foldDomain(task.kind === "auth" ? task.credentials.username : task.value);
}

/** Highest random weight. The same on every gateway, and after every restart. */
function bestOf(candidates: readonly Endpoint[], hash: number): Endpoint | undefined {
  let best: Endpoint | undefined;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const endpoint of candidates) {
    const unit = (mixed(hash ^ endpoint.seed) + 0.5) / 2 ** 32;
    const score = -endpoint.settings.weight / Math.log(unit);
    if (score > bestScore) {
      [best, bestScore] = [endpoint, score];
    }
  }
  return best;
}
