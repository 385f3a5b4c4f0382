/**
 * What the health script does, written a second time: for simulated gateways, and to be held to a real Redis by equal random sequences.
 */
import type { HealthCall } from "../../../src/cluster/health-script.js";

const MOST_DOWN_MS = 90_000;
const MOST_NOTE_MS = 600_000;
const FAITH_MS = 5_000;
const REMEMBERED_MS = 60_000;
const SLACK_MS = 50;

export type HealthReply = number | readonly (number | string)[];

/** What stands of a circuit. */
export interface CircuitRecord {
  till: number;
  by: string;
  since: number;
  confirmed: boolean;
  failures: number;
  claimed: number;
  claimant: string;
}

interface NoteRecord {
  readonly till: number;
  readonly by: string;
  readonly told: number;
  readonly value: number;
}

/** All that a Redis holds of hosts' health. */
interface Content {
  readonly circuits: Map<string, CircuitRecord>;
  readonly notes: Map<string, NoteRecord>;
}

export class HealthModel {
  nowMs = 1_000_000;
  private content: Content = { circuits: new Map(), notes: new Map() };

  /** @param publish told what the script publishes */
  constructor(private readonly publish: (message: string) => void) {}

  /** FLUSHALL, and a restart without data. */
  flush(): void {
    this.content = { circuits: new Map(), notes: new Map() };
  }

  /** An older copy of it, or back to one. */
  copy(): Content {
    return structuredClone(this.content);
  }

  restore(copy: Content): void {
    this.content = structuredClone(copy);
  }

  /** As far as it still counts. */
  circuitOf(field: string): CircuitRecord | undefined {
    const c = this.content.circuits.get(field);
    const { nowMs } = this;
    const isWrong =
      c === undefined ||
      c.till > nowMs + MOST_DOWN_MS ||
      c.claimed > nowMs + MOST_DOWN_MS ||
      c.since > nowMs ||
      Math.max(c.till, c.claimed) + REMEMBERED_MS < nowMs;
    return isWrong ? undefined : { ...c };
  }

  /** How long it is still open for another gateway than who said so. */
  faithOf({ till, confirmed, since }: CircuitRecord): number {
    const restMs = till - this.nowMs;
    return Math.max(0, confirmed ? restMs : Math.min(restMs, since + FAITH_MS - this.nowMs));
  }

  apply(gateway: string, call: HealthCall): HealthReply {
    const { nowMs } = this;
    switch (call.verb) {
      case "read":
        return call.fields.map((field) => this.wordOf(field));
      case "drop":
        for (const field of call.fields) {
          this.remove(field);
          this.publish(`dropped ${field} ${gateway}`);
        }
        return 0;
      case "up":
        this.remove(call.field);
        this.publish(`up ${call.field} ${gateway}`);
        return 0;
      case "note": {
        const till = nowMs + Math.min(Math.round(call.forMs), MOST_NOTE_MS);
        this.content.circuits.delete(call.field);
        this.content.notes.set(call.field, { till, by: gateway, told: nowMs, value: call.value });
        this.publish(this.wordOf(call.field));
        return 0;
      }
      case "down":
        return this.down(gateway, call);
      case "pass":
        return this.pass(gateway, call.field);
      case "claim":
        return this.claim(gateway, call);
    }
  }

  /** Each field as the script leaves it. */
  texts(): Record<string, string> {
    const { circuits, notes } = this.content;
    const ofCircuit = (c: CircuitRecord): string =>
      `d ${c.till} ${c.by} ${c.since} ${c.confirmed ? 1 : 0} ${c.failures} ${c.claimed} ${c.claimant}`;
    return Object.fromEntries([
      ...[...circuits].map(([field, c]) => [field, ofCircuit(c)] as const),
      ...[...notes].map(([field, n]) => [field, `n ${n.till} ${n.by} ${n.told} ${n.value}`] as const),
    ]);
  }

  private down(gateway: string, { field, forMs, failures }: HealthCall & { verb: "down" }): HealthReply {
    const { nowMs } = this;
    const till = nowMs + Math.min(Math.round(forMs), MOST_DOWN_MS);
    const former = this.circuitOf(field);
    const known = former?.by === "-" ? undefined : former;
    this.keep(field, {
      till: Math.max(till, known?.till ?? 0),
      by: gateway,
      since: known?.since ?? nowMs,
      confirmed: known !== undefined && (known.confirmed || known.by !== gateway),
      failures: Math.max(failures, known?.failures ?? 0),
      claimed: 0,
      claimant: "-",
    });
    this.publish(this.wordOf(field));
    return 0;
  }

  private pass(gateway: string, field: string): HealthReply {
    const c = this.circuitOf(field);
    if (c !== undefined && c.claimant === gateway && c.claimed > this.nowMs) {
      this.keep(field, { ...c, claimed: 0, claimant: "-" });
      this.publish(`free ${field} ${gateway}`);
    }
    return 0;
  }

  private claim(gateway: string, { field, lifeMs }: HealthCall & { verb: "claim" }): HealthReply {
    const { nowMs } = this;
    const life = Math.min(Math.round(lifeMs), MOST_DOWN_MS);
    const c = this.circuitOf(field);
    if (c !== undefined && c.claimed > nowMs && c.claimant !== gateway) {
      return [2, c.claimed - nowMs, c.failures];
    }
    if (c !== undefined && c.claimant !== gateway) {
      const restMs = c.by === gateway ? c.till - nowMs : this.faithOf(c);
      if (restMs > SLACK_MS) {
        return [1, restMs, c.failures];
      }
    }
    const start = { till: nowMs, by: "-", since: nowMs, confirmed: false, failures: 0 };
    this.keep(field, { ...(c ?? start), claimed: nowMs + life, claimant: gateway });
    return [0, life, c?.failures ?? 0];
  }

  private keep(field: string, circuit: CircuitRecord): void {
    this.content.notes.delete(field);
    this.content.circuits.set(field, circuit);
  }

  private remove(field: string): void {
    this.content.circuits.delete(field);
    this.content.notes.delete(field);
  }

  private wordOf(field: string): string {
    const { nowMs } = this;
    const c = this.circuitOf(field);
    if (c !== undefined) {
      return `down ${field} ${c.by} ${Math.max(0, c.till - nowMs)} ${this.faithOf(c)} ${c.failures}`;
    }
    const note = this.content.notes.get(field);
    return note === undefined || note.till <= nowMs || note.told > nowMs
      ? ""
      : `note ${field} ${note.by} ${note.till - nowMs} ${nowMs - note.told} ${note.value}`;
  }
}

/** What encodeHealthCall() was given, and by whom. */
export function parseHealthCall(args: readonly string[]): { readonly gateway: string; readonly call: HealthCall } {
  const [verb, gateway, , field, first, second] = args as [string, string, string, string, string, string];
  const fields = args.slice(3);
  switch (verb) {
    case "down":
      return { gateway, call: { verb, field, forMs: Number(first), failures: Number(second) } };
    case "note":
      return { gateway, call: { verb, field, forMs: Number(first), value: Number(second) } };
    case "claim":
      return { gateway, call: { verb, field, lifeMs: Number(first) } };
    case "drop":
    case "read":
      return { gateway, call: { verb, fields } };
    default:
      return { gateway, call: { verb: verb as "up" | "pass", field } };
  }
}
