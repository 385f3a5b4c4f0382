/** How the page writes numbers and times. */
import type { HostReport } from "../src/operator/report.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

/** `0`, `3.4`, `1,250`. */
export function formatRate(perSecond: number): string {
  return (perSecond < 10 ? tenths : whole).format(perSecond);
}

export function formatCount(count: number): string {
  return whole.format(count);
}

/** `8.5 ms`, `120 ms`, `2.3 s`; a dash where nothing was measured. */
export function formatMs(ms: number | null): string {
  if (ms === null) {
    return "–";
  }
  if (ms >= 1000) {
    return `${tenths.format(ms / 1000)} s`;
  }
  return `${(ms < 10 ? tenths : whole).format(ms)} ms`;
}

export function formatPercent(ratio: number | null): string {
  return ratio === null ? "–" : `${whole.format(ratio * 100)} %`;
}

/** `42 s`, `7 min`, `3 h`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 100) {
    return `${seconds} s`;
  }
  return seconds < 6_000 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export function formatClock(atMs: number): string {
  return clock.format(atMs);
}

/** Sick ones first; among equals as the configuration has them. */
export function bySeverity(hosts: readonly HostReport[]): HostReport[] {
  const order = ["down", "degraded", "notice", "healthy"];
  return hosts.toSorted((a, b) => order.indexOf(a.diagnosis.severity) - order.indexOf(b.diagnosis.severity));
}
