/** An LMTP server that counts who comes to its door, and lets them in, turns them away or says nothing as a test orders. */
import type { Socket } from "node:net";
import { TcpServer } from "./tcp-server.js";

export type Door = "open" | "closed" | "silent";

export class DoorHost {
  /** Connections so far. */
  arrivals = 0;
  /** Connections that stand, and most of them at one time. */
  standing = 0;
  most = 0;
  /** What RCPT is answered; the empty string: yes to everybody. */
  reply = "";
  /** How long it thinks about a RCPT. */
  thinkMs = 0;
  /** Words of its refusal at the door. */
  refusal = "421 4.3.2 not now";
  private state: Door = "open";
  private readonly waiting = new Set<Socket>();
  private onArrival: () => void = () => {};
  private server!: TcpServer;

  static async start(): Promise<DoorHost> {
    const host = new DoorHost();
    host.server = await TcpServer.listen((socket) => host.arrive(socket));
    return host;
  }

  get port(): number {
    return this.server.port;
  }

  set door(state: Door) {
    this.state = state;
    if (state !== "silent") {
      for (const socket of this.waiting) {
        this.greet(socket);
      }
      this.waiting.clear();
    }
  }

  /** Resolves when so many have come. */
  async untilArrived(arrivals: number): Promise<void> {
    while (this.arrivals < arrivals) {
      await new Promise<void>((resolve) => {
        this.onArrival = resolve;
      });
    }
  }

  breakAll(): void {
    this.server.breakAll();
  }

  close(): Promise<void> {
    return this.server.close();
  }

  private arrive(socket: Socket): void {
    this.arrivals++;
    this.standing++;
    this.most = Math.max(this.most, this.standing);
    socket.on("close", () => {
      this.standing--;
      this.waiting.delete(socket);
    });
    if (this.state === "silent") {
      this.waiting.add(socket);
    } else {
      this.greet(socket);
    }
    this.onArrival();
  }

  private greet(socket: Socket): void {
    if (this.state === "closed") {
      socket.end(`${this.refusal}\r\n`);
      return;
    }
    socket.write("220 door LMTP\r\n");
    let unread = "";
    socket.on("data", (bytes) => {
      unread += bytes.toString("latin1");
      const lines = unread.split("\r\n");
      unread = lines.pop()!;
      for (const line of lines) {
        this.answer(socket, line);
      }
    });
  }

  private answer(socket: Socket, line: string): void {
    const isQuestion = /^RCPT/i.test(line);
    const said = isQuestion && this.reply !== "" ? this.reply : "250 2.0.0 ok";
    if (isQuestion && this.thinkMs > 0) {
      setTimeout(() => socket.write(`${said}\r\n`), this.thinkMs);
    } else {
      socket.write(`${said}\r\n`);
    }
  }
}
