/** Round trips to another thread without the library: one message each, comlink, and batches of objects. */
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { type Endpoint, wrap } from "comlink";
import type { Measurement, ThreadJob } from "../job.js";
import { closedLoop } from "../stopwatch.js";

/** What every round trip carries, there and back. */
export interface Note {
  readonly id: number;
  readonly address: string;
}

/** What the echo's thread is started with. */
export interface EchoData {
  readonly how: ThreadJob["contender"];
  readonly port: MessagePort;
}

/** What comlink calls. */
export interface Echo {
  echo(note: Note): Note;
}

/** Round trips in flight at once: `callers`. */
export async function thread(job: ThreadJob): Promise<Measurement> {
  const { port1, port2 } = new MessageChannel();
  const workerData: EchoData = { how: job.contender, port: port2 };
  const worker = new Worker(new URL("./echo-worker.js", import.meta.url), { workerData, transferList: [port2] });
  const echo = CALLS[job.contender](port1);
  const measurement = await closedLoop(job.callers, job.seconds, (id) =>
    echo({ id, address: `user${id}@sink.example` }),
  );
  port1.close();
  await worker.terminate();
  return measurement;
}

const CALLS: Record<ThreadJob["contender"], (port: MessagePort) => (note: Note) => Promise<unknown>> = {
  comlink(port) {
    // Node's ports have the listeners that comlink wants of a browser's.
    const remote = wrap<Echo>(port as unknown as Endpoint);
    return (note) => remote.echo(note);
  },
  postMessage(port) {
    const waiting = new Map<number, () => void>();
    port.on("message", ({ id }: Note) => waiting.get(id)?.());
    return (note) =>
      new Promise<void>((resolve) => {
        waiting.set(note.id, resolve);
        port.postMessage(note);
      });
  },
  batches(port) {
    const waiting = new Map<number, () => void>();
    const send = batched(port);
    port.on("message", (notes: Note[]) => {
      for (const { id } of notes) {
        waiting.get(id)?.();
      }
    });
    return (note) =>
      new Promise<void>((resolve) => {
        waiting.set(note.id, resolve);
        send(note);
      });
  },
};

/** Posts what was gathered in one turn of the event loop as one message. */
export function batched(port: MessagePort): (note: Note) => void {
  let batch: Note[] = [];
  return (note) => {
    if (batch.push(note) > 1) {
      return;
    }
    setImmediate(() => {
      port.postMessage(batch);
      batch = [];
    });
  };
}
