/** All hosts at a glance as lines of a terminal, sick ones first. Serves top.ts and ctl.ts. */
import type { HostReport, Severity } from "../operator/report.js";
import { shown } from "../serve/wording.js";
import { table } from "./terminal.js";

const ORDER: readonly Severity[] = ["down", "degraded", "notice", "healthy"];
/** SGR parameters; the words say the same. */
const COLORS: Readonly<Record<Severity, string>> = { down: "31;1", degraded: "33", notice: "36", healthy: "32" };

/** Sick ones first; among equals as the configuration has them. */
export function bySeverity(hosts: readonly HostReport[]): HostReport[] {
  return hosts.toSorted((a, b) => ORDER.indexOf(a.diagnosis.severity) - ORDER.indexOf(b.diagnosis.severity));
}

/** `2 down, 1 degraded, 9 healthy`. */
export function totals(hosts: readonly HostReport[]): string {
  const counts = ORDER.map((severity) => ({
    severity,
    count: hosts.filter(({ diagnosis }) => diagnosis.severity === severity).length,
  }));
  const words = counts.filter(({ count }) => count > 0).map(({ severity, count }) => `${count} ${severity}`);
  return words.join(", ") || "no hosts";
}

/** A row for each host, then three sentences for each that is sick. */
export function hostLines(hosts: readonly HostReport[], isColored: boolean): string[] {
  const sorted = bySeverity(hosts);
  const head = [
    "host",
    "state",
    "msg/s",
    "lookups/s",
    "conns",
    "in flight",
    "queued",
    "cache",
    "p50",
    "p99",
    "uncertain",
  ];
  const rows = sorted.map(rowOf);
  const [first = "", ...lines] = table(head, rows);
  const tint = (line: string, severity: Severity) => (isColored ? `\u001b[${COLORS[severity]}m${line}\u001b[0m` : line);
  return [
    isColored ? `\u001b[1m${first}\u001b[0m` : first,
    ...lines.map((line, at) => tint(line, sorted[at]!.diagnosis.severity)),
    ...sorted.flatMap(({ diagnosis }) => {
      const { severity, what, why, now } = diagnosis;
      if (severity === "healthy") {
        return [];
      }
      return ["", tint(shown(what), severity), `  ${shown(why)}`, `  ${shown(now)}`];
    }),
  ];
}

function rowOf(host: HostReport): (string | number)[] {
  const { opening, idle, busy, closing } = host.connections;
  return [
    host.id,
    host.diagnosis.cause,
    host.messageRate,
    host.lookupRate,
    `${opening + idle + busy + closing}/${host.concurrency}`,
    host.inFlight,
    host.queued,
    host.hitRatio === null ? "-" : `${Math.round(host.hitRatio * 100)}%`,
    milliseconds(host.p50Ms),
    milliseconds(host.p99Ms),
    host.uncertain,
  ];
}

function milliseconds(ms: number | null): string {
  if (ms === null) {
    return "-";
  }
  return ms < 1000 ? `${Math.round(ms * 10) / 10}ms` : `${Math.round(ms / 100) / 10}s`;
}
