/** What one host's SMTP and LMTP sessions learn of their peer and tell the next one. Kept by the pool's dialer. */
import type { HostLog } from "../../../src/messages/host-log.js";

export class PeerMemory {
  /** It advertised PIPELINING and lost commands: spoken to one by one from then on. */
  dropsCommands = false;
  /** LMTP: it gave one reply for each of several recipients, when no other command was in flight that could have been the source of one. */
  countsRecipients = false;
  /** It advertised CHUNKING and did not know BDAT. */
  refusesChunks = false;
  /** The last group of commands was answered to the end: if a reply is missing now, the peer is more likely slow. */
  pipelines = false;

  /** Most recipients that it takes in one transaction, as its refusals of further ones have shown. */
  mostRecipients = Number.POSITIVE_INFINITY;

  /** It refused a recipient behind so many that it had accepted, because there were so many. */
  recipientsLimited(accepted: number, log: HostLog): void {
    if (accepted >= this.mostRecipients) {
      return;
    }
    this.mostRecipients = accepted;
    log.write(
      "info",
      "recipients-limited",
      `The peer takes ${accepted} recipients in one transaction; messages to more of them are split from now on.`,
      { recipients: accepted },
    );
  }

  /** Commands that were pipelined have all been answered. */
  groupAnswered(): void {
    this.pipelines = true;
  }

  /** It does not know BDAT. */
  chunksRefused(log: HostLog): void {
    this.refusesChunks = true;
    log.write(
      "warn",
      "chunking-off",
      "The peer advertises CHUNKING and refuses BDAT; its messages go by DATA from now on.",
    );
  }

  /** The first commands of a group were answered, and then nothing more came in time. */
  groupLost(log: HostLog): void {
    if (this.pipelines || this.dropsCommands) {
      this.pipelines = false;
      return;
    }
    this.dropsCommands = true;
    log.write(
      "warn",
      "pipelining-off",
      "The peer advertises PIPELINING but left commands of a group unanswered; it is spoken to one by one from now on.",
    );
  }
}
