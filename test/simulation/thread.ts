/** One simulated worker thread: an actor in its world, the ports to it and the phase cells that it shares with the gateway. */
import type { LookupAnswer, RecipientResult, Reply } from "../../src/api.js";
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { LookupKind } from "../../src/lookup-kinds.js";
import { AnswerMarks, type KeptAnswer, toSharedMs } from "../../src/messages/answer-marks.js";
import type { Answer } from "../../src/messages/contract.js";
import type { GatewayPort, HostActor, RelayPhases } from "../../src/messages/host-actor.js";
import { AnswerCopies, type AskedFor, credentialsKey } from "../../src/runtime/answer-copies.js";
import { Actor } from "../../workers/host/actor.js";
import type { Gateway } from "./gateway.js";
import type { Ledger } from "./ledger.js";
import { Port } from "./port.js";
import type { Random } from "./random.js";
import type { Outcome } from "./requests.js";
import type { SimWorld } from "./sim-world.js";
import type { Trace } from "./trace.js";
import type { VirtualTime } from "./virtual-time.js";

type Phase = "free" | "queued" | "envelope" | "content" | "terminator" | "replied" | "withdrawn";

/** The cells, with the rules of compare-and-swap. */
export class Phases implements RelayPhases {
  inFlight = 0;
  private readonly cells: Phase[] = [];
  /** Slots whose relay went back to its queue. */
  private readonly requeued = new Set<number>();

  /** @param begun called when a request leaves its queue */
  constructor(
    private readonly ledger: Ledger,
    private readonly begun: (slot: number) => void,
  ) {}

  queue(slot: number): void {
    this.cells[slot] = "queued";
    this.requeued.delete(slot);
  }

  isQueued(slot: number): boolean {
    return this.cells[slot] === "queued";
  }

  /** True: nothing that could be delivered has left, and nothing will. */
  withdraw(slot: number): boolean {
    return this.swap(slot, ["queued", "envelope", "content"], "withdrawn");
  }

  toEnvelope(slot: number): boolean {
    this.begun(slot);
    return this.swap(slot, ["queued"], "envelope");
  }

  toContent(slot: number): boolean {
    return this.swap(slot, ["envelope"], "content");
  }

  toTerminator(slot: number): boolean {
    return this.swap(slot, ["content"], "terminator");
  }

  toReplied(slot: number): void {
    this.swap(slot, ["terminator"], "replied");
  }

  toQueued(slot: number): boolean {
    if (this.requeued.has(slot)) {
      this.ledger.violation(`slot ${slot} goes back to its queue again`);
    }
    this.requeued.add(slot);
    return this.swap(slot, ["envelope"], "queued");
  }

  countInFlight(_host: number, delta: number): void {
    this.inFlight += delta;
    if (this.inFlight < 0) {
      this.ledger.violation("fewer than no requests are in flight");
    }
  }

  private swap(slot: number, from: readonly Phase[], to: Phase): boolean {
    const phase = this.cells[slot] ?? "free";
    if (!from.includes(phase)) {
      if (phase !== "withdrawn" && to !== "withdrawn") {
        this.ledger.violation(`slot ${slot} goes from ${phase} to ${to}`);
      }
      return false;
    }
    this.cells[slot] = to;
    return true;
  }
}

export class SimThread implements GatewayPort {
  isAlive = true;
  readonly phases: Phases;
  readonly actor: Actor;
  /** When close() was called and when it resolved. */
  closeCalledMs: number | undefined;
  closedMs: number | undefined;
  /** As the gateway's thread has them: which copies hold is for the actor to say. */
  readonly marks = AnswerMarks.create();
  private copies: AnswerCopies | undefined;
  /** New settings are on their way: until the actor has them, nobody can say whose answers the copies are. */
  private reconfigurations = 0;
  private readonly toWorker: Port;
  private readonly toGateway: Port;
  private readonly unanswered = new Set<number>();

  constructor(
    private readonly time: VirtualTime,
    private readonly random: Random,
    private readonly ledger: Ledger,
    private readonly trace: Trace,
    private readonly gateway: Gateway,
    readonly world: SimWorld,
    settings: HostSettings,
    /** Between the threads. */
    mostDelayMs: number,
  ) {
    this.toWorker = new Port(time, random, mostDelayMs);
    this.toGateway = new Port(time, random, mostDelayMs);
    this.phases = new Phases(ledger, (slot) => gateway.begun(slot));
    this.actor = new Actor({
      settings,
      hostname: "gateway.sim",
      hostIndex: 0,
      answers: this,
      phases: this.phases,
      world,
      marks: this.marks,
    });
    this.copies = AnswerCopies.of(settings, world.clock);
    this.watchesClients = settings.lookups?.harvest !== undefined;
  }

  /** Whose share of unknown recipients is watched, is answered by the worker alone. */
  readonly watchesClients: boolean;

  /** What the gateway knows without the worker. */
  known(asked: AskedFor): LookupAnswer | undefined {
    if (this.reconfigurations > 0 || this.closeCalledMs !== undefined) {
      return undefined;
    }
    const key = asked.credentials === undefined ? asked.value : credentialsKey(asked.credentials);
    return this.copies?.find(asked.kind as LookupKind, key, this.marks);
  }

  reconfigure(settings: HostSettings): void {
    this.reconfigurations++;
    this.copies = AnswerCopies.of(settings, this.world.clock);
    this.post((actor) => {
      actor.reconfigure(settings);
      this.reconfigurations--;
    });
  }

  post(call: (actor: HostActor) => void): void {
    this.toWorker.post(() => {
      if (this.isAlive) {
        call(this.recording);
      }
    });
  }

  /** Requests that the worker has and has not answered. */
  get owed(): number {
    return this.unanswered.size;
  }

  /** Connections that the pool would lend. */
  get idleConnections(): number {
    return this.actor.stats().connections.idle;
  }

  crash(): void {
    this.isAlive = false;
    this.toWorker.close(false);
    this.world.crash();
    // Answers that were posted in time may still be read.
    this.toGateway.close(this.random.chance(0.5));
  }

  close(drainMs: number): void {
    this.closeCalledMs = this.time.nowMs;
    this.actor.close(drainMs).then(
      () => {
        this.closedMs = this.time.nowMs;
        this.trace.add("ctrl", "closed");
      },
      (error: Error) => this.ledger.violation(`close() rejected: ${error.stack}`),
    );
  }

  /** After a cancel a worker has nothing left to wait for. */
  mustHaveAnswered(slot: number): void {
    if (this.unanswered.has(slot)) {
      this.ledger.violation(`slot ${slot} was cancelled and not answered at once`);
    }
  }

  // Answers

  answered(
    slot: number,
    answer: Answer,
    source: "cache" | "remote" | "shared",
    ageMs: number,
    kept?: KeptAnswer,
  ): void {
    const shared = kept === undefined ? undefined : this.share(kept);
    this.answer(slot, { kind: "answered", answer, source, ageMs }, shared);
  }

  private share({ mark, version, storedMs, goodForMs }: KeptAnswer): KeptAnswer {
    return { mark, version, storedMs: toSharedMs(storedMs, this.world.clock), goodForMs };
  }

  /** The answer arrived at the gateway, whose copy it may be from now on. */
  copy(asked: AskedFor, answer: LookupAnswer, kept: KeptAnswer): void {
    this.copies?.put(asked, answer, kept, this.marks);
  }

  relayed(slot: number, recipients: readonly RecipientResult[], reply: Reply | undefined): void {
    this.answer(slot, { kind: "relayed", recipients, reply });
  }

  failed(slot: number, failure: Failure): void {
    this.answer(slot, { kind: "failed", failure });
  }

  wantContent(slot: number): void {
    if (!this.unanswered.has(slot)) {
      this.ledger.violation(`content is wanted for slot ${slot}, which was answered`);
    }
    this.toGateway.post(() => this.gateway.wantContent(slot));
  }

  /** The memory of a part is the gateway's again: whoever still reads it finds it overwritten. */
  recycle(buffer: ArrayBuffer): void {
    new Uint8Array(buffer).fill(0x58);
  }

  connected(): void {}

  placesWanted(): void {}

  healthFound(): void {}

  tokenWanted(): void {}

  log(level: string, event: string, _hostId: string, message: string): void {
    this.trace.add("log", `${level} ${event}: ${message}`);
  }

  private answer(slot: number, outcome: Outcome, kept?: KeptAnswer): void {
    if (!this.unanswered.delete(slot)) {
      this.ledger.violation(`slot ${slot} was answered twice`);
    }
    this.toGateway.post(() => this.gateway.answer(slot, outcome, kept));
  }

  /** The actor, with a note of what it owes. */
  private readonly recording: HostActor = {
    lookup: (slot, kind, value, deadlineMs, client, tag) => {
      this.unanswered.add(slot);
      this.actor.lookup(slot, kind, value, deadlineMs, client, tag);
    },
    authenticate: (slot, credentials, deadlineMs, client, tag) => {
      this.unanswered.add(slot);
      this.actor.authenticate(slot, credentials, deadlineMs, client, tag);
    },
    relay: (job) => {
      this.unanswered.add(job.slot);
      this.actor.relay(job);
    },
    contentPart: (slot, bytes, last) => this.actor.contentPart(slot, bytes, last),
    contentFailed: (slot, message) => this.actor.contentFailed(slot, message),
    cancel: (slot, code) => this.actor.cancel(slot, code),
    forget: (filter) => this.actor.forget(filter),
    grantPlaces: (of, grant) => this.actor.grantPlaces(of, grant),
    stats: () => this.actor.stats(),
    reconfigure: (settings) => this.actor.reconfigure(settings),
    close: (drainMs) => this.actor.close(drainMs),
  };
}
