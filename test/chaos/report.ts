/** What a run found, for people and, with `--json`, for programs. */
import type { Judgement } from "./servers.js";

/** The whole result. */
export interface Report extends Judgement {
  readonly seed: number;
  readonly seconds: number;
  readonly asked: number;
  readonly unsettled: number;
  /** How often the driver sent a relay again that had been rejected. */
  readonly resubmitted: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly mischief: Readonly<Record<string, number>>;
  readonly kills: number;
  readonly workersLost: number;
  /** Behind a deadline, less the lateness of the driver's event loop. */
  readonly worstDelayMs: number;
  readonly worstLagMs: number;
  /** After the warm-up, and at the end. */
  readonly memoryOctets: readonly [number, number];
  /** Requests served a second under the steady load: before the first fault, and in each second behind the last one. */
  readonly throughput: { readonly before: number; readonly after: readonly number[] };
  /** Requests a second, as fast as they go: of this client before the first fault and after the last, and of one that has seen no fault. */
  readonly speeds: { readonly before: number; readonly after: number; readonly newborn: number };
  /** When the last request failed that was asked for after the last fault, in milliseconds behind that fault. */
  readonly recoveredMs: number;
  readonly broken: Readonly<Record<string, { count: number; cases: string[] }>>;
}

/** The report as text. */
export function describeReport(report: Report): string {
  const { verdict, broken, throughput, speeds, mischief } = report;
  const [before, after] = report.memoryOctets;
  const mebibytes = (octets: number): string => (octets / 1024 / 1024).toFixed(1);
  const list = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .sort()
      .map(([name, count]) => `${name} ${count}`)
      .join(", ");
  const happened = (...kinds: readonly string[]): number =>
    Object.entries(mischief).reduce(
      (sum, [name, count]) => (kinds.some((kind) => name === kind || name.endsWith(` ${kind}`)) ? sum + count : sum),
      0,
    );
  const lines = [
    `chaos: ${report.seconds} s, seed ${report.seed}`,
    `  requests        ${report.asked} asked, ${report.asked - report.unsettled} settled, ${report.unsettled} not`,
    `  relays          ${verdict.requests} messages, sent again ${report.resubmitted} times by the driver after they were rejected`,
    `  recipients      ${verdict.delivered} delivered; ${verdict.uncertain} uncertain, of which ${verdict.uncertainDelivered} have it`,
    `  faults          ${report.kills} workers struck down, ${report.workersLost} lost; ${happened("reload", "bad reload", "remove")} reloads; ${happened("reset", "cut")} orders to reset or cut; ${happened("refuse", "restart")} closed doors; ${happened("stall")} stalls; ${happened("hang")} hangs`,
    `  mischief        ${list(mischief)}`,
    `  connections     at most ${list(report.peaks)}`,
    `  deadlines       settled at most ${Math.round(report.worstDelayMs)} ms behind; event loop at most ${Math.round(report.worstLagMs)} ms late, which is allowed for`,
    `  memory          ${mebibytes(before)} MiB after the warm-up, ${mebibytes(after)} MiB at the end: ${percent(after / before - 1)}`,
    `  throughput      ${Math.round(throughput.before)} requests/s before the first fault; ${throughput.after.map(Math.round).join(", ")} in the seconds behind the last`,
    `  speed           as fast as it goes: ${Math.round(speeds.before)} requests/s before the first fault, ${Math.round(speeds.after)} after the last, ${Math.round(speeds.newborn)} by a newborn client`,
    `  recovery        the last failure came ${Math.round(report.recoveredMs)} ms after the last fault`,
    `  outcomes        ${list(report.outcomes)}`,
  ];
  const breaches = Object.entries(broken).flatMap(([promise, { count, cases }]) => [
    `  BROKEN          ${promise}: ${count} times`,
    ...cases.map((each) => `                    ${each}`),
  ]);
  return [...lines, ...(breaches.length > 0 ? breaches : ["  every promise was kept"])].join("\n");
}

function percent(ratio: number): string {
  return `${ratio > 0 ? "+" : ""}${(ratio * 100).toFixed(1)} %`;
}
