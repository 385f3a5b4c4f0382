/** Where the testing kit's mail server keeps the content of the message in hand: whole, as a digest, or not at all. Serves mail-dialogue.ts. */
import { createHash, type Hash } from "node:crypto";
import type { Ledger, LedgerDetail, LedgerTransaction } from "./ledger.js";

export class MessageStore {
  #parts: Buffer[] = [];
  #hash: Hash | undefined;

  readonly #keep: LedgerDetail;
  readonly #ledger: Ledger;

  constructor(keep: LedgerDetail, ledger: Ledger) {
    this.#keep = keep;
    this.#ledger = ledger;
  }

  /** A transaction begins, without content. */
  begin(transaction: LedgerTransaction): void {
    if (this.#keep !== "nothing") {
      this.#ledger.transactions.push(transaction);
    }
    this.#parts = [];
    this.#hash = this.#keep === "digest" ? createHash("sha256") : undefined;
  }

  take(transaction: LedgerTransaction, part: Buffer): void {
    transaction.sizeOctets += part.length;
    if (this.#keep === "content") {
      this.#parts.push(part);
    } else {
      this.#hash?.update(part);
    }
  }

  /** Enters what has come. */
  close(transaction: LedgerTransaction): void {
    if (this.#parts.length > 0) {
      transaction.content = Buffer.concat(this.#parts);
    }
    this.#parts = [];
    transaction.digest = this.#hash?.digest("hex");
    this.#hash = undefined;
  }

  /** The message's final replies are given. */
  count(transaction: LedgerTransaction): void {
    const delivered = transaction.recipients.filter(({ finalReply }) => finalReply?.startsWith("2")).length;
    this.#ledger.deliveryCount += delivered;
    if (delivered > 0) {
      this.#ledger.messageCount++;
    }
  }
}
