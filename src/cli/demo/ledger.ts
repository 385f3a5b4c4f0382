/** What an embedded server saw with its own eyes. The demo compares it with what relaypost reported. */
import type { RecipientResult } from "../../api.js";

/** One message whose end of data the server read and answered for, recipient by recipient. */
export interface Delivery {
  /** SHA-256 of the content, dots unstuffed. */
  readonly digest: string;
  readonly octets: number;
  readonly from: string;
  readonly recipients: ReadonlyMap<string, RecipientResult["status"]>;
}

/** One server's book. It outlives the server's crash, as a disk would. */
export class Ledger {
  readonly deliveries: Delivery[] = [];
  /** Connections that came as far as TLS. */
  connections = 0;
  /** Of those, the ones that were cut before they had done any work: their peer may never have known them. */
  cutUnused = 0;
  /** Recipients asked about outside of a delivery, and the other questions. */
  readonly questions = { rcpt: 0, vrfy: 0, expn: 0, auth: 0 };

  /** All questions. */
  get asked(): number {
    const { rcpt, vrfy, expn, auth } = this.questions;
    return rcpt + vrfy + expn + auth;
  }

  /** The delivery of a content, if it was recorded. */
  find(digest: string): Delivery | undefined {
    return this.deliveries.find((delivery) => delivery.digest === digest);
  }

  /** Recipients by what the server said of them. */
  count(status: RecipientResult["status"]): number {
    let count = 0;
    for (const { recipients } of this.deliveries) {
      for (const each of recipients.values()) {
        if (each === status) {
          count++;
        }
      }
    }
    return count;
  }
}
