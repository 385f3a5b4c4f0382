/** What is known of each recipient of one message. The transaction writes it down reply by reply; the task is told all of it at once. */
import type { RecipientResult, Reply } from "../../../src/api.js";
import type { HostLog } from "../../../src/messages/host-log.js";
import { isTooManyRecipients, isTooManyUnknown, isTransactionFull } from "./rcpt-verdict.js";

export class Verdicts {
  /** The reply that ended the transaction: to MAIL, DATA or the content. */
  finalReply: Reply | undefined;
  /** Indices of accepted recipients, in the order of their RCPTs. */
  readonly accepted: number[] = [];
  /** Indices of recipients that the transaction had no room for. */
  readonly postponed: number[] = [];
  /** The first of them for whom those accepted before left no room. */
  private firstBeyond: number | undefined;
  private readonly results: (RecipientResult | undefined)[];

  constructor(private readonly recipients: readonly string[]) {
    this.results = new Array(recipients.length).fill(undefined);
  }

  /** RCPT was answered with yes: the verdict comes later. */
  accept(index: number): void {
    this.accepted.push(index);
  }

  judge(index: number, reply: Reply): void {
    const status = reply.code < 300 ? "delivered" : reply.code < 500 ? "deferred" : "refused";
    this.results[index] = { address: this.recipients[index]!, status, reply };
  }

  /**
   * RCPT was answered with no: for now, where it speaks of the recipients before this one. The host takes no more behind those that it
   * has accepted, or is tired of unknown ones.
   *
   * @returns whether it is for another transaction
   */
  refuse(index: number, reply: Reply): boolean {
    const isBeyond = this.accepted.length > 0 && isTooManyRecipients(reply.code, reply.enhanced);
    const isTired = isTooManyUnknown(reply);
    if (!isBeyond && !isTired) {
      this.judge(index, reply);
      return false;
    }
    this.results[index] = { address: this.recipients[index]!, status: "deferred", reply };
    // To whom it is said first in a transaction, it would be said in the next one, too.
    const isForAnother = isTired ? index > 0 : isTransactionFull(reply.enhanced);
    if (isForAnother) {
      this.postponed.push(index);
    }
    if (isForAnother && !isTired) {
      this.firstBeyond ??= index;
    }
    return isForAnother;
  }

  /** The host accepted nobody behind those that it had no room for: it takes as many as it accepted. */
  get isFull(): boolean {
    return this.firstBeyond !== undefined && this.accepted.at(-1)! < this.firstBeyond;
  }

  /** One reply for everybody accepted. */
  judgeAccepted(reply: Reply): void {
    this.finalReply = reply;
    for (const index of this.accepted) {
      this.judge(index, reply);
    }
  }

  /** One reply for everybody: the sender was refused. */
  judgeAll(reply: Reply): void {
    this.finalReply = reply;
    for (let index = 0; index < this.results.length; index++) {
      this.judge(index, reply);
    }
  }

  get areComplete(): boolean {
    for (const result of this.results) {
      if (result === undefined) {
        return false;
      }
    }
    return true;
  }

  /** One for each recipient; who has none yet is uncertain, and what is judged later changes nothing in this list. */
  list(): RecipientResult[] {
    return this.results.map((result, index) => result ?? { address: this.recipients[index]!, status: "uncertain" });
  }
}

/** What became of a message that was given up in time to be uncertain. */
export function tellLateVerdict(log: HostLog, { code, enhanced, text }: Reply): void {
  const message = "The verdict on a message came after its request was given up.";
  log.write("warn", "late-verdict", message, { code, enhanced, text });
}
