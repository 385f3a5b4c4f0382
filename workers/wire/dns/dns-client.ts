/**
 * Asks DNS servers for SRV records, since the platform's resolver does not tell how long they are good for: by UDP, and by TCP where the
 * reply does not fit. Each server is given a moment, all together as long as the caller says. Serves world.ts.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { getServers } from "node:dns";
import { connect, isIPv6 } from "node:net";
import type { Failure } from "../../../src/errors.js";
import { loadSrvCodec, type SrvAnswer, type SrvCodec, type SrvReply } from "./srv-message.js";

/** How long a server may take for one datagram: twice as long in the second round. */
const PATIENCE_MS = 1_500;
const ROUNDS = 2;
const MOST_SERVERS = 3;
const DNS_PORT = 53;
const TCP_HEAD_OCTETS = 2;

/** Where a server is. */
interface Server {
  readonly address: string;
  readonly port: number;
}

/** Gives the reply to one question that was sent to one server, or says why there is none. */
type Exchange = (
  server: Server,
  query: Uint8Array,
  read: (octets: Buffer) => SrvReply,
  withinMs: number,
) => Promise<SrvReply>;

/**
 * @param servers `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`; those of the system where there are none
 * @param withinMs for all of it
 */
export async function askForService(
  name: string,
  servers: readonly string[] | undefined,
  withinMs: number,
): Promise<SrvAnswer | Failure> {
  const codec = await loadSrvCodec();
  const asked = (servers ?? getServers()).slice(0, MOST_SERVERS).map(serverOf);
  const endsMs = performance.now() + withinMs;
  const said: string[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    for (const server of asked) {
      const leftMs = endsMs - performance.now();
      if (leftMs <= 0) {
        break;
      }
      const outcome = await askServer(codec, server, name, Math.min(PATIENCE_MS * round, leftMs), endsMs);
      if (typeof outcome !== "string") {
        return outcome;
      }
      said.push(`${server.address}: ${outcome}`);
    }
  }
  const cause = said.slice(-MOST_SERVERS).join("; ") || "no server is known";
  return { code: "DNS_FAILED", message: `The service ${name} could not be resolved: ${cause}.` };
}

/** An answer, or what went wrong in words. */
async function askServer(
  codec: SrvCodec,
  server: Server,
  name: string,
  patienceMs: number,
  endsMs: number,
): Promise<SrvAnswer | string> {
  const id = randomInt(2 ** 16);
  const query = codec.query(id, name);
  const read = (octets: Buffer): SrvReply => codec.read(octets, id, name);
  try {
    const reply = await byUdp(server, query, read, patienceMs);
    const whole = reply === "truncated" ? await byTcp(server, query, read, endsMs - performance.now()) : reply;
    return typeof whole === "string" ? "gave no usable reply" : whole;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
}

const byUdp: Exchange = (server, query, read, withinMs) =>
  new Promise((resolve, reject) => {
    // Of its own port, and connected: only who guesses both it and the number can forge a reply.
    const socket = createSocket(isIPv6(server.address) ? "udp6" : "udp4");
    const timer = setTimeout(() => end(() => reject(new Error("no reply in time"))), Math.max(1, withinMs));
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      socket.removeAllListeners("message");
      socket.on("error", ignore);
      socket.close();
      settle();
    };
    socket.once("error", (error) => end(() => reject(error)));
    socket.on("message", (octets) => {
      const reply = read(octets);
      if (reply !== "foreign") {
        end(() => resolve(reply));
      }
    });
    socket.connect(server.port, server.address, () => socket.send(query));
  });

const byTcp: Exchange = (server, query, read, withinMs) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: server.address, port: server.port });
    const timer = setTimeout(() => socket.destroy(new Error("no reply in time")), Math.max(1, withinMs));
    const parts: Buffer[] = [];
    let [have, need] = [0, TCP_HEAD_OCTETS];
    socket.once("connect", () => {
      const head = Buffer.alloc(TCP_HEAD_OCTETS);
      head.writeUInt16BE(query.length);
      socket.write(Buffer.concat([head, query]));
    });
    socket.on("data", (part) => {
      parts.push(part);
      have += part.length;
      if (have >= need && need === TCP_HEAD_OCTETS) {
        need += Buffer.concat(parts).readUInt16BE(0);
      }
      if (have >= need) {
        resolve(read(Buffer.concat(parts).subarray(TCP_HEAD_OCTETS, need)));
        socket.destroy();
      }
    });
    socket.once("error", reject);
    socket.once("close", () => {
      clearTimeout(timer);
      reject(new Error("closed without a reply"));
    });
  });

function serverOf(text: string): Server {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(text) ?? [];
  // An IPv6 address without brackets has no port.
  return { address: bracketed ?? plain ?? text, port: port === undefined ? DNS_PORT : Number(port) };
}

function ignore(): void {}
