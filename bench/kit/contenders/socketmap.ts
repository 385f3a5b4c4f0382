/** Clients of a socketmap as Postfix has them: each on a connection of its own, one question at a time. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { netstring } from "../../../src/serve/netstring.js";
import type { Measurement, SocketmapJob } from "../job.js";
import { closedLoop } from "../stopwatch.js";

const QUESTION = Buffer.from(netstring("sink-rcpt user@example.org"));
const ANSWER = netstring("OK OK");

export async function socketmap({ socket, clients, seconds }: SocketmapJob): Promise<Measurement> {
  const sockets = await Promise.all(Array.from({ length: clients }, () => open(socket)));
  const measurement = await closedLoop(clients, seconds, (client) => ask(sockets[client]!));
  for (const each of sockets) {
    each.destroy();
  }
  return measurement;
}

async function open(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, "connect");
  return socket;
}

function ask(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("data", (chunk: Buffer) => {
      if (chunk.toString("latin1") === ANSWER) {
        resolve();
      } else {
        reject(new Error(`the daemon answered ${chunk}`));
      }
    });
    socket.write(QUESTION);
  });
}
