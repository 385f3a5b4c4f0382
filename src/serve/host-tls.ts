/** The TLS version of each connection to a host, as the workers report it when it is ready. Opened by daemon.ts, asked by message-log.ts. */
import { type TracingChannelSubscribers, tracingChannel } from "node:diagnostics_channel";
import type { ConnectTrace } from "../runtime/tracing.js";

/** Older ones are gone long ago. */
const MOST_CONNECTIONS = 10_000;

/** What is known of the connections. */
export class HostTls implements Disposable {
  /** By the host's id and the connection's number; the oldest first. */
  readonly #versions = new Map<string, string>();
  readonly #channel = tracingChannel<unknown, ConnectTrace>("relaypost:connect");
  readonly #subscribers = {
    asyncEnd: ({ hostId, connection, tls, error }: ConnectTrace) => {
      if (error === undefined) {
        this.#keep(`${hostId} ${connection}`, tls ?? "none");
      }
    },
  } as TracingChannelSubscribers<ConnectTrace>;

  /** Begins to listen: workers say nothing of connections to nobody. */
  constructor() {
    this.#channel.subscribe(this.#subscribers);
  }

  /** `TLSv1.3`, `none`, or `undefined` where it is not known. */
  versionOf(hostId: string, connection: number): string | undefined {
    return this.#versions.get(`${hostId} ${connection}`);
  }

  [Symbol.dispose](): void {
    this.#channel.unsubscribe(this.#subscribers);
  }

  #keep(key: string, version: string): void {
    // A worker that was replaced counts from one again.
    this.#versions.delete(key);
    this.#versions.set(key, version);
    if (this.#versions.size > MOST_CONNECTIONS) {
      const [oldest] = this.#versions.keys();
      this.#versions.delete(oldest!);
    }
  }
}
