/**
 * A server on loopback that plays a script on each connection. Serves tests directly, and mail-server.ts,
 * whose well-behaved sessions are scripts too, so that a test can play both in turn.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Certificate } from "./certificates.js";
import { ScriptedPeer, type TlsOptions } from "./peer.js";

/** What is played on a connection: a function, or an array of scripts one after the other. The connection stays as it is at the end. */
export type Script = ((peer: ScriptedPeer) => unknown) | readonly Script[];

/** Settings of {@link ScriptedServer.listen}. */
export interface ListenOptions {
  /** Local address. Default `127.0.0.1`. */
  readonly address?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** TLS from the first octet, with this certificate. A client that refuses it is no failure of the script. */
  readonly implicitTls?: Certificate;
  readonly tlsOptions?: TlsOptions;
  /** How long a script waits for what it expects, in milliseconds. Default 10,000. */
  readonly patienceMs?: number;
}

/** Peers whose connection is gone are forgotten past this many, so that a long run does not fill the memory. */
const KEPT_PEERS = 1_000;

/** A listening server; see {@link ScriptedServer.listen}. */
export class ScriptedServer implements AsyncDisposable {
  /** Connections so far. */
  accepted = 0;
  /** Most connections open at the same time. */
  peak = 0;
  /** What scripts threw. */
  readonly failures: Error[] = [];

  readonly #script: Script;
  readonly #options: ListenOptions;
  readonly #peers = new Map<number, ScriptedPeer>();
  readonly #open = new Set<ScriptedPeer>();
  readonly #playing = new Set<Promise<void>>();
  readonly #wakers = new Set<() => void>();
  #server: Server | undefined;
  #bound!: AddressInfo;
  #isClosing = false;

  private constructor(script: Script, options: ListenOptions) {
    this.#script = script;
    this.#options = options;
  }

  /** Listens, and plays `script` on every connection. See `inTurn` for a script of its own for each. */
  static async listen(script: Script, options: ListenOptions = {}): Promise<ScriptedServer> {
    const server = new ScriptedServer(script, options);
    await server.#bind(options.port ?? 0);
    return server;
  }

  async #bind(port: number): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    server.listen({ port, host: this.#options.address ?? "127.0.0.1", backlog: 1024 });
    await once(server, "listening");
    this.#server = server;
    this.#bound = server.address() as AddressInfo;
  }

  get port(): number {
    return this.#bound.port;
  }

  get address(): string {
    return this.#bound.address;
  }

  /** Connections open now, without those that the client has ended. */
  get open(): number {
    return this.#open.size;
  }

  #accept(socket: Socket): void {
    const peer = new ScriptedPeer(++this.accepted, socket, this.#options.patienceMs ?? 10_000);
    this.#peers.set(peer.id, peer);
    this.#open.add(peer);
    void peer.ended.then(() => this.#open.delete(peer));
    // A client may close one connection and open the next at once: its FIN is in the same batch of events as the new
    // connection and may be read after it, so that the count is taken when the batch is through.
    setImmediate(() =>
      setImmediate(() => {
        this.peak = Math.max(this.peak, this.#open.size);
      }),
    );
    if (this.#peers.size > KEPT_PEERS) {
      this.#forgetClosed();
    }
    const played = this.#play(peer).finally(() => this.#playing.delete(played));
    this.#playing.add(played);
    for (const wake of this.#wakers) {
      wake();
    }
  }

  #forgetClosed(): void {
    for (const [id, peer] of this.#peers) {
      if (this.#peers.size <= KEPT_PEERS) {
        return;
      }
      if (peer.isClosed) {
        this.#peers.delete(id);
      }
    }
  }

  async #play(peer: ScriptedPeer): Promise<void> {
    try {
      if (this.#options.implicitTls !== undefined) {
        const isSecure = await peer.startTls(this.#options.implicitTls, this.#options.tlsOptions).then(
          () => true,
          () => false,
        );
        if (!isSecure) {
          return peer.destroy();
        }
      }
      await play(this.#script, peer);
    } catch (error) {
      if (!this.#isClosing) {
        this.failures.push(error instanceof Error ? error : new Error(String(error)));
      }
      peer.destroy();
    }
  }

  /** The connection with this number, counted from 1, as soon as it has come. */
  async connection(number: number): Promise<ScriptedPeer> {
    while (this.accepted < number) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#wakers.delete(wake);
          resolve();
        };
        this.#wakers.add(wake);
      });
    }
    const peer = this.#peers.get(number);
    if (peer === undefined) {
      throw new RangeError(`connection ${number} is closed and forgotten`);
    }
    return peer;
  }

  /** Resolves when every script that was begun has been played to its end; throws what the first of them threw. */
  async done(): Promise<void> {
    while (this.#playing.size > 0) {
      await Promise.all(this.#playing);
    }
    this.#throwFailure();
  }

  /** Stops listening, so that new connections are refused; those that stand go on. */
  refuse(): void {
    // The port is free at once, though Node calls back only when the connections are gone too.
    this.#server?.close();
    this.#server = undefined;
  }

  /** Listens again on the same port after {@link refuse}. */
  async accept(): Promise<void> {
    if (this.#server === undefined) {
      await this.#bind(this.port);
    }
  }

  /** Cuts every connection and stops listening. Throws what the first failed script threw. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.refuse();
    await Promise.all(
      Array.from(this.#peers.values(), (peer) => {
        peer.destroy();
        return peer.closed;
      }),
    );
    this.#throwFailure();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #throwFailure(): void {
    const failure = this.failures[0];
    if (failure !== undefined) {
      throw failure;
    }
  }
}

/** Plays a script on a connection. */
export async function play(script: Script, peer: ScriptedPeer): Promise<void> {
  if (typeof script === "function") {
    await script(peer);
  } else {
    for (const step of script) {
      await play(step, peer);
    }
  }
}

/** The first connection gets the first script and so on; the last script serves all that follow. */
export function inTurn(...scripts: readonly [Script, ...Script[]]): Script {
  return (peer) => play(scripts[Math.min(peer.id, scripts.length) - 1]!, peer);
}
