import { MessageChannel } from "node:worker_threads";
import type { RecipientResult } from "../../../src/api.js";
import { RelaypostError } from "../../../src/errors.js";
import { NO_CLIENT } from "../../../src/messages/client.js";
import type { RelayJob } from "../../../src/messages/contract.js";
import type { HostActor } from "../../../src/messages/host-actor.js";
import type { RelayHead } from "../../../src/messages/requests.js";
import { Mailbox } from "../../../src/runtime/mailbox.js";
import { HostLoad } from "../../../src/runtime/slot.js";
import { TimerWheel } from "../../../src/timer-wheel.js";
import { WorkerMailbox } from "../../../workers/mailbox.js";
import { PLAIN_HEAD } from "../../kit/plain-head.js";
import { VirtualClock } from "./virtual-clock.js";

export const OK = { code: 250, text: "Ok" };
export const LOST = { code: "WORKER_LOST", message: "lost" } as const;
export const HEAD: RelayHead = {
  from: "",
  recipients: ["a@example.org", "b@example.org"],
  ...PLAIN_HEAD,
};

export const ANN = { username: "ann", secret: "open sesame", isToken: false };

/** Keeps what it gets. */
export class SilentActor implements HostActor {
  readonly calls: [name: string, slot: number, ...rest: unknown[]][] = [];
  readonly jobs: RelayJob[] = [];
  private wake: (() => void) | undefined;

  lookup(...all: Parameters<HostActor["lookup"]>): void {
    this.note("lookup", ...all);
  }
  authenticate(...all: Parameters<HostActor["authenticate"]>): void {
    this.note("authenticate", ...all);
  }
  relay(job: RelayJob): void {
    this.jobs.push(job);
    this.note("relay", job.slot);
  }
  contentPart(slot: number, bytes: Uint8Array, last: boolean): void {
    this.note("part", slot, Buffer.from(bytes).toString(), last);
  }
  contentFailed(slot: number, message: string): void {
    this.note("contentFailed", slot, message);
  }
  cancel(slot: number, code: string): void {
    this.note("cancel", slot, code);
  }
  grantPlaces(): void {}
  forget(): number {
    return 0;
  }
  stats(): never {
    throw new Error("not asked here");
  }
  reconfigure(): void {}
  async close(): Promise<void> {}

  /** The slots of the calls so far, once there are `count`. */
  async slots(count: number): Promise<number[]> {
    while (this.calls.length < count) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.calls.map(([, slot]) => slot);
  }

  private note(name: string, slot: number, ...rest: unknown[]): void {
    this.calls.push([name, slot, ...rest]);
    this.wake?.();
  }
}

export function delivered(address: string): RecipientResult {
  return { address, status: "delivered", reply: OK };
}

export class MailboxRig {
  readonly clock = new VirtualClock();
  readonly logged: unknown[][] = [];
  readonly mailbox = new Mailbox(new TimerWheel(this.clock, 20), (...record) => this.logged.push(record), 2, false);
  readonly load = new HostLoad("a", 2);
  /** Of the worker that was connected last. */
  worker!: WorkerMailbox;
  actor!: SilentActor;
  private readonly closers: (() => void)[] = [];

  /** A worker is there, or another one. */
  connect(): void {
    const { port1, port2 } = new MessageChannel();
    this.worker = new WorkerMailbox(
      { data: port2, control: port2, memory: this.mailbox.cells.memory, isEndless: true, logLevel: "info" },
      this.clock,
    );
    this.actor = new SilentActor();
    this.worker.addActor(2, this.actor);
    this.mailbox.connect(port1);
    this.closers.push(() => port1.close());
  }

  close(): void {
    for (const close of this.closers) {
      close();
    }
  }

  ask(value = "x@example.org", options?: { timeoutMs?: number; signal?: AbortSignal }) {
    return this.mailbox.lookup(this.load, "rcpt", value, NO_CLIENT, options);
  }

  /** What waits once the answers that were posted are taken in. */
  waiting(): [requests: number, octets: number] {
    this.mailbox.catchUp();
    return [this.load.waiting(this.mailbox.cells), this.load.waitingOctets(this.mailbox.cells)];
  }
}

export function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof RelaypostError && error.code === code && error.hostId === "a";
}
