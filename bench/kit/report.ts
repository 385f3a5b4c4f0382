/** What a benchmark leaves behind: a table on standard output, and JSON and a plot in bench/results/. */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { init } from "echarts";
import type { BenchOptions } from "./options.js";
import { median, type Row } from "./rounds.js";

/** The figures that a table may show, in the order of its columns. */
type Figure =
  | "perSecond"
  | "megabytesPerSecond"
  | "cpuMicrosEach"
  | "p50Micros"
  | "p99Micros"
  | "rssOctets"
  | "startMs";

/** What a benchmark is called, and what its figures mean. */
export interface Report {
  /** Of the files: `relay`. */
  readonly name: string;
  readonly title: string;
  /** What is counted: `msg`, `lookups`. */
  readonly unit: string;
  readonly figures: readonly Figure[];
  /** Octets of one of what is counted, for MB/s. */
  readonly octetsOf?: (cell: string) => number;
  readonly rows: readonly Row[];
  /** What the JSON holds besides. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** How each figure is headed and written. */
const COLUMNS: Record<Figure, (unit: string) => { head: string; write: (value: number) => string }> = {
  perSecond: (unit) => ({ head: `${unit}/s`, write: (value) => grouped(value) }),
  megabytesPerSecond: () => ({ head: "MB/s", write: (value) => grouped(value) }),
  cpuMicrosEach: (unit) => ({ head: `CPU µs/${unit}`, write: (value) => grouped(value) }),
  p50Micros: () => ({ head: "p50", write: duration }),
  p99Micros: () => ({ head: "p99", write: duration }),
  rssOctets: () => ({ head: "RSS MiB", write: (value) => grouped(value / 1024 / 1024) }),
  startMs: () => ({ head: "start", write: (value) => duration(value * 1000) }),
};

/** Prints the table, and writes `<name>.json` and `<name>.svg`. Short runs leave theirs in results/short/, which is not kept. */
export function report(result: Report, options: BenchOptions): void {
  console.log(`\n${result.title}\n`);
  console.log(table(result));
  if (result.rows.length === 0) {
    return;
  }
  const ratios = compare(result.rows);
  if (ratios.length > 0) {
    console.log(`\n${ratios.map(describeRatio).join("\n")}`);
  }
  const directory = fileURLToPath(
    new URL(`../../../bench/results/${options.isShort ? "short/" : ""}`, import.meta.url),
  );
  mkdirSync(directory, { recursive: true });
  const { name, title, unit, rows, details } = result;
  const machine = {
    node: process.version,
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryOctets: totalmem(),
  };
  const document = { name, title, unit, when: new Date().toISOString(), machine, options, rows, ratios, ...details };
  writeFileSync(`${directory}${name}.json`, `${JSON.stringify(document, null, 2)}\n`);
  writeFileSync(`${directory}${name}.svg`, plot(result));
  console.log(`\n${directory}${name}.{json,svg}`);
}

function figureOf(row: Row, figure: Figure, { octetsOf }: Report): number {
  return figure === "megabytesPerSecond" ? (row.perSecond * (octetsOf?.(row.cell) ?? 0)) / 1e6 : row[figure];
}

function table(result: Report): string {
  const columns = result.figures.map((figure) => COLUMNS[figure](result.unit));
  const lines = [["", "", ...columns.map(({ head }) => head), "spread", "failed"]];
  let cell = "";
  for (const row of result.rows) {
    const figures = result.figures.map((figure, i) => {
      const value = figureOf(row, figure, result);
      return Number.isFinite(value) ? columns[i]!.write(value) : "–";
    });
    const spread = (Math.max(...row.rounds) - Math.min(...row.rounds)) / row.perSecond;
    lines.push([
      row.cell === cell ? "" : row.cell,
      row.contender,
      ...figures,
      `${Math.round(spread * 100)} %`,
      `${row.failed}`,
    ]);
    cell = row.cell;
  }
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  return lines
    .map((line) => line.map((text, i) => (i < 2 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join("  "))
    .join("\n");
}

/** The library beside another contender. */
interface Ratio {
  readonly cell: string;
  readonly beside: string;
  /** How many times the other's rate: the median of the rounds' ratios, since both of a round met the same machine. */
  readonly rate: number;
  /** How many times the other's CPU time for each. */
  readonly cpu: number;
}

function compare(rows: readonly Row[]): Ratio[] {
  return rows.flatMap((other) => {
    const own = rows.find(({ cell, contender }) => cell === other.cell && contender === "relaypost");
    if (own === undefined || own === other) {
      return [];
    }
    const rate = median(own.rounds.map((each, round) => each / (other.rounds[round] ?? Number.NaN)));
    return [{ cell: other.cell, beside: other.contender, rate, cpu: own.cpuMicrosEach / other.cpuMicrosEach }];
  });
}

function describeRatio({ cell, beside, rate, cpu }: Ratio): string {
  return `${cell}: relaypost makes ${grouped(rate)} × ${beside}'s rate, with ${grouped(cpu)} × its CPU time for each`;
}

/** Bars of the first figure: a group for each cell, a colour for each contender. */
function plot(result: Report): string {
  const { rows, title } = result;
  const cells = [...new Set(rows.map((row) => row.cell))];
  const contenders = [...new Set(rows.map((row) => row.contender))];
  const figure = result.figures[0]!;
  const chart = init(null, null, { renderer: "svg", ssr: true, width: 260 + 110 * cells.length, height: 460 });
  chart.setOption({
    animation: false,
    backgroundColor: "#fff",
    title: { text: title, left: "center" },
    legend: { data: contenders, top: 30 },
    grid: { top: 80, left: 90, right: 20, bottom: 110 },
    xAxis: { type: "category", data: cells, axisLabel: { interval: 0, rotate: 25 } },
    // Rates differ by orders of magnitude between cells.
    yAxis: { type: "log", min: 1, name: COLUMNS[figure](result.unit).head },
    series: contenders.map((contender) => ({
      name: contender,
      type: "bar",
      data: cells.map((cell) => {
        const row = rows.find((each) => each.cell === cell && each.contender === contender);
        return row === undefined ? null : Math.max(1, Math.round(figureOf(row, figure, result)));
      }),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function grouped(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function duration(micros: number): string {
  return micros >= 10_000 ? `${grouped(micros / 1000)} ms` : `${grouped(micros)} µs`;
}
