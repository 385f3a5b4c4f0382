/** An LMTP server that counts: how many connections stand, how many stood at once, and what each message's sender said it was. */
import type { Socket } from "node:net";
import type { Door } from "./door-host.js";
import { TcpServer } from "./tcp-server.js";

export class StrictHost {
  /** Connections that stand now. */
  connections = 0;
  /** Most of them at one time, since {@link forget}. */
  most = 0;
  /** Connections so far, those that were not let in among them. */
  arrivals = 0;
  messages = 0;
  /** RCPTs, each a question or part of a message. */
  recipients = 0;
  /** How long it thinks about a message. */
  thinkMs = 5;
  /** Connections by what their clients call themselves, from LHLO on. */
  readonly byName = new Map<string, number>();
  /** Contents' first lines of the messages that were taken, and how often. */
  readonly taken = new Map<string, number>();
  /** Called with each message that begins, with the name of the client. */
  onMail: (name: string) => void = () => {};
  /** Called with each change of {@link connections}. */
  onChange: () => void = () => {};
  private state: Door = "open";
  /** Came while it was silent: they are greeted when it opens. */
  private readonly waiting = new Set<Socket>();
  private server!: TcpServer;

  static async start(): Promise<StrictHost> {
    const host = new StrictHost();
    host.server = await TcpServer.listen((socket) => host.serve(socket));
    return host;
  }

  get port(): number {
    return this.server.port;
  }

  set door(state: Door) {
    this.state = state;
    if (state === "open") {
      for (const socket of this.waiting) {
        this.greet(socket);
      }
      this.waiting.clear();
    }
  }

  breakAll(): void {
    this.server.breakAll();
  }

  /** Counts anew from now. */
  forget(): void {
    this.most = this.connections;
  }

  /** Resolves when the connections that stand are as wanted. */
  until(isWanted: (host: StrictHost) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (isWanted(this)) {
          this.onChange = () => {};
          resolve();
        }
      };
      this.onChange = check;
      check();
    });
  }

  close(): Promise<void> {
    return this.server.close();
  }

  private serve(socket: Socket): void {
    this.arrivals++;
    this.connections++;
    // The end of another connection may have come before, and be read behind this: it is by the end of the turn.
    setImmediate(() => {
      this.most = Math.max(this.most, this.connections);
      this.onChange();
    });
    let isThere = true;
    const gone = (): void => {
      if (isThere) {
        isThere = false;
        this.connections--;
        this.onChange();
      }
    };
    // A client that has said its end is gone: what this side still has to do until "close" is its own affair.
    socket.on("end", gone);
    socket.on("close", gone);
    if (this.state === "closed") {
      socket.destroy();
    } else if (this.state === "silent") {
      this.waiting.add(socket);
      socket.on("close", () => this.waiting.delete(socket));
    } else {
      this.greet(socket);
    }
  }

  private greet(socket: Socket): void {
    socket.write("220 strict LMTP\r\n");
    const session = new StrictSession(this, socket);
    socket.on("close", () => session.end());
    socket.on("end", () => session.end());
    socket.on("data", (bytes) => session.take(bytes.toString("latin1")));
  }
}

class StrictSession {
  private text = "";
  private recipients = 0;
  private name = "";
  /** It thinks about a message: what comes behind it waits, as replies must. */
  private state: "commands" | "data" | "thinking" = "commands";

  constructor(
    private readonly host: StrictHost,
    private readonly socket: Socket,
  ) {}

  take(text: string): void {
    this.text += text;
    while (this.state !== "thinking" && (this.state === "data" ? this.takeData() : this.takeLine())) {
      // One command, or one message, after the other.
    }
  }

  end(): void {
    this.call("");
  }

  private call(name: string): void {
    const { byName } = this.host;
    if (this.name !== "") {
      byName.set(this.name, byName.get(this.name)! - 1);
    }
    this.name = name;
    if (name !== "") {
      byName.set(name, (byName.get(name) ?? 0) + 1);
    }
  }

  private takeData(): boolean {
    const end = this.text.startsWith(".\r\n") ? 0 : this.text.indexOf("\r\n.\r\n");
    if (end < 0) {
      return false;
    }
    const first = this.text.slice(0, this.text.indexOf("\r\n"));
    this.text = this.text.slice(end === 0 ? 3 : end + 5);
    this.state = "thinking";
    const { recipients, host } = this;
    this.recipients = 0;
    setTimeout(() => {
      host.messages++;
      host.taken.set(first, (host.taken.get(first) ?? 0) + 1);
      this.say("250 2.0.0 taken\r\n".repeat(recipients));
      this.state = "commands";
      this.take("");
    }, host.thinkMs);
    return true;
  }

  private takeLine(): boolean {
    const end = this.text.indexOf("\r\n");
    if (end < 0) {
      return false;
    }
    const line = this.text.slice(0, end);
    const verb = line.slice(0, 4).toUpperCase();
    this.text = this.text.slice(end + 2);
    switch (verb) {
      case "LHLO":
        this.call(line.slice(5));
        this.say("250-strict\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n");
        return true;
      case "RCPT":
        this.recipients++;
        this.host.recipients++;
        this.say("250 2.1.5 ok\r\n");
        return true;
      case "MAIL":
        this.host.onMail(this.name);
        this.say("250 2.1.0 ok\r\n");
        return true;
      case "DATA":
        this.state = "data";
        this.say("354 go\r\n");
        return true;
      case "RSET":
        this.recipients = 0;
        this.say("250 2.0.0 ok\r\n");
        return true;
      case "QUIT":
        this.socket.end("221 2.0.0 bye\r\n");
        return false;
      default:
        this.say("250 2.0.0 ok\r\n");
        return true;
    }
  }

  private say(text: string): void {
    if (this.socket.writable) {
      this.socket.write(text);
    }
  }
}
