/**
 * What every request became, in the driver's words and in the servers': a few octets for each, so that a long run fits, compared
 * at the end. Lives in the servers' process; `server-process.ts` feeds it.
 */
import type { LedgerTransaction } from "../../src/testing/index.js";
import { CONTENTS, readForwardPath, readReversePath } from "./contents.js";

/** Most recipients of one message. */
export const MOST_RECIPIENTS = 6;
/** Octets of one settlement: the request's number, how it was settled, and each recipient's status. */
export const SETTLEMENT_OCTETS = 5 + MOST_RECIPIENTS;
export const REJECTED = 1;
export const RESOLVED = 2;
export const STATUSES = ["none", "delivered", "refused", "deferred", "uncertain"] as const;
const DELIVERED = 1;
const UNCERTAIN = 4;

const SHOWN = 5;

/** Octets that grow with the number of requests. */
class Column {
  private octets = new Uint8Array(1 << 16);

  get(at: number): number {
    return this.octets[at] ?? 0;
  }

  set(at: number, value: number): void {
    if (at >= this.octets.length) {
      const grown = new Uint8Array(Math.max(this.octets.length * 2, at + 1));
      grown.set(this.octets);
      this.octets = grown;
    }
    this.octets[at] = value;
  }

  increase(at: number): void {
    this.set(at, Math.min(255, this.get(at) + 1));
  }
}

/** What the comparison found. */
export interface Verdict {
  readonly requests: number;
  readonly delivered: number;
  readonly uncertain: number;
  /** Of those uncertain, how many recipients have the message. */
  readonly uncertainDelivered: number;
  /** Each kind of broken promise, with how often, and a few cases. */
  readonly broken: Readonly<Record<string, { count: number; cases: string[] }>>;
}

export class ChaosLedger {
  private requests = 0;
  private readonly settled = new Column();
  private readonly statuses = new Column();
  /** Complete messages that came for each accepted recipient: each could stand in a mailbox, whatever was answered. */
  private readonly terminated = new Column();
  /** Final replies of 2yz, for each recipient. */
  private readonly accepted = new Column();
  /** Complete messages whose recipient was accepted and got no final reply. */
  private readonly unanswered = new Column();
  private readonly broken: Record<string, { count: number; cases: string[] }> = {};

  /** A promise was broken. */
  breach(promise: string, what: string): void {
    this.broken[promise] ??= { count: 0, cases: [] };
    const entry = this.broken[promise];
    entry.count++;
    if (entry.cases.length < SHOWN) {
      entry.cases.push(what);
    }
  }

  /** A server's transaction is over. */
  enter(host: string, transaction: LedgerTransaction): void {
    const path = readReversePath(transaction.from);
    if (path === undefined || !transaction.isTerminated) {
      return;
    }
    const { id, content } = path;
    if (transaction.digest !== CONTENTS[content]?.digest) {
      this.breach("contents arrive whole", `${host}: m${id}, content ${content}, ${transaction.sizeOctets} octets`);
    }
    for (const recipient of transaction.recipients) {
      if (!recipient.isAccepted) {
        continue;
      }
      const at = id * MOST_RECIPIENTS + readForwardPath(recipient.address);
      this.terminated.increase(at);
      if (this.terminated.get(at) === 2) {
        this.breach("nothing is sent again behind its terminator", `${host}: m${id} to ${recipient.address}`);
      }
      if (recipient.finalReply?.startsWith("2")) {
        this.accepted.increase(at);
      } else if (recipient.finalReply === undefined) {
        this.unanswered.increase(at);
      }
    }
  }

  /** The driver's settlements, {@link SETTLEMENT_OCTETS} each. */
  settle(batch: Buffer): void {
    for (let at = 0; at < batch.length; at += SETTLEMENT_OCTETS) {
      const id = batch.readUInt32LE(at);
      this.requests++;
      this.settled.increase(id);
      if (this.settled.get(id) === 2) {
        this.breach("every request is settled once", `m${id}`);
      }
      const isRejected = batch[at + 4] === REJECTED;
      for (let index = 0; index < MOST_RECIPIENTS; index++) {
        this.statuses.set(id * MOST_RECIPIENTS + index, isRejected ? 255 : batch[at + 5 + index]!);
      }
    }
  }

  /** Compares both sides of requests 0 to `count`. */
  judge(count: number): Verdict {
    const sums = { delivered: 0, uncertain: 0, uncertainDelivered: 0 };
    for (let id = 0; id < count; id++) {
      if (this.settled.get(id) === 0) {
        this.breach("every request is settled", `m${id}`);
      }
      if (this.statuses.get(id * MOST_RECIPIENTS) === 255) {
        this.judgeRejected(id);
      } else {
        this.judgeResolved(id, sums);
      }
    }
    return { requests: this.requests, ...sums, broken: this.broken };
  }

  private judgeRejected(id: number): void {
    for (let index = 0; index < MOST_RECIPIENTS; index++) {
      if (this.terminated.get(id * MOST_RECIPIENTS + index) > 0) {
        this.breach("a rejected relay reached nobody", `m${id}, recipient ${index}`);
      }
    }
  }

  private judgeResolved(id: number, sums: { delivered: number; uncertain: number; uncertainDelivered: number }): void {
    for (let index = 0; index < MOST_RECIPIENTS; index++) {
      const status = this.statuses.get(id * MOST_RECIPIENTS + index);
      const accepted = this.accepted.get(id * MOST_RECIPIENTS + index);
      const what = `m${id}, recipient ${index}: ${STATUSES[status]}, accepted ${accepted} times`;
      if (accepted > 1) {
        this.breach("nobody receives a message twice", what);
      }
      if (status === DELIVERED) {
        sums.delivered++;
        if (accepted === 0) {
          this.breach("delivered means delivered", what);
        }
      } else if (status === UNCERTAIN) {
        sums.uncertain++;
        if (accepted > 0) {
          sums.uncertainDelivered++;
        }
      } else if (accepted > 0) {
        this.breach("refused and deferred mean not delivered", what);
      } else if (this.unanswered.get(id * MOST_RECIPIENTS + index) > 0) {
        this.breach("whoever got no final reply is uncertain", what);
      }
    }
  }
}
