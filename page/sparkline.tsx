/** Requests a second of the last hour, as a line as small as a word. */
import type { Spark } from "../src/operator/report.js";

const WIDTH = 120;
const HEIGHT = 26;

export function Sparkline({ spark }: { spark: Spark | undefined }) {
  const { values = [], span = "hour" } = spark ?? {};
  const most = Math.max(1, ...values.map((value) => value ?? 0));
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.flatMap((value, at): [number, number][] =>
    value === null ? [] : [[at * step, HEIGHT - 1.5 - (value / most) * (HEIGHT - 3)]],
  );
  const [first, last] = [points[0], points.at(-1)];
  // One minute alone is a point, and shows as a short line.
  const line = points.length === 1 ? [[first![0] - step, first![1]] as const, ...points] : points;
  const path = line.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <title>the last {span}</title>
      <path class="ground" d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
      {first !== undefined && last !== undefined && (
        <>
          <path class="area" d={`${path}V${HEIGHT}H${line[0]![0].toFixed(1)}Z`} />
          <path class="line" d={path} />
        </>
      )}
    </svg>
  );
}
