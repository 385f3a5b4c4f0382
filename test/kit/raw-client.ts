/** A client of a few lines that says exactly what a test tells it to: the other side of the scripted servers, for tests of the kit itself. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from "node:tls";

/** A connection to a loopback port. */
export class RawClient implements AsyncDisposable {
  #socket: Socket | TLSSocket;
  #unread = "";
  #ended = false;
  #wake: () => void = () => {};
  /** Sizes of the pieces in which data came. */
  readonly pieces: number[] = [];

  private constructor(socket: Socket | TLSSocket) {
    this.#socket = socket;
    this.#listen();
  }

  /** @param localAddress whose client it seems to be */
  static async connect(port: number, tls?: { ca: string }, localAddress = "127.0.0.1"): Promise<RawClient> {
    const place = { port, host: "127.0.0.1", localAddress };
    const socket = tls ? tlsConnect({ ...place, ca: tls.ca } as ConnectionOptions) : connect(place);
    await once(socket, tls ? "secureConnect" : "connect");
    return new RawClient(socket);
  }

  #listen(): void {
    this.#socket.setNoDelay(true);
    this.#socket.on("data", (bytes: Buffer) => {
      this.pieces.push(bytes.length);
      this.#unread += bytes.toString("latin1");
      this.#wake();
    });
    this.#socket.on("error", () => {});
    for (const event of ["end", "close"]) {
      this.#socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  async startTls(ca: string): Promise<void> {
    this.#socket.removeAllListeners("data");
    this.#socket = tlsConnect({ socket: this.#socket, host: "127.0.0.1", ca });
    await once(this.#socket, "secureConnect");
    this.#listen();
  }

  write(data: string | Uint8Array): void {
    this.#socket.write(data);
  }

  /** So many whole replies (a line whose fourth octet is no hyphen ends one). */
  async replies(count: number): Promise<string[]> {
    const found: string[] = [];
    while (found.length < count) {
      const match = /^(?:[^\r\n]{3}-[^\r\n]*\r\n)*[^\r\n]*\r\n/.exec(this.#unread);
      if (
        match !== null &&
        !/^.{3}-[^\r\n]*\r\n$/.test(match[0].slice(match[0].lastIndexOf("\n", match[0].length - 2) + 1))
      ) {
        found.push(match[0].slice(0, -2));
        this.#unread = this.#unread.slice(match[0].length);
      } else if (this.#ended) {
        throw new Error(`closed after ${JSON.stringify(found)}, unread ${JSON.stringify(this.#unread)}`);
      } else {
        await this.#more();
      }
    }
    return found;
  }

  /** Says a line and takes its reply. */
  async ask(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return (await this.replies(1))[0]!;
  }

  /** Everything until the server closes. */
  async rest(): Promise<string> {
    while (!this.#ended) {
      await this.#more();
    }
    return this.#unread;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  end(): void {
    this.#socket.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
  }
}
