/** A DNS server on loopback, by UDP and TCP on one port, that answers for SRV records, or sends whatever a test says. Serves the tests of `srv:` addresses. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket as TcpSocket } from "node:net";
import packet, { type Answer, type DecodedPacket } from "dns-packet";

export interface Srv {
  readonly target: string;
  readonly port: number;
  readonly priority?: number;
  readonly weight?: number;
}

/** What is sent for a query: any number of messages, as octets. */
export type DnsScript = (query: DecodedPacket, by: "udp" | "tcp") => readonly Buffer[];

export class DnsServer implements AsyncDisposable {
  /** Of the queries that came. */
  readonly asked: { readonly name: string; readonly by: "udp" | "tcp" }[] = [];
  script: DnsScript = (query) => [replyTo(query, { rcode: 3 })];
  private readonly clients = new Set<TcpSocket>();

  private constructor(
    private readonly udp: Socket,
    private readonly tcp: Server,
    readonly port: number,
  ) {
    udp.on("message", (octets, from) => this.askedByUdp(octets, from));
    tcp.on("connection", (client) => this.connected(client));
  }

  static async listen(): Promise<DnsServer> {
    for (;;) {
      const tcp = createServer().listen(0, "127.0.0.1");
      await once(tcp, "listening");
      const { port } = tcp.address() as { port: number };
      const udp = createSocket("udp4");
      udp.bind(port, "127.0.0.1");
      const isBound = await once(udp, "listening").then(
        () => true,
        () => false,
      );
      if (isBound) {
        return new DnsServer(udp, tcp, port);
      }
      tcp.close();
    }
  }

  /** As configurations name it. */
  get place(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** From now on these are the records. */
  serve(records: readonly Srv[], ttl = 60): void {
    this.script = (query) => [replyTo(query, { answers: srvAnswers(query.questions![0]!.name, records, ttl) })];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.udp.close();
    for (const client of this.clients) {
      client.destroy();
    }
    await new Promise((resolve) => this.tcp.close(resolve));
  }

  private take(octets: Buffer, by: "udp" | "tcp"): readonly Buffer[] {
    const query = packet.decode(octets);
    this.asked.push({ name: query.questions![0]!.name, by });
    return this.script(query, by);
  }

  private askedByUdp(octets: Buffer, { port, address }: RemoteInfo): void {
    for (const reply of this.take(octets, "udp")) {
      this.udp.send(reply, port, address);
    }
  }

  private connected(client: TcpSocket): void {
    this.clients.add(client);
    client.on("error", () => {});
    client.on("close", () => this.clients.delete(client));
    let octets = Buffer.alloc(0);
    client.on("data", (part) => {
      octets = Buffer.concat([octets, part]);
      if (octets.length >= 2 && octets.length >= 2 + octets.readUInt16BE(0)) {
        const replies = this.take(octets.subarray(2), "tcp");
        octets = Buffer.alloc(0);
        for (const reply of replies) {
          client.write(reply);
        }
        client.end();
      }
    });
  }
}

export function srvAnswers(name: string, records: readonly Srv[], ttl: number): Answer[] {
  return records.map(({ priority = 0, weight = 0, port, target }) => ({
    type: "SRV",
    name,
    ttl,
    data: { priority, weight, port, target },
  }));
}

/** A reply as a well-behaved server sends it. */
export function replyTo(
  { id, questions }: DecodedPacket,
  { answers = [], rcode = 0, isTruncated = false }: { answers?: Answer[]; rcode?: number; isTruncated?: boolean },
): Buffer {
  const flags = packet.RECURSION_AVAILABLE | (isTruncated ? packet.TRUNCATED_RESPONSE : 0) | rcode;
  const message = { type: "response" as const, flags, questions: questions ?? [], answers };
  return packet.encode(id === undefined ? message : { ...message, id });
}

/** With its length before it. */
export function overTcp(octets: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(octets.length);
  return Buffer.concat([head, octets]);
}
