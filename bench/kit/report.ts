/** What a benchmark leaves behind: a table on standard output, and JSON and a plot in bench/results/. */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import type { BenchOptions } from "./options.js";
import { plotCells, plotMultiples } from "./plot.js";
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
  /** Cells of the plot in README, and what each is called there. It shows how many times another contender's rate is reached. */
  readonly overview?: { readonly beside: string; readonly cells: Readonly<Record<string, string>> };
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

/** The repository's, seen from dist/bench/kit/. */
const ROOT = new URL("../../../", import.meta.url);

/** Prints the table, and writes `<name>.json` and `<name>.svg`, and from a whole run the plot in README. Short runs leave theirs in results/short/, which is not kept. */
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
  const directory = fileURLToPath(new URL(`bench/results/${options.isShort ? "short/" : ""}`, ROOT));
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
  const [figure] = result.figures;
  const plotted = {
    title,
    head: COLUMNS[figure!](unit).head,
    rows,
    read: (row: Row) => figureOf(row, figure!, result),
  };
  writeFileSync(`${directory}${name}.svg`, plotCells(plotted));
  if (result.overview !== undefined && options.only === "" && !options.isShort) {
    writeFileSync(new URL(`docs/images/${name}.svg`, ROOT), plotMultiples(rows, result.overview));
  }
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

function grouped(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function duration(micros: number): string {
  return micros >= 10_000 ? `${grouped(micros / 1000)} ms` : `${grouped(micros)} µs`;
}
