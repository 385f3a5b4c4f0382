/** Holds the answers that gateways give in the chaos to when the host gave them. Serves chaos.ts. */
import { processNow } from "../../../src/messages/places.js";
import { AskedHost } from "../kit/asked-host.js";
import type { LookupTally } from "../kit/gateway-lookups.js";
import type { GatewayProcess } from "../kit/gateways.js";

export const TTL_MS = 5_000;
/** What a busy machine may hold up of an answer on its way. */
const HELD_UP_MS = 2_000;
const SURVEYED = 50;

export class ChaosAnswers {
  readonly addresses = Array.from({ length: 20 }, (_, at) => `${at % 3 === 0 ? "nobody" : "a"}${at}@example.org`);
  readonly counts = { answered: 0, shared: 0 };
  readonly broken: string[] = [];
  /** How often the host was asked of each. */
  private readonly asked = new Map<string, number>();
  /** Processes were stopped, and answers lay in their sockets meanwhile. */
  private readonly stops: { readonly fromMs: number; untilMs: number }[] = [];

  private constructor(readonly host: AskedHost) {
    host.answerAfterMs = 5;
    host.onRecipient = (address) => {
      host.text = `at ${Math.floor(processNow())}`;
      this.asked.set(address, (this.asked.get(address) ?? 0) + 1);
    };
  }

  static async start(): Promise<ChaosAnswers> {
    return new ChaosAnswers(await AskedHost.start());
  }

  stopped(): void {
    this.stops.push({ fromMs: processNow(), untilMs: Number.POSITIVE_INFINITY });
  }

  resumed(): void {
    this.stops.at(-1)!.untilMs = processNow();
  }

  note({ answers, resurrected }: LookupTally): void {
    for (const { address, source, answeredMs, givenMs } of answers) {
      this.counts.answered++;
      this.counts.shared += source === "cluster" ? 1 : 0;
      const isExcused = this.stops.some(({ fromMs, untilMs }) => fromMs < answeredMs && untilMs > givenMs - HELD_UP_MS);
      const ageMs = Math.round(answeredMs - givenMs);
      if (ageMs > TTL_MS + HELD_UP_MS && !isExcused) {
        this.fail(`an answer from ${source} about ${address} was ${ageMs} ms old, with a TTL of ${TTL_MS} ms`);
      }
    }
    for (const { address, source } of resurrected) {
      this.fail(`an answer about ${address} came from ${source} behind forget(), given before it`);
    }
  }

  /** Nothing befalls anybody: all ask the same, which nobody knows, and the host is asked once of each. */
  async survey(gateways: readonly GatewayProcess[]): Promise<number> {
    // Who had lost Redis leaves it alone for some seconds more: everybody has had an answer from it first.
    const shared = gateways.map(({ tally }) => tally.lookups?.shared ?? 0);
    await Promise.all(
      gateways.map((gateway, at) => gateway.until(({ lookups }) => (lookups?.shared ?? 0) > shared[at]!)),
    );
    const before = gateways.map(({ tally }) => tally.lostCalls);
    const addresses = Array.from({ length: SURVEYED }, (_, at) => `survey${at}@example.org`);
    for (const [round, some] of [[], addresses].entries()) {
      for (const gateway of gateways) {
        gateway.survey(some);
      }
      await Promise.all(gateways.map((gateway) => gateway.until(({ surveys }) => surveys > round)));
    }
    const asked = addresses.reduce((sum, address) => sum + (this.asked.get(address) ?? 0), 0);
    // Who was not answered by Redis in time, leaves it alone and asks for himself.
    const alone = gateways.filter(({ tally }, at) => tally.lostCalls > before[at]!).length;
    if (asked < addresses.length || asked > addresses.length * (1 + alone)) {
      this.fail(`the host was asked ${asked} times about ${addresses.length} addresses; ${alone} gateways lost Redis`);
    }
    return asked;
  }

  private fail(what: string): void {
    if (this.broken.length < 5) {
      this.broken.push(what);
    }
  }
}
