/**
 * What this gateway tells others of hosts' health, what it makes of what they tell, and when it is its turn to find out whether a
 * host is back: the decisions, without I/O. News of workers, words of other gateways and results of calls come in from shared-health.ts;
 * calls of the health script and hints for workers go out.
 *
 * ```
 * wish of a circuit:  none ─► asking ─► turn      this gateway tries, and renews its claim until it knows
 *                       ▲       │  ▲
 *                       │       ▼  │ the claim of the other has ended, or was given back
 *                       └──── waiting             word of what came of it ends the wish
 * ```
 *
 * Redis may be lost at any time: then every gateway finds out by itself.
 */
import type { HealthHint, HealthNews, HealthSide } from "../messages/health.js";
import type { ClaimReply, HealthCall, HealthWord } from "./health-script.js";

/** A claim is renewed so often in its life. */
const RENEWALS = 3;
/** Whoever has not found out after so long lets others try. */
const MOST_TURN_MS = 60_000;
/** A gateway that is blocked says so again before that is over. */
const BLOCKED_MS = 60_000;
/** Asked so long after the end of another's claim: two clocks count it. */
const SLACK_MS = 20;

const SIDES: readonly HealthSide[] = ["service", "login"];
const NOTES = ["limit", "blocked"] as const;

export interface HealthHintsOptions {
  readonly gateway: string;
  /** How long a claim outlives a gateway that fell silent: `cluster.lease`. */
  readonly claimMs: number;
}

/** Where decisions go. */
export interface HealthHintsOutput {
  /** Whether Redis may be asked. */
  readonly isUsable: boolean;
  /** Run the script. Of `claim`, {@link HealthHints.claimed} follows. */
  call(call: HealthCall): void;
  hint(hostId: string, hint: HealthHint): void;
}

interface SharedCircuit {
  readonly hostId: string;
  readonly of: HealthSide;
  readonly field: string;
  wish: "none" | "asking" | "waiting" | "turn";
  /** When something is to be done about the wish. */
  dueMs: number;
  turnEndsMs: number;
  /** `alone`: it failed here where another gateway had no difficulty. It is told to nobody until it worked here, too. */
  own: "up" | "down" | "alone";
  /** What another gateway said last. */
  told: { readonly untilMs: number; readonly failures: number } | undefined;
}

type Note = { readonly hostId: string; readonly of: (typeof NOTES)[number]; readonly field: string; told?: HealthHint };

export class HealthHints {
  readonly counts = { told: 0, heard: 0, turns: 0, awaited: 0 };
  private readonly circuits = new Map<string, SharedCircuit>();
  private readonly notes = new Map<string, Note>();
  /** The fields of each host begin so. */
  private readonly prefixes = new Map<string, string>();

  constructor(
    private readonly options: HealthHintsOptions,
    private readonly out: HealthHintsOutput,
  ) {}

  /** @param prefix another one for a host of the same id that is elsewhere */
  add(hostId: string, prefix: string): void {
    if (this.prefixes.get(hostId) === prefix) {
      return;
    }
    this.remove(hostId);
    this.prefixes.set(hostId, prefix);
    for (const of of SIDES) {
      const field = `${prefix}:${of}`;
      const start = {
        wish: "none",
        dueMs: Number.POSITIVE_INFINITY,
        turnEndsMs: 0,
        own: "up",
        told: undefined,
      } as const;
      this.circuits.set(field, { hostId, of, field, ...start });
    }
    for (const of of NOTES) {
      const field = `${prefix}:${of}`;
      this.notes.set(field, { hostId, of, field });
    }
    this.read(this.fieldsOf(hostId));
  }

  remove(hostId: string): void {
    this.workerEnded(hostId);
    for (const field of this.fieldsOf(hostId)) {
      this.circuits.delete(field);
      this.notes.delete(field);
    }
    this.prefixes.delete(hostId);
  }

  /** What others say is heard from now on: what they said before is read. */
  listening(): void {
    this.read([...this.circuits.keys(), ...this.notes.keys()]);
  }

  /** A worker that knows nothing takes the host over. */
  workerStarted(hostId: string, nowMs: number): void {
    for (const field of this.fieldsOf(hostId)) {
      const circuit = this.circuits.get(field);
      const note = this.notes.get(field);
      if (circuit?.told !== undefined && nowMs < circuit.told.untilMs) {
        this.out.hint(hostId, { is: "down", of: circuit.of, ...circuit.told });
      }
      if (note?.told !== undefined) {
        this.out.hint(hostId, note.told);
      }
    }
  }

  /** Nobody finds out here any more. */
  workerEnded(hostId: string): void {
    for (const field of this.fieldsOf(hostId)) {
      const circuit = this.circuits.get(field);
      if (circuit !== undefined) {
        this.pass(circuit);
      }
    }
  }

  /** A worker found something out. */
  found(hostId: string, news: HealthNews, nowMs: number): void {
    const prefix = this.prefixes.get(hostId);
    const of = news.is === "crowded" ? "limit" : news.is === "blocked" ? "blocked" : news.of;
    const field = `${prefix}:${of}`;
    const circuit = this.circuits.get(field);
    if (news.is === "crowded" || news.is === "blocked") {
      this.noteFound(field, news);
    } else if (circuit !== undefined) {
      this.circuitFound(circuit, news, nowMs);
    } else if (news.is === "wish") {
      // Its settings are on their way out.
      this.out.hint(hostId, { is: "turn", of: news.of });
    }
  }

  /** Another gateway said something. */
  heard(word: HealthWord, nowMs: number): void {
    if (word.by === this.options.gateway) {
      return;
    }
    const circuit = this.circuits.get(word.field);
    const note = this.notes.get(word.field);
    if (circuit !== undefined) {
      this.counts.heard += word.is === "free" ? 0 : 1;
      this.circuitHeard(circuit, word, nowMs);
    } else if (note !== undefined) {
      this.counts.heard++;
      this.noteHeard(note, word, nowMs);
    }
  }

  /** What came of a claim; `undefined`: Redis did not answer, or not with what the script says. */
  claimed(field: string, reply: ClaimReply | undefined, nowMs: number): void {
    const circuit = this.circuits.get(field);
    if (circuit === undefined || (circuit.wish !== "asking" && circuit.wish !== "turn")) {
      return;
    }
    if (reply === undefined || reply.is === "turn") {
      this.takeTurn(circuit, nowMs);
    } else if (circuit.wish === "turn") {
      // Another one has it since: this one's attempt is under way all the same.
      this.setWish(circuit, "none");
    } else if (reply.is === "awaited") {
      this.counts.awaited++;
      this.setWish(circuit, "waiting", nowMs + reply.forMs + SLACK_MS);
    } else {
      this.hintDown(circuit, reply.forMs, reply.failures, nowMs);
    }
  }

  /** Redis is not to be asked: whoever waits for others finds out by itself. */
  lost(nowMs: number): void {
    for (const circuit of this.circuits.values()) {
      if (circuit.wish === "asking" || circuit.wish === "waiting") {
        this.takeTurn(circuit, nowMs);
      }
    }
  }

  /** An operator had a host's connections replaced: what was said of it holds for nobody. */
  drop(hostId: string): void {
    const fields = this.fieldsOf(hostId);
    if (fields.length === 0) {
      return;
    }
    this.call({ verb: "drop", fields });
    for (const field of fields) {
      const circuit = this.circuits.get(field);
      if (circuit !== undefined) {
        circuit.own = "up";
        this.toldUp(circuit);
      } else {
        this.forgetNote(this.notes.get(field)!);
      }
    }
  }

  /** Does what is due. To be called when {@link dueMs} has come. */
  tick(nowMs: number): void {
    for (const circuit of this.circuits.values()) {
      if (nowMs < circuit.dueMs) {
        continue;
      }
      if (circuit.wish === "waiting") {
        this.ask(circuit, nowMs);
      } else if (nowMs < circuit.turnEndsMs) {
        this.renew(circuit, nowMs);
      } else {
        this.pass(circuit);
      }
    }
  }

  get dueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const circuit of this.circuits.values()) {
      dueMs = Math.min(dueMs, circuit.dueMs);
    }
    return dueMs;
  }

  private circuitFound(circuit: SharedCircuit, news: HealthNews & { of: HealthSide }, nowMs: number): void {
    switch (news.is) {
      case "wish":
        if (circuit.own === "alone") {
          this.out.hint(circuit.hostId, { is: "turn", of: circuit.of });
        } else {
          this.ask(circuit, nowMs);
        }
        return;
      case "pass":
        this.pass(circuit);
        return;
      case "down":
        this.setWish(circuit, "none");
        if (circuit.own !== "alone") {
          circuit.own = "down";
          this.counts.told++;
          this.call({ verb: "down", field: circuit.field, forMs: news.forMs, failures: news.failures });
        }
        return;
      case "up":
        this.setWish(circuit, "none");
        circuit.own = "up";
        circuit.told = undefined;
        this.counts.told++;
        this.call({ verb: "up", field: circuit.field });
    }
  }

  private circuitHeard(circuit: SharedCircuit, word: HealthWord, nowMs: number): void {
    switch (word.is) {
      case "down":
        // Others fail as well.
        circuit.own = circuit.own === "alone" ? "down" : circuit.own;
        this.hintDown(circuit, word.faithMs, word.failures, nowMs);
        return;
      case "up":
        circuit.own = circuit.own === "up" ? "up" : "alone";
        this.toldUp(circuit);
        return;
      case "dropped":
        circuit.own = "up";
        this.toldUp(circuit);
        return;
      case "free":
        if (circuit.wish === "waiting") {
          this.ask(circuit, nowMs);
        }
    }
  }

  private hintDown(circuit: SharedCircuit, forMs: number, failures: number, nowMs: number): void {
    this.setWish(circuit, "none");
    circuit.told = { untilMs: nowMs + forMs, failures };
    this.out.hint(circuit.hostId, { is: "down", of: circuit.of, ...circuit.told });
  }

  private toldUp(circuit: SharedCircuit): void {
    this.setWish(circuit, "none");
    circuit.told = undefined;
    this.out.hint(circuit.hostId, { is: "up", of: circuit.of });
  }

  private noteFound(field: string, news: HealthNews & { is: "crowded" | "blocked" }): void {
    this.counts.told++;
    if (news.is === "crowded") {
      this.call({ verb: "note", field, forMs: news.forMs, value: news.connections });
    } else if (news.isOver) {
      this.call({ verb: "up", field });
    } else {
      this.call({ verb: "note", field, forMs: BLOCKED_MS, value: 1 });
    }
  }

  private noteHeard(note: Note, word: HealthWord, nowMs: number): void {
    if (word.is !== "note") {
      this.forgetNote(note);
      return;
    }
    note.told =
      note.of === "limit"
        ? { is: "crowded", connections: word.value, ageMs: word.ageMs }
        : { is: "blocked", untilMs: nowMs + word.forMs };
    this.out.hint(note.hostId, note.told);
  }

  private forgetNote(note: Note): void {
    delete note.told;
    if (note.of === "blocked") {
      this.out.hint(note.hostId, { is: "blocked", untilMs: 0 });
    }
  }

  private ask(circuit: SharedCircuit, nowMs: number): void {
    if (circuit.wish === "asking") {
      return;
    }
    this.setWish(circuit, "asking");
    if (this.out.isUsable) {
      this.out.call({ verb: "claim", field: circuit.field, lifeMs: this.options.claimMs });
    } else {
      this.takeTurn(circuit, nowMs);
    }
  }

  private takeTurn(circuit: SharedCircuit, nowMs: number): void {
    const isRenewed = circuit.wish === "turn";
    this.setWish(circuit, "turn", nowMs + this.options.claimMs / RENEWALS);
    if (!isRenewed) {
      this.counts.turns++;
      circuit.turnEndsMs = nowMs + MOST_TURN_MS;
      this.out.hint(circuit.hostId, { is: "turn", of: circuit.of });
    }
  }

  private renew(circuit: SharedCircuit, nowMs: number): void {
    circuit.dueMs = nowMs + this.options.claimMs / RENEWALS;
    this.call({ verb: "claim", field: circuit.field, lifeMs: this.options.claimMs });
  }

  private pass(circuit: SharedCircuit): void {
    if (circuit.wish === "turn") {
      this.call({ verb: "pass", field: circuit.field });
    }
    this.setWish(circuit, "none");
  }

  private setWish(circuit: SharedCircuit, wish: SharedCircuit["wish"], dueMs = Number.POSITIVE_INFINITY): void {
    circuit.wish = wish;
    circuit.dueMs = dueMs;
  }

  private read(fields: readonly string[]): void {
    if (fields.length > 0) {
      this.call({ verb: "read", fields });
    }
  }

  private call(call: HealthCall): void {
    if (this.out.isUsable) {
      this.out.call(call);
    }
  }

  private fieldsOf(hostId: string): string[] {
    const prefix = this.prefixes.get(hostId);
    return prefix === undefined ? [] : [...SIDES, ...NOTES].map((of) => `${prefix}:${of}`);
  }
}
