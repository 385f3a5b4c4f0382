/** What a run found, for people and, with `--json`, for programs. */
import type { Judgement } from "./servers.js";

/** The whole result. */
export interface Report extends Judgement {
  readonly seed: number;
  readonly seconds: number;
  readonly asked: number;
  readonly unsettled: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly mischief: Readonly<Record<string, number>>;
  readonly kills: number;
  readonly workersLost: number;
  /** Behind a deadline, less the lateness of the driver's event loop. */
  readonly worstDelayMs: number;
  readonly worstLagMs: number;
  /** After the warm-up, and at the end. */
  readonly memoryOctets: readonly [number, number];
  /** Requests a second, as fast as they go: of this client after the last fault, and of one that has seen no fault. */
  readonly sprints: readonly [number, number];
  /** When the last request failed that was asked for after the last fault, in milliseconds behind that fault. */
  readonly recoveredMs: number;
  readonly broken: Readonly<Record<string, { count: number; cases: string[] }>>;
}

/** The report as text. */
export function describeReport(report: Report): string {
  const { verdict, broken } = report;
  const mebibytes = report.memoryOctets.map((octets) => Math.round(octets / 1024 / 1024));
  const list = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .sort()
      .map(([name, count]) => `${name} ${count}`)
      .join(", ");
  const lines = [
    `chaos: ${report.seconds} s, seed ${report.seed}`,
    `  requests        ${report.asked}, of which ${verdict.requests} relays; unsettled ${report.unsettled}`,
    `  recipients      ${verdict.delivered} delivered; ${verdict.uncertain} uncertain, of which ${verdict.uncertainDelivered} have it`,
    `  mischief        ${list(report.mischief)}`,
    `  workers         ${report.kills} struck down, ${report.workersLost} lost`,
    `  connections     at most ${list(report.peaks)}`,
    `  deadlines       settled at most ${Math.round(report.worstDelayMs)} ms behind; event loop at most ${Math.round(report.worstLagMs)} ms late, which is allowed for`,
    `  memory          ${mebibytes[0]} MiB after the warm-up, ${mebibytes[1]} MiB at the end`,
    `  speed           ${Math.round(report.sprints[0])} requests/s after the last fault, ${Math.round(report.sprints[1])} by a newborn client`,
    `  recovery        the last failure came ${Math.round(report.recoveredMs)} ms after the last fault`,
    `  outcomes        ${list(report.outcomes)}`,
  ];
  const breaches = Object.entries(broken).flatMap(([promise, { count, cases }]) => [
    `  BROKEN          ${promise}: ${count} times`,
    ...cases.map((each) => `                    ${each}`),
  ]);
  return [...lines, ...(breaches.length > 0 ? breaches : ["  every promise was kept"])].join("\n");
}
