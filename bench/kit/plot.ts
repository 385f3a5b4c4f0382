/** Draws the plots of bench/results/ and of README. Called by report.ts. */
import { type EChartsOption, init } from "echarts";
import type { Row } from "./rounds.js";

/** What {@link plotCells} draws. */
interface Plotted {
  readonly title: string;
  /** What the values are. */
  readonly head: string;
  readonly rows: readonly Row[];
  readonly read: (row: Row) => number;
}

/** Bars for everything: a group for each cell, a colour for each contender. */
export function plotCells({ title, head, rows, read }: Plotted): string {
  const cells = [...new Set(rows.map((row) => row.cell))];
  const contenders = contendersOf(rows);
  return draw(260 + 110 * cells.length, 460, {
    title: { text: title, left: "center" },
    legend: { data: contenders, top: 30, itemGap: 30 },
    grid: { top: 80, left: 90, right: 20, bottom: 110 },
    xAxis: { type: "category", data: cells, axisLabel: { interval: 0, rotate: 25 } },
    // Rates differ by orders of magnitude between cells.
    yAxis: { type: "log", min: 1, name: head },
    series: contenders.map((contender) => ({
      name: contender,
      type: "bar",
      data: cells.map((cell) => {
        const row = find(rows, cell, contender);
        return row === undefined ? null : Math.max(1, Math.round(read(row)));
      }),
    })),
  });
}

/** Bars for some cells, named by how they start: how many times the rate of `beside` each contender reaches. */
export function plotMultiples(
  rows: readonly Row[],
  { beside, cells }: { readonly beside: string; readonly cells: Readonly<Record<string, string>> },
): string {
  const all = Object.entries(cells).map(([start, name]) => {
    const cell = rows.find((row) => row.cell.startsWith(`${start}, `))?.cell ?? "";
    return { cell, name, besideRate: find(rows, cell, beside)?.perSecond };
  });
  // What was not measured this time is left out.
  const named = all.filter(({ besideRate }) => besideRate !== undefined);
  const contenders = contendersOf(rows).filter((contender) => named.some(({ cell }) => find(rows, cell, contender)));
  return draw(860, 60 + 90 * named.length, {
    legend: { data: contenders, top: 8, itemGap: 30 },
    grid: { top: 56, left: 190, right: 50, bottom: 30 },
    xAxis: { type: "value", axisLabel: { formatter: "{value} ×" } },
    yAxis: { type: "category", inverse: true, data: named.map(({ name }) => name), axisTick: { show: false } },
    series: contenders.map((contender) => ({
      name: contender,
      type: "bar",
      label: { show: true, position: "right", formatter: "{c}" },
      data: named.map(({ cell, besideRate }) => {
        const row = find(rows, cell, contender);
        return row === undefined ? null : Math.round((row.perSecond / besideRate!) * 10) / 10;
      }),
    })),
  });
}

function contendersOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.map((row) => row.contender))];
}

function find(rows: readonly Row[], cell: string, contender: string): Row | undefined {
  return rows.find((row) => row.cell === cell && row.contender === contender);
}

function draw(width: number, height: number, option: EChartsOption): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  chart.setOption({ animation: false, backgroundColor: "#fff", ...option });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
