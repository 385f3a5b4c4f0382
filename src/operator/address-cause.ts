/** The cause that one of several addresses is down while the others serve. A part of the table in causes.ts. */
import type { AddressStats } from "../stats.js";
import type { CauseEntry } from "./cause-entry.js";
import { addressesDown, type Evidence } from "./evidence.js";
import { clause, counted, span } from "./words.js";

/** More than that are counted, and not named. */
const MOST_NAMED = 3;

export const addressCause: CauseEntry = {
  cause: "address-down",
  severity: "degraded",
  explain: (evidence) => {
    const down = addressesDown(evidence);
    const { settings, stats } = evidence;
    const all = stats.addresses ?? [];
    if (down.length === 0) {
      return undefined;
    }
    const more = down.length > MOST_NAMED ? `, and ${down.length - MOST_NAMED} more` : "";
    return {
      what: `${down.length} of the ${all.length} addresses of ${settings.id} ${down.length === 1 ? "is" : "are"} down.`,
      why: `${down
        .slice(0, MOST_NAMED)
        .map((address) => wordsOf(address, evidence))
        .join("; ")}${more}.`,
      now: whatServes(all),
    };
  },
};

/** Where it is, and of what it failed. */
function wordsOf({ address, port, lastFailure }: AddressStats, { nowMs }: Evidence): string {
  const place = port === 0 ? address : `${address}, port ${port}`;
  if (lastFailure === undefined) {
    return place;
  }
  const { message, at, count } = lastFailure;
  return `${place}: ${counted(count, "attempt")} failed, the last one ${span(nowMs - at)} ago: ${clause(message)}`;
}

function whatServes(all: readonly AddressStats[]): string {
  const up = all.filter(({ state }) => state === "up");
  const isOnBackups = up.every(({ backup }) => backup);
  const serving = `The ${isOnBackups ? "backup" : "other"}${up.length === 1 ? " serves" : "s serve"} meanwhile`;
  return `${serving}; what is down is tried again by one connection at a time, more and more seldom.`;
}
