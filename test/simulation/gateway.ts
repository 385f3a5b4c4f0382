/**
 * The gateway's thread of a run, as far as an actor can tell: gives out slots, keeps deadlines, withdraws by compare-and-swap,
 * feeds streams, and settles what a lost worker leaves by its phases. What src/runtime/mailbox.ts does, by the same rules.
 */
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { KeptAnswer } from "../../src/messages/answer-marks.js";
import type { HostActor } from "../../src/messages/host-actor.js";
import type { AskedFor } from "../../src/runtime/answer-copies.js";
import type { Ledger } from "./ledger.js";
import type { Outcome, SimRequest } from "./requests.js";
import type { SimThread } from "./thread.js";
import type { Trace } from "./trace.js";
import type { VirtualTime } from "./virtual-time.js";

/** How long the worker may take to say what became of a message that was given up after its terminator went out. */
const GRACE_MS = 150;
/** Parts that may be asked for and not sent. */
const WINDOW_PARTS = 4;
/** As with `runtime.restarts = 3`. */
const MOST_RESENDS = 2;

type GiveUpCode = "DEADLINE_EXCEEDED" | "ABORTED";

export class Gateway {
  readonly requests: SimRequest[] = [];
  /** By slot; a slot is free again when the worker has answered it, however its request was settled. */
  private slots: (SimRequest | undefined)[] = [];
  private freeSlots: number[] = [];
  private thread!: SimThread;
  private isClosing = false;

  constructor(
    private readonly time: VirtualTime,
    private readonly ledger: Ledger,
    private readonly trace: Trace,
  ) {}

  /** A worker is there. What the one before left over goes to it. */
  connect(thread: SimThread): void {
    this.thread = thread;
    for (const request of this.requests) {
      if (request.isPending && request.slot === -1) {
        this.send(request);
      }
    }
  }

  issue(request: SimRequest): void {
    this.requests.push(request);
    request.issuedMs = this.time.nowMs;
    this.trace.add(
      "req",
      `${request.name} issued${request.timeoutMs < Number.POSITIVE_INFINITY ? `, ${request.timeoutMs} ms` : ""}`,
    );
    if (request.timeoutMs < Number.POSITIVE_INFINITY) {
      request.stop = this.time.after(request.timeoutMs, () => this.giveUp(request, "DEADLINE_EXCEEDED"));
    }
    if (this.thread.isAlive && !this.isKnown(request)) {
      this.send(request);
    }
  }

  /** Settles a question whose answer needs no worker. */
  private isKnown(request: SimRequest): boolean {
    const { work } = request;
    const isWatched = work.kind === "lookup" && work.client !== "" && this.thread.watchesClients;
    const asked = isWatched ? undefined : askedFor(request);
    const known = asked === undefined ? undefined : this.thread.known(asked);
    if (known === undefined) {
      return false;
    }
    const { source, ageMs, found, values } = known;
    this.settle(request, { kind: "answered", answer: { found, values, reply: known.reply! }, source, ageMs });
    return true;
  }

  abort(request: SimRequest): void {
    this.giveUp(request, "ABORTED");
  }

  control(what: string, call: (actor: HostActor) => void): void {
    if (!this.thread.isAlive) {
      return;
    }
    this.trace.add("ctrl", what);
    this.thread.post(call);
  }

  /** Drops the worker. Relays are settled by their phase, questions are asked again of the next worker: see `Slot.mayBeResent`. */
  crash(): void {
    const { thread } = this;
    if (!thread.isAlive) {
      return;
    }
    this.trace.add("ctrl", "the worker crashes");
    this.isClosing = false;
    thread.crash();
    const { slots } = this;
    this.slots = [];
    this.freeSlots = [];
    for (const [slot, request] of slots.entries()) {
      if (request === undefined || !request.isPending) {
        continue;
      }
      request.slot = -1;
      const isUnshown = request.work.kind === "lookup" || thread.phases.isQueued(slot);
      if (request.work.kind !== "relay" && isUnshown && request.resends < MOST_RESENDS) {
        request.resends++;
      } else if (request.work.kind !== "relay" || thread.phases.withdraw(slot)) {
        this.settle(request, { kind: "failed", failure: { code: "WORKER_LOST", message: "The worker is lost." } });
      } else {
        this.settle(request, uncertain(request));
      }
    }
  }

  // --- what the worker says ----------------------------------------------------------------------------------------

  answer(slot: number, outcome: Outcome, kept: KeptAnswer | undefined): void {
    const request = this.slots[slot];
    if (request === undefined) {
      return this.ledger.violation(`slot ${slot} was answered and nobody waits on it: ${JSON.stringify(outcome)}`);
    }
    this.slots[slot] = undefined;
    this.freeSlots.push(slot);
    request.slot = -1;
    if (request.isPending) {
      this.keepCopy(request, outcome, kept);
      this.settle(request, outcome);
    } else {
      this.trace.add("late", `${request.name}: ${describe(outcome)}`);
    }
  }

  private keepCopy(request: SimRequest, outcome: Outcome, kept: KeptAnswer | undefined): void {
    const asked = askedFor(request);
    if (asked !== undefined && kept !== undefined && outcome.kind === "answered") {
      const { answer, source, ageMs } = outcome;
      this.thread.copy(asked, { certainty: "unknown", ...answer, values: [...answer.values], source, ageMs }, kept);
    }
  }

  /** A message left its queue. */
  begun(slot: number): void {
    const request = this.slots[slot];
    if (request !== undefined) {
      request.begunMs = Math.min(request.begunMs, this.time.nowMs);
    }
  }

  wantContent(slot: number): void {
    const request = this.slots[slot];
    if (request === undefined) {
      return this.ledger.violation(`content is wanted for slot ${slot}, which was answered`);
    }
    if (!request.isPending) {
      return;
    }
    request.credits++;
    if (request.credits > WINDOW_PARTS) {
      this.ledger.violation(`${request.name} has ${request.credits} parts asked for`);
    }
    this.feed(request);
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  private send(request: SimRequest): void {
    const slot = this.freeSlots.pop() ?? this.slots.length;
    this.slots[slot] = request;
    request.slot = slot;
    const { work, timeoutMs, issuedMs, client, tag } = request;
    const deadlineMs = issuedMs + timeoutMs;
    this.thread.phases.queue(slot);
    this.thread.post((actor) => {
      request.arrivedMs = this.time.nowMs;
      if (work.kind === "relay") {
        actor.relay({ ...work.job, slot, deadlineMs, client, tag });
      } else if (work.kind === "lookup") {
        actor.lookup(slot, work.lookup, work.value, deadlineMs, work.client, tag);
      } else {
        actor.authenticate(slot, work.credentials, deadlineMs, client, tag);
      }
    });
  }

  private giveUp(request: SimRequest, code: GiveUpCode): void {
    if (!request.isPending) {
      return;
    }
    const { slot, work } = request;
    this.trace.add("req", `${request.name} given up: ${code}`);
    const failed: Outcome = { kind: "failed", failure: { code, message: "The request was given up." } };
    if (slot === -1) {
      return this.settle(request, failed);
    }
    const { thread } = this;
    thread.post((actor) => {
      actor.cancel(slot, code);
      thread.mustHaveAnswered(slot);
    });
    if (work.kind !== "relay" || thread.phases.withdraw(slot)) {
      this.settle(request, failed);
    } else {
      request.stop();
      request.stop = this.time.after(GRACE_MS, () => request.isPending && this.settle(request, uncertain(request)));
    }
  }

  private settle(request: SimRequest, outcome: Outcome): void {
    this.trace.add("req", `${request.name}: ${describe(outcome)}`);
    request.settlements++;
    request.outcome = outcome;
    request.settledMs = this.time.nowMs;
    request.stop();
    request.whenSettled();
  }

  /** One part for each credit, as its source gives them. */
  private feed(request: SimRequest): void {
    const { work, slot } = request;
    if (work.kind !== "relay" || work.stream === undefined || request.isSending || request.credits === 0) {
      return;
    }
    const { parts, failsAt, stallsAt, mostDelayMs } = work.stream;
    const number = request.sentParts;
    if (number >= parts.length || number === stallsAt) {
      return;
    }
    const { thread } = this;
    request.isSending = true;
    this.time.after((mostDelayMs * ((request.number * 7 + number * 3) % 10)) / 10, () => {
      request.isSending = false;
      if (!request.isPending || request.slot !== slot || !thread.isAlive) {
        return;
      }
      request.credits--;
      request.sentParts++;
      if (number === failsAt) {
        request.sentParts = parts.length;
        thread.post((actor) => actor.contentFailed(slot, "the source is broken"));
      } else {
        // The parts are the actor's own: it gets a copy.
        thread.post((actor) => actor.contentPart(slot, Uint8Array.from(parts[number]!), number === parts.length - 1));
        this.feed(request);
      }
    });
  }

  get isSettled(): boolean {
    return this.requests.every((request) => !request.isPending);
  }

  /** Every slot was answered by the worker. */
  get openSlots(): number {
    return this.slots.reduce((count, request) => (request === undefined ? count : count + 1), 0);
  }

  reconfigure(settings: HostSettings): void {
    if (this.thread.isAlive) {
      this.trace.add("ctrl", `new settings: ${settings.address}, concurrency ${settings.concurrency}`);
      this.thread.reconfigure(settings);
    }
  }

  close(drainMs: number): void {
    if (this.isClosing) {
      return;
    }
    this.isClosing = true;
    this.control(`close, ${drainMs} ms`, () => this.thread.close(drainMs));
  }
}

function askedFor({ work }: SimRequest): AskedFor | undefined {
  switch (work.kind) {
    case "relay":
      return undefined;
    case "lookup":
      return { kind: work.lookup, value: work.value, credentials: undefined };
    case "login":
      return { kind: "auth", value: "", credentials: work.credentials };
  }
}

function uncertain(request: SimRequest): Outcome {
  const { work } = request;
  const addresses = work.kind === "relay" ? work.job.recipients : [];
  return {
    kind: "relayed",
    recipients: addresses.map((address) => ({ address, status: "uncertain" })),
    reply: undefined,
  };
}

function describe(outcome: Outcome): string {
  if (outcome.kind === "failed") {
    return `failed, ${describeFailure(outcome.failure)}`;
  }
  if (outcome.kind === "relayed") {
    return outcome.recipients.map(({ status, reply }) => `${status} (${reply?.text ?? ""})`).join(", ");
  }
  const { answer, source, ageMs } = outcome;
  return `${answer.found ? "found" : "not found"} (${answer.reply.text}), ${source}, ${ageMs.toFixed(1)} ms old`;
}

function describeFailure({ code, message }: Failure): string {
  return `${code}: ${message}`;
}
