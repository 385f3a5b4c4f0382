/** From what is known of a host to what is wrong with it: a pure function. Called by monitor.ts; the causes stand in causes.ts. */
import { CAUSES } from "./causes.js";
import type { Evidence } from "./evidence.js";
import type { Diagnosis } from "./report.js";

/** The first cause that has something to say; the last one always has. */
export function diagnose(evidence: Evidence): Diagnosis {
  for (const { cause, severity, explain } of CAUSES) {
    const sentences = explain(evidence);
    if (sentences !== undefined) {
      return { hostId: evidence.settings.id, cause, severity, ...sentences };
    }
  }
  throw new Error("no cause is left to explain a host");
}
