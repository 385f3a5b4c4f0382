/**
 * Who asks for recipients as a harvester does: by the share of those who do not exist among all that a client was answered lately
 * (`remote.<id>.lookups.harvest`). Numbers for each client, no addresses: a million of these cost what one costs. Serves harvest-shield.ts.
 */
import type { HarvestSettings } from "../../src/config/settings.js";

/** Clients that are remembered; above it the one that was answered longest ago is forgotten, suspects after others. */
const MOST_CLIENTS = 20_000;
/** How many are looked at for one that is no suspect. */
const MOST_SPARED = 8;

/** What becomes of a client's next question: `late`: it waits; `refused`: it is not asked. */
export type Stance = "free" | "late" | "refused";

export class HarvestWatch {
  private readonly clients = new Map<string, Tally>();

  constructor(private readonly settings: HarvestSettings) {}

  get size(): number {
    return this.clients.size;
  }

  stanceOf(network: string, nowMs: number): Stance {
    return this.clients.get(network)?.stance(this.settings, nowMs) ?? "free";
  }

  /** How many unknown recipients a client was told of lately, and their share. */
  shareOf(network: string, nowMs: number): { unknown: number; share: number } {
    const { unknown, all } = this.clients.get(network)?.lately(this.settings, nowMs) ?? { unknown: 0, all: 0 };
    return { unknown: Math.round(unknown), share: all === 0 ? 0 : unknown / all };
  }

  /**
   * A client was answered.
   *
   * @param question the same unknown recipient, asked for again and again, counts once
   */
  count(network: string, question: string, found: boolean, nowMs: number): void {
    let tally = this.clients.get(network);
    if (tally === undefined) {
      this.makeRoom(nowMs);
      tally = new Tally(nowMs);
    }
    this.clients.delete(network);
    this.clients.set(network, tally);
    tally.add(question, found, this.settings, nowMs);
  }

  /** Clients that are not free now. */
  suspects(nowMs: number): number {
    let count = 0;
    for (const tally of this.clients.values()) {
      count += tally.stance(this.settings, nowMs) === "free" ? 0 : 1;
    }
    return count;
  }

  private makeRoom(nowMs: number): void {
    if (this.clients.size < MOST_CLIENTS) {
      return;
    }
    let [oldest] = this.clients.keys();
    let left = MOST_SPARED;
    for (const [network, tally] of this.clients) {
      if (left-- === 0) {
        break;
      }
      if (tally.stance(this.settings, nowMs) === "free") {
        oldest = network;
        break;
      }
    }
    this.clients.delete(oldest!);
  }
}

/** One client's answers in this window and in the one before, of which as much counts as is not over. */
class Tally {
  private unknown = 0;
  private all = 0;
  private unknownBefore = 0;
  private allBefore = 0;
  private last = "";

  constructor(private sinceMs: number) {}

  add(question: string, found: boolean, settings: HarvestSettings, nowMs: number): void {
    this.slide(settings, nowMs);
    if (found) {
      this.all++;
    } else if (question !== this.last) {
      this.last = question;
      this.all++;
      this.unknown++;
    }
  }

  lately(settings: HarvestSettings, nowMs: number): { unknown: number; all: number } {
    this.slide(settings, nowMs);
    const rest = 1 - (nowMs - this.sinceMs) / settings.windowMs;
    return { unknown: this.unknown + rest * this.unknownBefore, all: this.all + rest * this.allBefore };
  }

  stance(settings: HarvestSettings, nowMs: number): Stance {
    const { unknown, all } = this.lately(settings, nowMs);
    if (unknown < settings.unknown || unknown < settings.ratio * all) {
      return "free";
    }
    return unknown < 2 * settings.unknown ? "late" : "refused";
  }

  private slide({ windowMs }: HarvestSettings, nowMs: number): void {
    const windows = Math.floor((nowMs - this.sinceMs) / windowMs);
    if (windows === 0) {
      return;
    }
    this.unknownBefore = windows === 1 ? this.unknown : 0;
    this.allBefore = windows === 1 ? this.all : 0;
    this.unknown = 0;
    this.all = 0;
    this.sinceMs += windows * windowMs;
  }
}
