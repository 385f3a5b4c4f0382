/**
 * A worker entry with a fake actor, for tests of the runtime: it answers from what the request itself says,
 * so that a test steers it by addresses. Started as a piscina task, as workers/host-worker.ts is.
 */
import { spawnSync } from "node:child_process";
import type { RecipientResult } from "../../../src/api.js";
import type { HostSettings } from "../../../src/config/settings.js";
import type { AddressLookupKind } from "../../../src/lookup-kinds.js";
import type { RelayJob, UserCredentials } from "../../../src/messages/contract.js";
import type { WorkerStart } from "../../../src/messages/control.js";
import type { HostActor } from "../../../src/messages/host-actor.js";
import { newHostStats } from "../../../src/messages/host-stats.js";
import type { HostStats } from "../../../src/stats.js";
import { systemClock } from "../../../src/timer-wheel.js";
import { type ActorParts, runHostWorker } from "../../../workers/host-worker.js";

export default function start(options: WorkerStart): Promise<never> | undefined {
  return runHostWorker(options, systemClock, (actor) => new FakeActor(actor));
}

const OK = { code: 250, enhanced: "2.1.5", text: "Ok" };
const NO = { code: 550, enhanced: "5.1.1", text: "No such user" };

/**
 * The local part of an address says what happens: `yes…` and anything else is found, `no…` is not; `hold…` waits for
 * `release@`, `fail…` fails, `crash`, `exit`, `spin`, `stuck` and `hoard` do, `late…` holds a relay after its terminator, `log` logs.
 */
class FakeActor implements HostActor {
  private settings: HostSettings;
  private readonly held = new Map<number, { relay?: RelayJob; value: string }>();
  private readonly streams = new Map<number, { job: RelayJob; chunks: Uint8Array[] }>();
  private lookups = 0;

  constructor(private readonly options: ActorParts) {
    this.settings = options.settings;
  }

  lookup(slot: number, kind: AddressLookupKind, value: string, deadlineMs: number): void {
    const { answers, hostIndex, phases } = this.options;
    this.lookups++;
    if (this.act(value)) {
      this.held.set(slot, { value });
      return;
    }
    if (value.startsWith("hold")) {
      if (value.startsWith("hold-in-flight")) {
        phases.countInFlight(hostIndex, 1);
      }
      this.held.set(slot, { value });
      return;
    }
    if (value.startsWith("fail")) {
      answers.failed(slot, { code: "CONNECT_FAILED", message: "refused", cause: "ECONNREFUSED" });
      return;
    }
    if (value.startsWith("release")) {
      this.release();
    }
    const found = !value.startsWith("no");
    const values =
      kind === "expn" ? ["a@example.org", "b@example.org"] : kind === "vrfy" ? [this.settings.address] : [];
    const ageMs = Number.isFinite(deadlineMs) ? Math.round(deadlineMs - systemClock.now()) : 7;
    answers.answered(slot, { found, values, reply: found ? OK : NO }, found ? "remote" : "cache", ageMs);
  }

  authenticate(slot: number, credentials: UserCredentials): void {
    if (this.act(credentials.username)) {
      this.held.set(slot, { value: credentials.username });
      return;
    }
    const found = credentials.secret === "right" && !credentials.isToken;
    const reply = { code: found ? 235 : 535, text: credentials.username };
    this.options.answers.answered(slot, { found, values: [], reply }, "shared", 0);
  }

  relay(job: RelayJob): void {
    const { phases, answers } = this.options;
    const to = job.recipients[0]!;
    if (to.startsWith("stay")) {
      this.held.set(job.slot, { relay: job, value: to });
      return;
    }
    if (!phases.toEnvelope(job.slot)) {
      answers.failed(job.slot, { code: "ABORTED", message: "withdrawn" });
      return;
    }
    if (to.startsWith("hold")) {
      this.held.set(job.slot, { relay: job, value: to });
      return;
    }
    if (job.content === null) {
      this.streams.set(job.slot, { job, chunks: [] });
      const credits = to.startsWith("thirsty") ? 4 : 1;
      for (let credit = 0; credit < credits; credit++) {
        answers.wantContent(job.slot);
      }
      return;
    }
    this.deliver(job, job.content);
  }

  contentPart(slot: number, bytes: Uint8Array, last: boolean): void {
    const stream = this.streams.get(slot);
    if (stream === undefined) {
      return;
    }
    stream.chunks.push(bytes);
    if (!last) {
      this.options.answers.wantContent(slot);
      return;
    }
    this.streams.delete(slot);
    const text = `parts ${stream.chunks.length}`;
    this.deliver(stream.job, Buffer.concat(stream.chunks), text);
  }

  contentFailed(slot: number, message: string): void {
    if (!this.streams.delete(slot)) {
      return;
    }
    this.options.answers.failed(slot, {
      code: "CONTENT_FAILED",
      message: "The content could not be read.",
      cause: message,
    });
  }

  cancel(slot: number, code: "DEADLINE_EXCEEDED" | "ABORTED"): void {
    const held = this.held.get(slot);
    if (held === undefined || held.value.startsWith("late-mute")) {
      return;
    }
    this.held.delete(slot);
    if (held.relay !== undefined && held.value.startsWith("late")) {
      const recipients = held.relay.recipients.map(
        (address, index): RecipientResult =>
          index === 0 ? { address, status: "delivered", reply: OK } : { address, status: "uncertain" },
      );
      this.options.answers.relayed(slot, recipients, undefined, 9);
      return;
    }
    this.options.answers.failed(slot, { code, message: "given up" });
  }

  grantPlaces(): void {}

  forget(filter: { recipient?: string; username?: string }): number {
    return filter.recipient === undefined ? 1 : 2;
  }

  stats(): HostStats {
    return {
      ...newHostStats(this.settings),
      state: "up",
      queued: this.held.size,
      lookups: { cached: 0, shared: 0, remote: this.lookups, failed: 0, cluster: 0 },
    };
  }

  reconfigure(settings: HostSettings): void {
    this.settings = settings;
  }

  async close(drainMs: number): Promise<void> {
    if (drainMs > 0) {
      this.release();
    }
    for (const slot of this.held.keys()) {
      this.options.answers.failed(slot, { code: "MAILBOX_CLOSED", message: "closed" });
    }
    for (const slot of this.streams.keys()) {
      this.options.answers.failed(slot, { code: "MAILBOX_CLOSED", message: "closed" });
    }
    this.held.clear();
  }

  private deliver(job: RelayJob, content: Uint8Array, how = "inline"): void {
    const { phases, answers } = this.options;
    const to = job.recipients[0]!;
    phases.toContent(job.slot);
    phases.toTerminator(job.slot);
    if (this.act(to) || to.startsWith("late")) {
      this.held.set(job.slot, { relay: job, value: to });
      return;
    }
    phases.toReplied(job.slot);
    const { content: _, ...head } = job;
    const text = `${how}: ${content.length} ${JSON.stringify(head)} ${Buffer.from(content.subarray(0, 60)).toString()}`;
    const recipients = job.recipients.map((address): RecipientResult => {
      if (address.startsWith("no")) {
        return { address, status: "refused", reply: NO };
      }
      return { address, status: "delivered", reply: OK };
    });
    answers.relayed(job.slot, recipients, { code: 250, text }, 3);
  }

  private release(): void {
    for (const [slot, { value, relay }] of this.held) {
      if (value.startsWith("hold-in-flight")) {
        this.options.phases.countInFlight(this.options.hostIndex, -1);
      }
      if (relay === undefined) {
        this.options.answers.answered(slot, { found: true, values: [value], reply: OK }, "remote", 0);
      } else if (relay.content !== null) {
        this.deliver(relay, relay.content);
      }
    }
    this.held.clear();
  }

  /** Whether the value named a misdeed, which is done by now or soon. */
  private act(value: string): boolean {
    if (value.startsWith("log")) {
      this.options.answers.log("warn", "late-verdict", this.settings.id, "as asked", { value });
      return false;
    }
    if (value.startsWith("crash")) {
      // In a later turn, so that the calls of this batch are done.
      setImmediate(() => {
        throw new Error("crashed as asked");
      });
      return true;
    }
    if (value.startsWith("exit")) {
      process.exit(3);
    }
    if (value.startsWith("spin")) {
      for (;;) {}
    }
    // Outside of JavaScript, where nothing can end a thread.
    if (value.startsWith("stuck")) {
      spawnSync("sleep", ["0.7"]);
    }
    if (value.startsWith("hoard")) {
      for (const hoard: number[][] = []; ; ) {
        hoard.push(new Array<number>(100_000).fill(0.5));
      }
    }
    return false;
  }
}
