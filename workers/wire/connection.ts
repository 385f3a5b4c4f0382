/**
 * The only owner of a socket: TCP, TLS, corked writes and the one time limit that runs. Tells a session what
 * happens and takes its octets; knows nothing of SMTP or IMAP.
 */
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ErrorCode, Failure } from "../../src/errors.js";
import { Timer, type TimerWheel } from "../../src/timer-wheel.js";
import type { Dial } from "./dial.js";
import { connectPlain, peerName, targetOf, unanswered, unreachable } from "./plain-socket.js";
import { SendBuffer } from "./send-buffer.js";
import type { Session, Wire, WireSight } from "./session.js";
import { NO_TAP, type WireTap } from "./wire-tap.js";

/** How long a peer may take to close after our end of the connection was closed. */
const LINGER_MS = 2_000;

type State = "connecting" | "open" | "handshaking" | "ending" | "closed";

export class Connection implements Wire {
  private state: State = "connecting";
  private socket: Socket;
  private session!: Session;
  private outgoing = new SendBuffer();
  private isFlushDue = false;
  /** To be called when what is queued now was taken. */
  private whenSent: (() => void)[] = [];
  private failure: Failure | undefined;
  /** Runs out while connecting, in a handshake, or while a reply is awaited. */
  private readonly limit = new Timer(() => this.limitPassed());
  private readonly tap: WireTap;

  static open<S extends Session>(dial: Dial, wheel: TimerWheel, open: (wire: Wire) => S): S {
    const connection = new Connection(dial, wheel);
    const session = open(connection);
    connection.session = session;
    return session;
  }

  private constructor(
    private readonly dial: Dial,
    private readonly wheel: TimerWheel,
  ) {
    const { settings, address, tap = NO_TAP } = dial;
    this.tap = tap;
    this.wheel.set(this.limit, dial.withinMs);
    if (settings.tls.implicit && dial.preface === undefined && dial.plain === undefined) {
      const secured = dial.tls.open(targetOf(settings, address));
      this.socket = secured;
      this.listen(secured);
      secured.on("data", this.receive);
      this.openSecurely(secured);
      return;
    }
    const { socket, reading } = dial.plain ?? connectPlain(settings, address);
    this.socket = socket;
    this.listen(socket);
    if (reading !== undefined) {
      reading.receive = this.receive;
    } else if (!settings.tls.implicit) {
      socket.on("data", this.receive);
    }
    if (socket.connecting) {
      socket.once("connect", this.reached);
    } else {
      process.nextTick(this.reached);
    }
  }

  get localAddress(): string | undefined {
    return this.socket.localAddress;
  }

  get unsentOctets(): number {
    return this.socket.writableLength + this.outgoing.octets;
  }

  get sight(): WireSight {
    const { socket } = this;
    const tls = "getProtocol" in socket ? (socket as TLSSocket).getProtocol() : null;
    return { address: this.dial.address, tls };
  }

  write(data: string | Uint8Array, whenSent?: () => void): void {
    this.tap.listener?.sent(this.dial.connection ?? 0, data);
    if (whenSent !== undefined) {
      this.whenSent.push(whenSent);
    }
    // The socket has passed on all that it was ever given, as it mostly has by the next turn.
    if (!this.isFlushDue && this.socket.writableLength === 0) {
      this.outgoing.rewind();
    }
    if (typeof data === "string") {
      this.outgoing.writeText(data);
    } else {
      this.outgoing.writeBytes(data);
    }
    if (this.isFlushDue) {
      return;
    }
    this.isFlushDue = true;
    process.nextTick(this.flush);
  }

  startTls(): void {
    this.flush();
    this.state = "handshaking";
    this.wheel.set(this.limit, this.dial.settings.timeoutMs);
    // What is to be secret is never laid where the plain socket might still look.
    this.outgoing = new SendBuffer();
    const secured = this.wrap();
    secured.once("secureConnect", () => {
      if (this.state !== "handshaking" || !this.isAccepted(secured)) {
        return;
      }
      this.state = "open";
      this.wheel.clear(this.limit);
      this.session.secured();
    });
  }

  /** TCP stands. The preface goes first, and then TLS where it is implicit, within the same time limit. */
  private readonly reached = (): void => {
    if (this.state !== "connecting" || this.socket.destroyed) {
      return;
    }
    const { preface, settings } = this.dial;
    if (preface !== undefined) {
      this.socket.write(preface);
    }
    if (settings.tls.implicit) {
      this.openSecurely(this.wrap());
    } else {
      this.opened(false);
    }
  };

  private openSecurely(secured: TLSSocket): void {
    secured.once("secureConnect", () => {
      if (this.isAccepted(secured)) {
        this.opened(true);
      }
    });
  }

  private wrap(): TLSSocket {
    const plain = this.socket;
    plain.removeAllListeners();
    plain.on("error", () => {}); // the TLS socket reports it
    const secured: TLSSocket = this.dial.tls.wrap(plain);
    this.socket = secured;
    this.listen(secured);
    secured.on("data", this.receive);
    return secured;
  }

  end(): void {
    if (this.state === "closed" || this.state === "ending") {
      return;
    }
    this.flush();
    this.state = "ending";
    this.wheel.set(this.limit, LINGER_MS);
    this.socket.end();
  }

  destroy(): void {
    if (this.state === "closed") {
      return;
    }
    this.state = "ending";
    this.socket.destroy();
  }

  expectWithin(ms: number): void {
    if (this.state !== "open") {
      return;
    }
    if (ms === 0) {
      this.wheel.clear(this.limit);
    } else {
      this.wheel.set(this.limit, ms);
    }
  }

  private listen(socket: Socket): void {
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.failure ??= this.describe(error);
    });
    socket.on("drain", () => {
      if (this.state === "open") {
        this.session.drained();
      }
    });
    // The peer's end of stream: nothing more can be answered, so there is no half-open state to keep.
    socket.once("end", () => socket.destroy());
    socket.once("close", () => this.closed());
  }

  /** Nothing is written to a peer whose certificate is not one of `tls.fingerprints`. */
  private isAccepted(socket: TLSSocket): boolean {
    if (this.dial.tls.accepts(socket)) {
      return true;
    }
    this.failure ??= {
      code: "TLS_FAILED",
      message: `${this.peer} showed a certificate that is not one of tls.fingerprints; relaypost probe prints those of the one it has.`,
    };
    socket.destroy();
    return false;
  }

  private opened(isSecure: boolean): void {
    if (this.state !== "connecting") {
      return;
    }
    this.state = "open";
    this.wheel.clear(this.limit);
    if (isSecure) {
      this.socket.setNoDelay(true);
    }
    this.session.connected(isSecure);
  }

  private readonly receive = (bytes: Uint8Array): void => {
    if (this.state === "open") {
      this.tap.listener?.received(this.dial.connection ?? 0, bytes);
      this.session.received(bytes);
    }
  };

  private readonly flush = (): void => {
    this.isFlushDue = false;
    if (this.outgoing.octets === 0) {
      return;
    }
    const pieces = this.outgoing.take();
    if (this.state !== "open") {
      return;
    }
    const { socket } = this;
    if (pieces.length === 1 && this.whenSent.length === 0) {
      socket.write(pieces[0]!);
      return;
    }
    const last = pieces.pop()!;
    socket.cork();
    for (const piece of pieces) {
      socket.write(piece);
    }
    socket.write(last, this.sentCallback());
    socket.uncork();
  };

  private sentCallback(): ((error?: Error | null) => void) | undefined {
    const { whenSent } = this;
    if (whenSent.length === 0) {
      return undefined;
    }
    this.whenSent = [];
    return (error) => {
      if (error === undefined || error === null) {
        for (const callback of whenSent) {
          callback();
        }
      }
    };
  }

  private limitPassed(): void {
    if (this.state === "open") {
      this.session.timedOut();
      return;
    }
    this.failure ??= this.describeTimeout();
    this.socket.destroy();
  }

  private closed(): void {
    const failure = this.failure ?? { code: "REMOTE_CLOSED", message: `${this.peer} closed the connection.` };
    this.state = "closed";
    this.wheel.clear(this.limit);
    this.session.closed(failure);
  }

  private get peer(): string {
    return peerName(this.dial.settings, this.dial.address);
  }

  private describeTimeout(): Failure {
    if (this.state === "handshaking") {
      return { code: "CONNECT_TIMEOUT", message: `${this.peer} did not finish the TLS handshake in time (timeout).` };
    }
    if (this.state === "connecting") {
      return unanswered(this.dial.settings, this.dial.address);
    }
    return { code: "REMOTE_CLOSED", message: `${this.peer} did not close the connection.` };
  }

  private describe(error: NodeJS.ErrnoException): Failure {
    const what = error.code ?? error.message;
    const describe = (code: ErrorCode, message: string): Failure => ({ code, message, cause: error.message });
    if (this.state === "handshaking" || isTlsError(error)) {
      const isPlain = what === "ERR_SSL_WRONG_VERSION_NUMBER" && this.dial.settings.tls.implicit;
      const hint = isPlain ? " It speaks plain text there: tls.implicit = false is for STARTTLS." : "";
      return describe("TLS_FAILED", `TLS with ${this.peer} failed: ${what}.${hint}`);
    }
    if (this.state === "connecting") {
      return unreachable(this.dial.settings, this.dial.address, error);
    }
    return describe("REMOTE_CLOSED", `The connection to ${this.peer} was lost: ${what}.`);
  }
}

/** Errors of OpenSSL and of certificate checks, as Node names them. */
function isTlsError(error: NodeJS.ErrnoException): boolean {
  return /^ERR_(SSL|TLS)_|CERT|SELF_SIGNED|UNABLE_TO|EPROTO/.test(error.code ?? "");
}
