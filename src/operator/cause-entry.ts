/** What a row of the table of causes is: causes.ts and its parts, connection-causes.ts and waiting-causes.ts, are made of them, diagnosis.ts reads them. */
import type { Evidence } from "./evidence.js";
import type { DiagnosisCause, Severity } from "./report.js";

/** One sentence each. */
export interface Sentences {
  readonly what: string;
  readonly why: string;
  readonly now: string;
}

export interface CauseEntry {
  readonly cause: DiagnosisCause;
  readonly severity: Severity;
  /** `undefined`: it is not this. */
  explain(evidence: Evidence): Sentences | undefined;
}
