/**
 * A shield against clients who try out which recipients exist: their questions are answered late, then not at all, and the host is not
 * asked (`remote.<id>.lookups.harvest`). Recipients that are known to exist are answered in any case. Stands before lookups.ts, for
 * requests whose client is known.
 */
import type { HarvestSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { AddressLookupKind } from "../../src/lookup-kinds.js";
import { networkOfClient } from "../../src/messages/client.js";
import type { HostLog } from "../../src/messages/host-log.js";
import type { HostStats } from "../../src/stats.js";
import { Timer } from "../../src/timer-wheel.js";
import type { World } from "../world.js";
import { HarvestWatch } from "./harvest-watch.js";

/** How late a question of a suspect is asked. */
const LATE_MS = 3_000;
/** Questions that wait for that: they may not fill the queue of others. */
const MOST_HELD = 1_000;
/** A record for each suspect, but not of a whole botnet at once. */
const LOG_EVERY_MS = 1_000;

export const HARVEST_SUSPECTED: Failure = {
  code: "HARVEST_SUSPECTED",
  message: "Most recipients that this client asked for lately do not exist: the host is not asked (lookups.harvest).",
};

/** A question that is held back. */
interface Held {
  readonly timer: Timer;
  readonly network: string;
  readonly kind: AddressLookupKind;
}

export class HarvestShield {
  private readonly watch: HarvestWatch;
  private readonly counts = { late: 0, refused: 0 };
  /** Whose question a slot waits for; by slot, as in lookups.ts. */
  private readonly networks: (string | undefined)[] = [];
  private readonly held = new Map<number, Held>();
  /** Held ones by network: nobody has more than the window allows unknown ones. */
  private readonly heldBy = new Map<string, number>();
  private loggedMs = Number.NEGATIVE_INFINITY;
  private untold = 0;

  constructor(
    private readonly settings: HarvestSettings,
    private readonly world: World,
    private readonly log: HostLog,
  ) {
    this.watch = new HarvestWatch(settings);
  }

  /**
   * What becomes of a client's question that the cache has no "found" for.
   *
   * @param ask asks it after all, later
   */
  meet(slot: number, kind: AddressLookupKind, client: string, ask: () => void): "free" | "held" | "refused" {
    const network = networkOfClient(client);
    const stance = this.watch.stanceOf(network, this.now);
    if (stance === "free") {
      return "free";
    }
    const mine = this.heldBy.get(network) ?? 0;
    if (stance === "refused" || mine >= this.settings.unknown || this.held.size >= MOST_HELD) {
      this.counts.refused++;
      return "refused";
    }
    this.counts.late++;
    const timer = new Timer(() => {
      this.release(slot);
      ask();
    });
    this.held.set(slot, { timer, network, kind });
    this.heldBy.set(network, mine + 1);
    this.world.wheel.set(timer, LATE_MS);
    return "held";
  }

  /**
   * A client's question is answered now, from the cache, or its slot waits for the host.
   *
   * @param known whether the recipient exists, where the cache knows
   */
  asks(slot: number, client: string, question: string, known: boolean | undefined): void {
    const network = networkOfClient(client);
    if (known === undefined) {
      this.networks[slot] = network;
    } else {
      this.count(network, question, known);
    }
  }

  /**
   * A slot has its answer.
   *
   * @param found `undefined`: there is no verdict
   */
  settled(slot: number, question: string, found: boolean | undefined): void {
    const network = this.networks[slot];
    this.networks[slot] = undefined;
    if (network !== undefined && found !== undefined) {
      this.count(network, question, found);
    }
  }

  /** Whoever waited in this slot for the host gave up. */
  parted(slot: number): void {
    this.networks[slot] = undefined;
  }

  /** Holds a question back no longer. `undefined`: none was, in this slot. */
  release(slot: number): AddressLookupKind | undefined {
    const held = this.held.get(slot);
    if (held === undefined) {
      return undefined;
    }
    const { timer, network, kind } = held;
    this.world.wheel.clear(timer);
    this.held.delete(slot);
    const mine = this.heldBy.get(network)! - 1;
    if (mine > 0) {
      this.heldBy.set(network, mine);
    } else {
      this.heldBy.delete(network);
    }
    return kind;
  }

  /** Lets go of all that is held back; `drop` tells each slot. */
  close(drop: (slot: number, kind: AddressLookupKind) => void): void {
    for (const [slot, { kind }] of [...this.held]) {
      this.release(slot);
      drop(slot, kind);
    }
  }

  stats(): HostStats["harvest"] {
    return { ...this.counts, suspects: this.watch.suspects(this.now) };
  }

  private get now(): number {
    return this.world.clock.now();
  }

  private count(network: string, question: string, found: boolean): void {
    const nowMs = this.now;
    const before = this.watch.stanceOf(network, nowMs);
    // By those that it has found already a harvester would pass for somebody else.
    if (found && before !== "free") {
      return;
    }
    this.watch.count(network, question, found, nowMs);
    if (before === "free" && !found && this.watch.stanceOf(network, nowMs) !== "free") {
      this.tell(network, nowMs);
    }
  }

  private tell(network: string, nowMs: number): void {
    if (nowMs - this.loggedMs < LOG_EVERY_MS) {
      this.untold++;
      return;
    }
    const others = this.untold;
    this.loggedMs = nowMs;
    this.untold = 0;
    const { unknown, share } = this.watch.shareOf(network, nowMs);
    const message = "Most recipients that one client asks for do not exist: it is answered late, then not at all.";
    this.log.write("warn", "harvest-suspected", message, { client: network, unknown, share, others });
  }
}
