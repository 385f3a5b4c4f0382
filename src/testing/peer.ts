/**
 * One accepted connection in the hands of a script: exact control over what is sent in which segment, and over how
 * the connection ends. scripted-server.ts makes one per connection and hands it to a script, or to a server session.
 */
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createSecureContext, type SecureVersion, TLSSocket } from "node:tls";
import type { Certificate } from "./certificates.js";

/** How a script's TLS differs from the usual. */
export interface TlsOptions {
  readonly minVersion?: SecureVersion;
  /** `TLSv1.1` also lowers the security level, since OpenSSL 3 offers it no other way. */
  readonly maxVersion?: SecureVersion;
}

/** A script met something that it did not expect. */
export class ScriptError extends Error {
  override readonly name = "ScriptError";
}

/** The server's end of one connection. */
export class ScriptedPeer {
  /** Counted from 1 for each server. */
  readonly id: number;
  /** Resolves when the client has sent its FIN, or the connection is gone. */
  readonly ended: Promise<void>;
  /** Resolves when the connection is gone altogether. */
  readonly closed: Promise<void>;
  /** Octets that arrived (after decryption). */
  receivedOctets = 0;
  /** The client sent its FIN, or the connection is gone. */
  hasEnded = false;
  /** The connection is gone. */
  isClosed = false;
  /** TLS stands. */
  isSecure = false;
  /** SNI of the client, where it sent one. */
  serverName: string | undefined;

  readonly #raw: Socket;
  #socket: Socket;
  readonly #patienceMs: number;
  #unread: Buffer = Buffer.alloc(0);
  #sink: ((bytes: Buffer) => void) | undefined;
  #wake: (() => void) | undefined;
  #markEnded!: () => void;
  #markClosed!: () => void;

  /** Made by the server that accepted `socket`. */
  constructor(id: number, socket: Socket, patienceMs: number) {
    this.id = id;
    this.#raw = socket;
    this.#socket = socket;
    this.#patienceMs = patienceMs;
    this.ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
    this.closed = new Promise((resolve) => {
      this.#markClosed = resolve;
    });
    socket.setNoDelay(true);
    socket.on("close", this.#onClose);
    this.#listen(socket);
  }

  #listen(socket: Socket): void {
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    // A reset shows as ECONNRESET; what matters to a script is that the connection is gone.
    socket.on("error", this.#onError);
    if (socket !== this.#raw) {
      socket.on("close", this.#onClose);
    }
  }

  #onData = (bytes: Buffer): void => {
    this.receivedOctets += bytes.length;
    if (this.#sink !== undefined) {
      this.#sink(bytes);
    } else {
      this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes]);
      this.#wake?.();
    }
  };

  #onEnd = (): void => {
    this.hasEnded = true;
    this.#markEnded();
    this.#wake?.();
  };

  #onError = (): void => {
    this.#socket.destroy();
    this.#raw.destroy();
    // A reset is known now; that the socket is closed is told only at the end of this turn of the event loop.
    this.#onEnd();
  };

  #onClose = (): void => {
    if (!this.#raw.destroyed) {
      this.#raw.destroy();
    }
    this.isClosed = true;
    this.#onEnd();
    this.#markClosed();
    this.#wake?.();
  };

  /** What has arrived and was not read yet. */
  get unread(): Buffer {
    return this.#unread;
  }

  /** Hands everything unread, and from now on each chunk as it arrives, to `sink`: for server sessions, which need speed. */
  takeOver(sink: (bytes: Buffer) => void): void {
    this.#sink = sink;
    const unread = this.#unread;
    this.#unread = Buffer.alloc(0);
    if (unread.length > 0) {
      sink(unread);
    }
  }

  /** For a session that took more than it can use: the octets count as unread again. */
  giveBack(bytes: Buffer): void {
    this.#unread = bytes;
  }

  /**
   * Sends a string (as UTF-8) or bytes; each item of an array is a segment of its own.
   * Resolves when the kernel took it all; `false`: the connection is gone.
   */
  async send(data: string | Uint8Array | readonly (string | Uint8Array)[]): Promise<boolean> {
    if (typeof data === "string" || data instanceof Uint8Array) {
      return this.#write(data);
    }
    for (const segment of data) {
      if (!(await this.#write(segment))) {
        return false;
      }
      await nextTurn();
    }
    return true;
  }

  /** Sends each octet in a segment of its own. */
  sendOctets(data: string | Uint8Array): Promise<boolean> {
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    return this.send(Array.from(bytes, (octet) => Uint8Array.of(octet)));
  }

  /** Sends lines, each ended with CRLF, in one segment. */
  reply(...lines: readonly string[]): Promise<boolean> {
    return this.#write(lines.map((line) => `${line}\r\n`).join(""));
  }

  /** Sends without waiting: for server sessions. */
  write(data: string | Uint8Array): void {
    if (!this.#socket.writable) {
      return;
    }
    this.#socket.write(data);
  }

  #write(data: string | Uint8Array): Promise<boolean> {
    const socket = this.#socket;
    if (!socket.writable) {
      return Promise.resolve(false);
    }
    return new Promise((resolve) => {
      // A destroyed socket does not call back for what was queued.
      const gone = () => resolve(false);
      socket.once("close", gone);
      socket.write(data, (error) => {
        socket.off("close", gone);
        resolve(!error);
      });
    });
  }

  /** The next line, without its CRLF. A bare LF does not end a line. */
  async line(): Promise<string> {
    const bytes = await this.readTo("\r\n");
    return bytes.toString("utf8", 0, bytes.length - 2);
  }

  /** Everything up to and with `mark`. */
  async readTo(mark: string | Uint8Array): Promise<Buffer> {
    let from = 0;
    for (;;) {
      const at = this.#unread.indexOf(mark, from);
      if (at >= 0) {
        return this.#take(at + mark.length);
      }
      from = Math.max(0, this.#unread.length - mark.length + 1);
      await this.#more(`${JSON.stringify(mark.toString())}`);
    }
  }

  /** Exactly so many octets. */
  async read(sizeOctets: number): Promise<Buffer> {
    while (this.#unread.length < sizeOctets) {
      await this.#more(`${sizeOctets} octets`);
    }
    return this.#take(sizeOctets);
  }

  /**
   * Waits for the next line and compares it: a string must equal it but for ASCII case, a regular expression must match it.
   * Bytes must be the next to arrive. Returns the line. Throws {@link ScriptError} when something else came.
   */
  async expect(pattern: string | RegExp | Uint8Array): Promise<string> {
    if (pattern instanceof Uint8Array) {
      const bytes = await this.read(pattern.length);
      if (!bytes.equals(pattern)) {
        throw new ScriptError(`expected ${show(pattern)}, received ${show(bytes)}`);
      }
      return bytes.toString("latin1");
    }
    const line = await this.line();
    const isMatch = typeof pattern === "string" ? pattern.toLowerCase() === line.toLowerCase() : pattern.test(line);
    if (!isMatch) {
      throw new ScriptError(`expected ${pattern}, received ${JSON.stringify(line)}`);
    }
    return line;
  }

  /** Mail data up to the final dot, dots un-stuffed, without the terminator. */
  async content(): Promise<Buffer> {
    const lines: string[] = [];
    for (;;) {
      const line = (await this.readTo("\r\n")).toString("latin1");
      if (line === ".\r\n") {
        return Buffer.from(lines.join(""), "latin1");
      }
      lines.push(line.startsWith(".") ? line.slice(1) : line);
    }
  }

  /** Waits until the client closes its side (or resets); throws {@link ScriptError} when it says anything more before that. */
  async expectEnd(): Promise<void> {
    while (!this.hasEnded && this.#unread.length === 0) {
      await this.#more("the end of the connection");
    }
    if (this.#unread.length > 0) {
      throw new ScriptError(`expected the end, received ${show(this.#unread)}`);
    }
  }

  /** Everything that comes until the client closes. */
  async rest(): Promise<Buffer> {
    await Promise.race([
      this.ended,
      new Promise((_resolve, reject) => {
        const timer = setTimeout(() => reject(new ScriptError("the client did not close")), this.#patienceMs);
        void this.ended.then(() => clearTimeout(timer));
      }),
    ]);
    return this.#take(this.#unread.length);
  }

  #take(sizeOctets: number): Buffer {
    const bytes = this.#unread.subarray(0, sizeOctets);
    this.#unread = this.#unread.subarray(sizeOctets);
    return bytes;
  }

  #more(wanted: string): Promise<void> {
    const before = this.#unread.length;
    if (this.hasEnded) {
      return Promise.reject(new ScriptError(`expected ${wanted}, the client closed; unread: ${show(this.#unread)}`));
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#wake = undefined;
        reject(new ScriptError(`expected ${wanted}, nothing more came; unread: ${show(this.#unread)}`));
      }, this.#patienceMs);
      this.#wake = () => {
        if (this.#unread.length === before && !this.hasEnded) {
          return;
        }
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  /**
   * Answers the client's TLS handshake. Say the 220 (or OK) first. Octets that came before the handshake and are none of it
   * are an error. Resolves when TLS stands, rejects when the handshake fails.
   */
  async startTls(certificate: Certificate, options: TlsOptions = {}): Promise<void> {
    const early = this.#unread;
    // 22 is the content type of a handshake record: the hello may be here already.
    if (early.length > 0 && early[0] !== 22) {
      throw new ScriptError(`octets before TLS: ${show(early)}`);
    }
    this.#unread = Buffer.alloc(0);
    const raw = this.#raw;
    raw.off("data", this.#onData);
    raw.off("end", this.#onEnd);
    raw.pause();
    if (early.length > 0) {
      raw.unshift(early);
    }
    this.receivedOctets -= early.length;
    const socket = new TLSSocket(raw, { isServer: true, secureContext: contextOf(certificate, options) });
    this.#socket = socket;
    this.#listen(socket);
    await new Promise<void>((resolve, reject) => {
      const endings = ["error", "end", "close"];
      const fail = (error?: unknown) => {
        const reason = error instanceof Error ? error.message : "the client closed";
        reject(new ScriptError(`TLS failed: ${reason}`));
      };
      for (const ending of endings) {
        socket.once(ending, fail);
      }
      socket.once("secure", () => {
        for (const ending of endings) {
          socket.off(ending, fail);
        }
        resolve();
      });
    });
    this.isSecure = true;
    this.serverName = (socket as TLSSocket & { servername?: string | false }).servername || undefined;
  }

  /** Sends FIN after what is queued and goes on reading. */
  halfClose(): void {
    this.#socket.end();
  }

  /** Closes after what is queued was sent. */
  close(): void {
    this.#socket.end();
    this.#socket.destroySoon();
  }

  /** Closes at once with an RST. */
  reset(): void {
    const cut = () => {
      this.#raw.resetAndDestroy();
      this.#socket.destroy();
    };
    // Inside a callback of TLS its handle must not lose the socket below.
    if (this.#socket === this.#raw) {
      cut();
    } else {
      setImmediate(cut);
    }
  }

  /** Closes at once; inside TLS without close_notify, which is how a cut looks. */
  destroy(): void {
    this.#socket.destroy();
    this.#raw.destroy();
  }

  /** Takes nothing more off the socket, so that the client's writes meet a full window. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** Reads again. */
  resumeReading(): void {
    this.#socket.resume();
  }
}

function contextOf(certificate: Certificate, options: TlsOptions) {
  const isOld = options.maxVersion === "TLSv1.1" || options.maxVersion === "TLSv1";
  return createSecureContext({
    key: certificate.key,
    cert: certificate.cert,
    ...(isOld ? { ciphers: "DEFAULT@SECLEVEL=0", minVersion: "TLSv1" } : {}),
    ...options,
  });
}

function show(bytes: Uint8Array): string {
  const text = JSON.stringify(Buffer.from(bytes.subarray(0, 200)).toString("latin1"));
  return bytes.length > 200 ? `${text}… (${bytes.length} octets)` : text;
}
