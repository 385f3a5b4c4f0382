/** A listener whose clients hold conversations: accepts up to its limit, and closes those that are idle. Made by listener.ts, one for each listener that answers questions. */
import { createServer, type Server, type Socket } from "node:net";
import { bind } from "./bind.js";
import { Conversation } from "./conversation.js";
import type { ListenAddress } from "./listen-address.js";
import type { LogThrottle } from "./log-throttle.js";
import type { LoginLog } from "./login-log.js";
import { ProxyFront } from "./proxy-front.js";
import type { Session } from "./session.js";
import type { DovecotAuthSettings, PolicySettings, SocketmapSettings, TcpTableSettings } from "./settings.js";
import { logged } from "./wording.js";

/** Listeners that answer questions. */
export type AnsweringSettings = SocketmapSettings | TcpTableSettings | PolicySettings | DovecotAuthSettings;

/** A peer that vanished without a FIN is found by the kernel. */
const KEEP_ALIVE_MS = 60_000;
const LEAST_SWEEP_MS = 5;
const MOST_SWEEP_MS = 5_000;

/** All clients of one listener. */
export class Connections {
  readonly #server: Server;
  readonly #conversations = new Set<Conversation>();
  readonly #throttle: LogThrottle;
  readonly #logins: LoginLog | undefined;
  readonly #open: () => Session;
  readonly #settings: AnsweringSettings;
  readonly #front: ProxyFront;
  /** Answers to clients that have gone. */
  #answersBefore = 0;
  #sweep: NodeJS.Timeout | undefined;
  #whenEmpty: (() => void) | undefined;

  /**
   * @param open a session for a new client
   * @param logins where the protocol has any
   */
  constructor(settings: AnsweringSettings, open: () => Session, throttle: LogThrottle, logins?: LoginLog) {
    this.#settings = settings;
    this.#open = open;
    this.#throttle = throttle;
    this.#logins = logins;
    this.#server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    const { proxyFrom, clients } = settings;
    this.#front = new ProxyFront(proxyFrom, clients, {
      accepted: (socket, seen) => this.#accept(socket, seen?.address ?? socket.remoteAddress),
      broken: (socket, error) => this.#tellBroken(error, socket.remoteAddress),
    });
    this.#server.on("connection", (socket) => this.#front.take(socket));
  }

  /** Clients now. */
  get count(): number {
    return this.#conversations.size;
  }

  /** Answers given so far. */
  get answers(): number {
    let count = this.#answersBefore;
    for (const { answers } of this.#conversations) {
      count += answers;
    }
    return count;
  }

  /** Logins refused so far. */
  get refusedLogins(): number {
    return this.#logins?.count ?? 0;
  }

  async listen(): Promise<ListenAddress> {
    const address = await bind(this.#server, this.#settings.listen, this.#settings.mode);
    const everyMs = Math.min(MOST_SWEEP_MS, Math.max(LEAST_SWEEP_MS, this.#settings.idleMs / 4));
    this.#sweep = setInterval(() => this.#closeIdle(), everyMs);
    this.#sweep.unref();
    return address;
  }

  /** Stops listening, answers what is in work for at most `drainMs`, then closes everything. */
  async close(drainMs: number): Promise<void> {
    if (this.#server.listening) {
      this.#server.close();
    }
    this.#front.close();
    for (const conversation of this.#conversations) {
      conversation.end();
    }
    if (this.#conversations.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenEmpty = resolve;
        const timer = setTimeout(resolve, drainMs);
        timer.unref();
      });
    }
    for (const conversation of this.#conversations) {
      conversation.destroy();
    }
    clearInterval(this.#sweep);
    this.#logins?.close();
  }

  #accept(socket: Socket, client: string | undefined): void {
    const { clients, pipeline } = this.#settings;
    if (this.#conversations.size >= clients) {
      socket.on("error", () => {});
      socket.destroy();
      this.#throttle.warn("serve-clients-limit", `a client was turned away: there are ${clients} (limits.clients)`);
      return;
    }
    const conversation: Conversation = new Conversation(socket, this.#open(), pipeline, performance.now(), {
      broken: (error) => this.#tellBroken(error, client),
      closed: () => {
        this.#conversations.delete(conversation);
        this.#answersBefore += conversation.answers;
        if (this.#conversations.size === 0) {
          this.#whenEmpty?.();
        }
      },
    });
    this.#conversations.add(conversation);
  }

  #tellBroken(error: Error, client: string | undefined): void {
    const message = `a client's connection was closed: ${logged(error.message)}`;
    this.#throttle.warn("serve-client-broken", message, { client });
  }

  #closeIdle(): void {
    const beforeMs = performance.now() - this.#settings.idleMs;
    for (const conversation of this.#conversations) {
      if (conversation.lastProgressMs < beforeMs && !conversation.isWorking) {
        conversation.destroy();
      }
    }
  }
}
