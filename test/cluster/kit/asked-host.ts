/** An LMTP server that is only asked: counts the recipients and the passwords that it is asked about, and answers as a test says. */
import { createServer, type Server, type Socket } from "node:net";

export class AskedHost {
  /** RCPTs so far. */
  recipients = 0;
  logins = 0;
  /** How long it thinks about a question. */
  answerAfterMs = 0;
  /** What it says to every RCPT; the empty string: that all but `nobody…` exist. */
  reply = "";
  /** Stands in its replies. */
  text = "ok";
  /** Called with each recipient that it is asked about. */
  onRecipient: (address: string) => void = () => {};
  /** Connections that stood at once, at most. */
  most = 0;
  private readonly sockets = new Set<Socket>();
  private onAsked: () => void = () => {};

  private constructor(private readonly server: Server) {}

  static async start(): Promise<AskedHost> {
    const server = createServer();
    const host = new AskedHost(server);
    server.on("connection", (socket) => host.serve(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return host;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  /** Resolves when it was asked about so many recipients. */
  untilAsked(recipients: number): Promise<void> {
    return new Promise((resolve) => {
      this.onAsked = () => {
        if (this.recipients >= recipients) {
          resolve();
        }
      };
      this.onAsked();
    });
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) {
      socket.destroy();
    }
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    this.most = Math.max(this.most, this.sockets.size);
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("error", () => {});
    socket.write("220 asked LMTP\r\n");
    let unread = "";
    // Replies keep the order of the commands, however long one takes.
    let last: Promise<void> = Promise.resolve();
    socket.on("data", (bytes) => {
      unread += bytes.toString("latin1");
      const lines = unread.split("\r\n");
      unread = lines.pop()!;
      for (const line of lines) {
        last = last.then(() => this.answer(socket, line));
      }
    });
  }

  private async answer(socket: Socket, line: string): Promise<void> {
    const said = this.replyTo(line);
    const isQuestion = /^(RCPT|AUTH)/i.test(line);
    if (isQuestion) {
      this.onAsked();
    }
    if (isQuestion && this.answerAfterMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, this.answerAfterMs));
    }
    if (socket.writable) {
      socket.write(`${said}\r\n`);
    }
  }

  private replyTo(line: string): string {
    switch (line.slice(0, 4).toUpperCase()) {
      case "LHLO":
        return "250-asked\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 ENHANCEDSTATUSCODES";
      case "RCPT":
        this.recipients++;
        this.onRecipient(/<(.*)>/.exec(line)?.[1] ?? "");
        if (this.reply !== "") {
          return this.reply;
        }
        return line.includes("<nobody") ? `550 5.1.1 ${this.text}` : `250 2.1.5 ${this.text}`;
      case "AUTH": {
        this.logins++;
        const [, , secret] = Buffer.from(line.split(" ")[2] ?? "", "base64")
          .toString()
          .split("\0");
        return secret === "right" ? `235 2.7.0 ${this.text}` : `535 5.7.8 ${this.text}`;
      }
      default:
        return "250 2.0.0 ok";
    }
  }
}
