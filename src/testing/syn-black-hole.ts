/**
 * An address on loopback where connection attempts are neither accepted nor refused. For tests of connect timeouts, which no server
 * that accepts connections can cause.
 */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";

/** Listens, tells its port, and then blocks its thread: the kernel fills the backlog and drops every SYN past it. */
const LISTENER = `
const { parentPort, workerData } = require("node:worker_threads");
const server = require("node:net").createServer();
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  parentPort.postMessage(server.address().port);
  Atomics.wait(new Int32Array(workerData), 0, 0);
  process.exit();
});`;

/** How long an attempt must hang to count as dropped: on loopback the kernel answers at once or never. */
const HANGS_MS = 200;

/** A port that swallows connection attempts; see {@link SynBlackHole.open}. */
export class SynBlackHole implements AsyncDisposable {
  readonly address = "127.0.0.1";

  private constructor(
    readonly port: number,
    private readonly worker: Worker,
    private readonly gate: Int32Array,
    private readonly fillers: readonly Socket[],
  ) {}

  /** Opens one, its backlog filled. Works where the kernel drops what does not fit into the backlog, as Linux does. */
  static async open(): Promise<SynBlackHole> {
    const shared = new SharedArrayBuffer(4);
    const worker = new Worker(LISTENER, { eval: true, workerData: shared });
    const port = await new Promise<number>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    const fillers: Socket[] = [];
    const hole = new SynBlackHole(port, worker, new Int32Array(shared), fillers);
    for (let attempt = 0; attempt < 16; attempt++) {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      fillers.push(socket);
      const taken = new Promise<boolean>((resolve) => socket.once("connect", () => resolve(true)));
      if (!(await Promise.race([taken, sleep(HANGS_MS, false)]))) {
        return hole;
      }
    }
    await hole.close();
    throw new Error("the kernel takes every connection: no black hole can be made here");
  }

  /** Lets go of the port. */
  async close(): Promise<void> {
    for (const socket of this.fillers) {
      socket.destroy();
    }
    Atomics.store(this.gate, 0, 1);
    Atomics.notify(this.gate, 0);
    await this.worker.terminate();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
