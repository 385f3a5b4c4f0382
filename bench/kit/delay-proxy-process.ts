/**
 * A network of a given round trip: every octet arrives half of it later, in both directions. What is on its way is bounded:
 * past the bound the proxy stops reading, as a full pipe would.
 */
import { connect, createServer, type Socket } from "node:net";
import { serve } from "./child.js";

/** What a proxy is started with. It answers with its port. */
export interface DelayProxyOptions {
  readonly port: number;
  readonly roundTripMs: number;
}

/** Most octets on their way in one direction of one connection. */
const MAX_OCTETS_ON_THE_WAY = 4 * 1024 * 1024;

/** One direction of one connection. */
class Pipe {
  readonly #onTheWay: { dueMs: number; chunk: Buffer | null }[] = [];
  #octets = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly delayMs: number,
  ) {
    from.on("data", (chunk: Buffer) => this.#depart(chunk));
    from.on("end", () => this.#depart(null));
    to.on("drain", () => this.#arrive());
    to.on("close", () => clearTimeout(this.#timer));
  }

  #depart(chunk: Buffer | null): void {
    this.#onTheWay.push({ dueMs: performance.now() + this.delayMs, chunk });
    this.#octets += chunk?.length ?? 0;
    if (this.#octets > MAX_OCTETS_ON_THE_WAY) {
      this.from.pause();
    }
    this.#timer ??= setTimeout(() => this.#arrive(), this.delayMs);
  }

  #arrive(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // A timer may fire a fraction of a millisecond early.
    const nowMs = performance.now() + 0.5;
    while (this.#onTheWay.length > 0 && this.#onTheWay[0]!.dueMs <= nowMs) {
      if (this.to.writableNeedDrain) {
        return;
      }
      const { chunk } = this.#onTheWay.shift()!;
      if (chunk === null) {
        this.to.end();
      } else {
        this.to.write(chunk);
      }
      this.#octets -= chunk?.length ?? 0;
    }
    if (this.#octets <= MAX_OCTETS_ON_THE_WAY / 2) {
      this.from.resume();
    }
    const next = this.#onTheWay[0];
    if (next !== undefined) {
      this.#timer = setTimeout(() => this.#arrive(), Math.max(0, next.dueMs - performance.now()));
    }
  }
}

serve(async ({ port, roundTripMs }: DelayProxyOptions) => {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const peer = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    for (const [one, other] of [
      [client, peer],
      [peer, client],
    ] as const) {
      one.setNoDelay(true);
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
      new Pipe(one, other, roundTripMs / 2);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
  return (server.address() as { port: number }).port;
});
