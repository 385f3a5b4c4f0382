/** A server that speaks enough of Redis' protocol to be let in, and then does to each call what a test says. */
import type { Socket } from "node:net";
import { TcpServer } from "./tcp-server.js";

/** Words to answer with, or: `hang`: nothing; `close`: the end; a function: words for each command. */
export type Behaviour = "hang" | "close" | string | ((command: readonly string[]) => string);

/** Commands by which a client introduces itself. */
const GREETINGS = new Set(["HELLO", "CLIENT", "AUTH", "SELECT", "PING"]);

export class HostileRedis {
  behaviour: Behaviour = "hang";
  /** What is said to a client that introduces itself; `hang`: nothing. */
  greeting: "welcome" | "hang" = "welcome";
  /** Calls that came, by the names of their commands. */
  readonly calls: string[] = [];
  private server!: TcpServer;

  static async start(): Promise<HostileRedis> {
    const redis = new HostileRedis();
    redis.server = await TcpServer.listen((socket) => redis.serve(socket));
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.server.port}`;
  }

  close(): Promise<void> {
    return this.server.close();
  }

  private serve(socket: Socket): void {
    let text = "";
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      for (;;) {
        const command = takeCommand(text);
        if (command === undefined) {
          return;
        }
        text = text.slice(command.octets);
        this.answer(socket, command.words);
      }
    });
  }

  private answer(socket: Socket, words: readonly string[]): void {
    const name = words[0]!.toUpperCase();
    if (GREETINGS.has(name)) {
      if (this.greeting === "hang") {
        return;
      }
      if (name === "HELLO") {
        socket.write("%3\r\n+server\r\n+redis\r\n+version\r\n+7.0.0\r\n+proto\r\n:3\r\n");
      } else {
        socket.write("+OK\r\n");
      }
      return;
    }
    this.calls.push(name);
    const { behaviour } = this;
    if (behaviour === "hang") {
      return;
    }
    if (behaviour === "close") {
      socket.destroy();
    } else {
      socket.write(typeof behaviour === "function" ? behaviour(words) : behaviour);
    }
  }
}

/** The first whole command of a text. */
function takeCommand(text: string): { words: string[]; octets: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) {
    return undefined;
  }
  let at = head[0].length;
  const words: string[] = [];
  for (let left = Number(head[1]); left > 0; left--) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at, at + 32));
    if (size === null) {
      return undefined;
    }
    const start = at + size[0].length;
    at = start + Number(size[1]) + 2;
    if (text.length < at) {
      return undefined;
    }
    words.push(text.slice(start, at - 2));
  }
  return { words, octets: at };
}
