/** The other end of threads.ts: a thread that gives everything back. */
import { workerData } from "node:worker_threads";
import { type Endpoint, expose } from "comlink";
import { batched, type Echo, type EchoData, type Note } from "./threads.js";

const { how, port } = workerData as EchoData;

if (how === "comlink") {
  const echo: Echo = { echo: (note) => note };
  expose(echo, port as unknown as Endpoint);
} else if (how === "postMessage") {
  port.on("message", (note: Note) => port.postMessage(note));
} else {
  const send = batched(port);
  port.on("message", (notes: Note[]) => {
    for (const note of notes) {
      send(note);
    }
  });
}
