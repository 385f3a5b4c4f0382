/**
 * A message that goes to its recipients in several transactions, because one takes no more of them (RFC 9422, 452 4.5.3, limits.recipients):
 * who is still to be served, and what is known of the others. Kept by a RelayRequest of tasks.ts.
 */
import type { RecipientResult, Reply } from "../../src/api.js";
import type { RelayJob } from "../../src/messages/contract.js";
import { takePortion } from "../wire/smtp/recipients.js";
import { KeptContent } from "./kept-content.js";

export class SplitRelay {
  private readonly results: (RecipientResult | undefined)[];
  /** Who is still to be served, and who is in the transaction at hand, by their indices. */
  private left: number[];
  private portion: number[];
  /** The reply that ended the last transaction, and those that ended any: who was refused by one of these was not judged alone. */
  reply: Reply | undefined;
  readonly endings = new Set<Reply>();
  /** Content that comes in parts. */
  readonly content: KeptContent | undefined;

  /** @param ask asks for one more part of the content */
  constructor(
    private readonly job: RelayJob,
    ask: () => void,
  ) {
    this.results = new Array(job.recipients.length).fill(undefined);
    this.left = [...job.recipients.keys()];
    this.portion = this.left;
    this.content = job.content === null ? new KeptContent(ask) : undefined;
  }

  /** Whom the next transaction serves. */
  begin(most: number, mostDomains: number): readonly number[] {
    this.portion = takePortion(this.job.recipients, this.left, most, mostDomains);
    this.content?.rewind();
    return this.portion;
  }

  /**
   * A transaction is over.
   *
   * @param results one for each of {@link begin}
   * @param postponed which of them, by their places there, the transaction had no room for
   */
  judged(results: readonly RecipientResult[], reply: Reply | undefined, postponed: readonly number[]): void {
    this.reply = reply;
    if (reply !== undefined) {
      this.endings.add(reply);
    }
    const served = new Set<number>();
    for (const [at, result] of results.entries()) {
      const index = this.portion[at]!;
      // What a postponed one was told stands only if nobody asks again.
      this.results[index] = result;
      if (!postponed.includes(at)) {
        served.add(index);
      }
    }
    this.left = this.left.filter((index) => !served.has(index));
    this.content?.rewind();
  }

  /** The transaction at hand is the last one, as far as is known. */
  get isLast(): boolean {
    return this.portion.length === this.left.length;
  }

  get isDone(): boolean {
    return this.left.length === 0;
  }

  /** A transaction was judged: what is known of its recipients stands, whatever becomes of the others. */
  get hasResults(): boolean {
    return this.results.some((result) => result !== undefined);
  }

  /** Whether the content can be sent once more. */
  get isRepeatable(): boolean {
    return this.content?.isKept ?? true;
  }

  /** Recipients that nothing is known of: no content was sent to the host for them. */
  get unserved(): number {
    return this.results.filter((result) => result === undefined).length;
  }

  /** One for each recipient of the message. Those that were not served are deferred, without a reply. */
  list(): RecipientResult[] {
    return this.results.map((result, index) => result ?? { address: this.job.recipients[index]!, status: "deferred" });
  }
}
