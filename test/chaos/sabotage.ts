/** Kills worker threads: from outside, or by word to the saboteur that runs in each of them (`worker.ts`). Serves the driver. */
import { BroadcastChannel, type Worker } from "node:worker_threads";
import type { Random } from "./random.js";

export const CHANNEL = "relaypost-chaos";
export const SABOTAGE = "chaos";

const DEEDS = ["throw", "reject", "exit", "spin", "hoard", "pause"] as const;

export interface Command {
  readonly thread: number;
  readonly deed: (typeof DEEDS)[number];
}

export class Saboteur implements Disposable {
  /** Deeds that ought to cost a worker. */
  kills = 0;
  private readonly workers = new Set<Worker>();
  private readonly channel = new BroadcastChannel(CHANNEL);

  constructor() {
    process.on("worker", this.watch);
  }

  /** Does something to one of the threads; says what. */
  strike(random: Random): string {
    const worker = random.pick([...this.workers]);
    if (worker === undefined) {
      return "no worker to kill";
    }
    const deed = random.pick([...DEEDS, "terminate"] as const);
    if (deed !== "pause") {
      this.kills++;
    }
    if (deed === "terminate") {
      void worker.terminate();
    } else {
      this.channel.postMessage({ thread: worker.threadId, deed } satisfies Command);
    }
    return `${deed} thread ${worker.threadId}`;
  }

  [Symbol.dispose](): void {
    process.off("worker", this.watch);
    this.channel.close();
  }

  private readonly watch = (worker: Worker): void => {
    this.workers.add(worker);
    worker.once("exit", () => this.workers.delete(worker));
  };
}
