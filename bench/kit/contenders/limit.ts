/**
 * The smallest client that does the same dialogue: node:net, no queue, no promise, no error handling worth the name.
 * What it reaches is what the machine and Node can do; a library can come near it and no further.
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Measurement, ProbeJob, RelayJob, StreamJob } from "../job.js";
import { makeMessage } from "../message.js";
import { Stopwatch } from "../stopwatch.js";

const LF = 10;
const DASH = 45;
const FOUR = 52;

interface Client {
  readonly socket: Socket;
  /** Called with the first digit of each complete reply. */
  onReply: (digit: number) => void;
}

/** Connects, reads the greeting, says EHLO or LHLO. */
function open({ port, isTls, hello }: { port: number; isTls: boolean; hello: string }): Promise<Client> {
  return new Promise((resolve, reject) => {
    const socket = isTls
      ? connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false })
      : connect(port, "127.0.0.1");
    socket.setNoDelay(true);
    const client: Client = { socket, onReply: () => greeted() };
    const greeted = () => {
      client.onReply = () => resolve(client);
      socket.write(`${hello} bench.example\r\n`);
    };
    // The octets of the line so far: the first and the fourth tell all that matters.
    let column = 0;
    let digit = 0;
    let separator = 0;
    socket.on("data", (chunk: Buffer) => {
      let position = 0;
      while (position < chunk.length) {
        if (column === 0) {
          digit = chunk[position]!;
        }
        if (column <= 3 && position + 3 - column < chunk.length) {
          separator = chunk[position + 3 - column]!;
        }
        const newline = chunk.indexOf(LF, position);
        if (newline < 0) {
          column += chunk.length - position;
          return;
        }
        position = newline + 1;
        column = 0;
        if (separator !== DASH) {
          client.onReply(digit);
        }
      }
    });
    socket.on("error", reject);
  });
}

function helloOf(protocol: "smtp" | "lmtp"): string {
  return protocol === "lmtp" ? "LHLO" : "EHLO";
}

const ENVELOPE = "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@sink.example>\r\nDATA\r\n";

/**
 * Messages; the next envelope follows the final dot in the same write (RFC 2920 3.1), except where a connection has no more than one
 * message at hand: whoever waits for the verdict before the next message is sent can do no better than that.
 */
export async function relay(job: RelayJob): Promise<Measurement> {
  const watch = new Stopwatch();
  const overlaps = job.callersEach > 1;
  const content = Buffer.concat([makeMessage(job.sizeOctets), Buffer.from(`.\r\n${overlaps ? ENVELOPE : ""}`)]);
  const clients = await Promise.all(
    Array.from({ length: job.connections }, () => open({ ...job, hello: helloOf(job.protocol) })),
  );
  for (const client of clients) {
    // Replies to MAIL, RCPT and DATA, then to the content.
    let reply = 0;
    let sinceMs = performance.now();
    let nextSinceMs = sinceMs;
    client.onReply = (digit) => {
      if (digit >= FOUR) {
        throw new Error("the sink refuses");
      }
      reply = (reply + 1) & 3;
      if (reply === 3) {
        nextSinceMs = performance.now();
        client.socket.write(content);
      } else if (reply === 0) {
        watch.count(sinceMs);
        sinceMs = overlaps ? nextSinceMs : performance.now();
        if (!overlaps) {
          client.socket.write(ENVELOPE);
        }
      }
    };
    client.socket.write(ENVELOPE);
  }
  await watch.run(job.seconds);
  for (const { socket } of clients) {
    socket.destroy();
  }
  return watch.measurement();
}

/** RCPT in one open transaction, `depth` of them in flight on each connection. */
export async function probe(job: ProbeJob): Promise<Measurement> {
  const watch = new Stopwatch();
  const clients = await Promise.all(
    Array.from({ length: job.connections }, () => open({ ...job, isTls: false, hello: "EHLO" })),
  );
  let next = 0;
  for (const client of clients) {
    const sent: number[] = [];
    let owed = 0;
    let isOpen = false;
    const refill = () => {
      let commands = "";
      for (; owed > 0; owed--) {
        commands += `RCPT TO:<user${next++}@sink.example>\r\n`;
        sent.push(performance.now());
      }
      client.socket.write(commands, "latin1");
    };
    client.onReply = (digit) => {
      if (digit >= FOUR) {
        throw new Error("the sink refuses");
      }
      // One write for all the replies of a read: the microtask runs when the read has been looked through.
      if (owed === 0) {
        queueMicrotask(refill);
      }
      if (isOpen) {
        watch.count(sent.shift()!);
      }
      owed += isOpen ? 1 : job.depth;
      isOpen = true;
    };
    client.socket.write("MAIL FROM:<>\r\n");
  }
  await watch.run(job.seconds);
  for (const { socket } of clients) {
    socket.destroy();
  }
  return watch.measurement();
}

/** One large message, written as it is made, never more of it in memory than the socket asks for. */
export async function stream(job: StreamJob): Promise<Measurement> {
  const client = await open({ port: job.port, isTls: false, hello: "EHLO" });
  const part = makeMessage(64 * 1024);
  const before = process.memoryUsage.rss();
  let rss = before;
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  await new Promise<void>((resolve) => {
    let reply = 0;
    let written = 0;
    const pump = () => {
      rss = Math.max(rss, process.memoryUsage.rss());
      while (written < job.sizeOctets) {
        written += part.length;
        if (!client.socket.write(part)) {
          client.socket.once("drain", pump);
          return;
        }
      }
      client.socket.write(".\r\n");
    };
    client.onReply = () => {
      if (++reply === 3) {
        pump();
      } else if (reply === 4) {
        resolve();
      }
    };
    client.socket.write(ENVELOPE);
  });
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  client.socket.destroy();
  return {
    done: 1,
    failed: 0,
    seconds,
    cpuMicros: user + system,
    p50Micros: seconds * 1e6,
    p99Micros: seconds * 1e6,
    rssOctets: rss - before,
  };
}
