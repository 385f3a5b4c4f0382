/** A process that listens on a unix socket and takes no connection, ever: its backlog fills, and its socket stays when it is killed. */
import { createServer } from "node:net";

const server = createServer();
server.listen({ path: process.argv[2], backlog: 1 }, () => {
  process.send?.("listening", () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
});
