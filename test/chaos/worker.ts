/** The library's own worker with a saboteur beside it: what a bug or a lack of memory would do, done on command. Runs on the threads of a run. */
import { BroadcastChannel, threadId } from "node:worker_threads";
import type { WorkerStart } from "../../src/messages/control.js";
import startHostWorker from "../../workers/host-worker.js";
import { CHANNEL, type Command, SABOTAGE } from "./sabotage.js";

export default function start(options: WorkerStart): Promise<never> | undefined {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = (event: unknown) => {
    const { thread, deed } = (event as { data: Command }).data;
    if (thread === threadId) {
      commit(deed);
    }
  };
  // Its type leaves out what it has.
  (channel as unknown as { unref(): void }).unref();
  return startHostWorker(options);
}

function commit(deed: Command["deed"]): void {
  switch (deed) {
    case "throw":
      setImmediate(() => {
        throw new Error(`${SABOTAGE}: thrown`);
      });
      return;
    case "reject":
      void Promise.reject(new Error(`${SABOTAGE}: rejected`));
      return;
    case "exit":
      process.exit(7);
      return;
    case "spin":
      for (;;) {}
    case "hoard":
      for (const heap: number[][] = []; ; ) {
        heap.push(new Array<number>(100_000).fill(0.5));
      }
    case "pause":
      // Long enough to be felt, too short to be killed for.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
  }
}
