/** One chart of a host's history, drawn by uPlot in the page's colours. */
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Lines } from "../src/operator/history.js";
import type { Measure } from "../src/operator/measures.js";
import { formatRate } from "./format.js";

/** One line of it. */
export interface Curve {
  readonly measure: Measure;
  readonly name?: string;
  /** A property of page.css. */
  readonly color: string;
}

interface ChartProps {
  readonly title: string;
  readonly unit: string;
  readonly curves: readonly Curve[];
  readonly lines: Lines;
}

const HEIGHT = 150;

export function Chart({ title, unit, curves, lines }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const scheme = useColorScheme();
  const data = dataOf(curves, lines);
  useEffect(() => {
    const element = place.current!;
    const chart = new uPlot(optionsOf(curves, element.clientWidth), data, element);
    plot.current = chart;
    const observer = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.destroy();
    };
  }, [scheme]);
  useEffect(() => plot.current?.setData(data));
  return (
    <figure class="chart" role="img" aria-label={describe(title, unit, curves, lines)}>
      <figcaption aria-hidden="true">
        <strong>{title}</strong>
        <small>{unit}</small>
        {curves.map(({ measure, name, color }) => (
          <span key={measure} class={`key ${color.slice(2)}`}>
            {name ?? measure} <b>{shown(lines.values[measure].at(-1))}</b>
          </span>
        ))}
      </figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}

function optionsOf(curves: readonly Curve[], width: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: color("--muted"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width,
    height: HEIGHT,
    // The last label of the time stands around the end of its axis.
    padding: [8, 26, 0, 0],
    cursor: { points: { size: 6 }, drag: { setScale: false } },
    legend: { show: false },
    scales: { y: { range: (_plot, _least, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [
      { ...axis, size: 26, space: 70, values: (_plot, splits) => splits.map(hourAndMinute) },
      {
        ...axis,
        size: 46,
        values: (_plot, splits) => splits.map((value) => (value % 1 === 0 ? formatRate(value) : "")),
      },
    ],
    series: [
      {},
      ...curves.map(
        ({ measure, color: name }, at): uPlot.Series => ({
          label: measure,
          stroke: color(name),
          width: 1.75,
          spanGaps: false,
          ...(at === 0 ? { fill: `${color(name)}22` } : {}),
        }),
      ),
    ],
  };
}

function hourAndMinute(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const text = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return date.getSeconds() === 0 ? text : `${text}:${two(date.getSeconds())}`;
}

function dataOf(curves: readonly Curve[], { endMs, stepMs, values }: Lines): uPlot.AlignedData {
  const count = values.messages.length;
  const times = Array.from({ length: count }, (_, at) => (endMs - (count - at) * stepMs) / 1000);
  return [times, ...curves.map(({ measure }) => [...values[measure]])];
}

/** For those who hear the page. */
function describe(title: string, unit: string, curves: readonly Curve[], { values }: Lines): string {
  const parts = curves.map(({ measure, name = measure }) => {
    const known = values[measure].filter((value) => value !== null);
    return `${name} ${shown(known.at(-1))} now, ${shown(known.length === 0 ? undefined : Math.max(...known))} at most`;
  });
  return `${title}, ${unit}: ${parts.join("; ")}`;
}

function shown(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : formatRate(value);
}

function useColorScheme(): boolean {
  const [query] = useState(() => window.matchMedia("(prefers-color-scheme: dark)"));
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const changed = () => setDark(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, [query]);
  return isDark;
}
