/** What a simulated run leaves to be judged. Serves verdict.ts and repeats.ts. */
import { domainOf } from "./directory.js";
import type { Ledger, SaidReply } from "./ledger.js";
import type { SimRequest } from "./requests.js";
import type { Rush } from "./rush.js";
import type { Scenario } from "./scenario.js";

export interface Judged {
  readonly scenario: Scenario;
  readonly ledger: Ledger;
  readonly requests: readonly SimRequest[];
  readonly hasCrash: boolean;
  readonly reconfiguredMs: number | undefined;
  /** The phase of full queues, where there was one. */
  readonly rush: Rush | undefined;
}

/** Whether a message has more recipients than a transaction takes, or the server said so. */
export function isSplit({ ledger, scenario }: Judged, recipients: readonly string[]): boolean {
  const { rcptMax, rcptDomainMax } = scenario.offer;
  const most = Math.min(scenario.settings.limits.recipients ?? Number.POSITIVE_INFINITY, rcptMax);
  const isOver = recipients.length > most || new Set(recipients.map(domainOf)).size > rcptDomainMax;
  const isFull = ({ kind, code }: SaidReply): boolean => kind === "rcpt" && code === 452;
  // What one message was told holds for those that follow.
  return isOver || (recipients.length > 1 && ledger.replies.some(isFull));
}
