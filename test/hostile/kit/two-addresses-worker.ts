/** The library's own worker in a world where every name has two addresses: that of a black hole, and that of a server. */
import type { WorkerStart } from "../../../src/messages/control.js";
import startHostWorker from "../../../workers/host-worker.js";
import { systemWorld } from "../../../workers/world.js";

export const [HOLE, LIVE] = ["127.0.0.1", "127.0.0.2"] as const;

export default function start(options: WorkerStart): Promise<never> | undefined {
  const resolve = (_name: string, done: (addresses: readonly string[]) => void): void => {
    setImmediate(done, [HOLE, LIVE]);
  };
  return startHostWorker(options, { ...systemWorld(), resolve });
}
