/** The lookups of a gateway in a process of its own: asks without end, forgets now and then, and tells what became of it. Serves gateway-process.ts. */
import type { RemoteHost } from "../../../src/index.js";
import { processNow } from "../../../src/messages/places.js";

/** An answer, with the time at which the host says in its text that it gave it. Times are those of all processes of the machine. */
export interface TimedAnswer {
  readonly address: string;
  readonly source: string;
  readonly askedMs: number;
  readonly answeredMs: number;
  readonly givenMs: number;
}

export interface LookupTally {
  readonly answered: number;
  readonly shared: number;
  readonly failed: number;
  /** Answers since it told last. */
  readonly answers: readonly TimedAnswer[];
  /** Answers to questions behind a `forget()` that this gateway was asked for, given before it. */
  readonly resurrected: readonly TimedAnswer[];
}

const PAUSE_MS = 20;
const FORGET_EVERY = 25;

export class GatewayLookups {
  private answered = 0;
  private shared = 0;
  private failed = 0;
  private answers: TimedAnswer[] = [];
  private resurrected: TimedAnswer[] = [];
  private forgetting: Promise<void> = Promise.resolve();
  private isForgetful = true;

  constructor(
    private readonly host: RemoteHost,
    private readonly addresses: readonly string[],
  ) {}

  async run(): Promise<never> {
    for (let count = 1; ; count++) {
      const address = this.addresses[Math.floor(Math.random() * this.addresses.length)]!;
      if (count % FORGET_EVERY === 0 && this.isForgetful) {
        this.forgetting = this.forget(address);
        await this.forgetting;
      } else {
        await this.ask(address);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** Asks of all of these at once, and forgets nothing from now on: what is under way while somebody forgets is not told to others. */
  async survey(addresses: readonly string[]): Promise<void> {
    this.isForgetful = false;
    await this.forgetting;
    await Promise.all(addresses.map((address) => this.ask(address)));
  }

  async ask(address: string): Promise<TimedAnswer | undefined> {
    const askedMs = processNow();
    try {
      const { reply, source } = await this.host.verifyRecipient(address);
      const givenMs = Number(/at (\d+)/.exec(reply!.text)![1]);
      const answer: TimedAnswer = { address, source, askedMs, answeredMs: processNow(), givenMs };
      this.answered++;
      this.shared += source === "cluster" ? 1 : 0;
      this.answers.push(answer);
      return answer;
    } catch {
      this.failed++;
      return undefined;
    }
  }

  tally(): LookupTally {
    const { answered, shared, failed, answers, resurrected } = this;
    this.answers = [];
    this.resurrected = [];
    return { answered, shared, failed, answers, resurrected };
  }

  private async forget(address: string): Promise<void> {
    const calledMs = Math.floor(processNow());
    await this.host.forget({ recipient: address });
    const answer = await this.ask(address);
    if (answer !== undefined && answer.givenMs < calledMs) {
      this.resurrected.push(answer);
    }
  }
}
