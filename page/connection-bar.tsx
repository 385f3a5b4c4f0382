/** A host's connections by what they do, as parts of those that it may have. */
import type { HostReport } from "../src/operator/report.js";

const STATES = ["busy", "idle", "opening", "closing"] as const;
const WIDTH = 120;

export function ConnectionBar({ connections, concurrency }: Pick<HostReport, "connections" | "concurrency">) {
  const total = STATES.reduce((sum, state) => sum + connections[state], 0);
  const parts = STATES.filter((state) => connections[state] > 0);
  const unit = WIDTH / Math.max(concurrency, total, 1);
  let x = 0;
  const bars = parts.map((state) => {
    const bar = { state, x, width: connections[state] * unit };
    x += bar.width;
    return bar;
  });
  const words = parts.map((state) => `${connections[state]} ${state}`).join(", ") || "none";
  return (
    <>
      <svg class="connections" viewBox={`0 0 ${WIDTH} 10`} preserveAspectRatio="none" role="img" aria-label={words}>
        <title>{words}</title>
        <rect class="free" width={WIDTH} height="10" rx="2" />
        {bars.map(({ state, x: from, width }) => (
          <rect key={state} class={state} x={from} width={Math.max(1, width - 0.8)} height="10" rx="1.5" />
        ))}
      </svg>
      <span>
        {total} of {concurrency}
      </span>
    </>
  );
}
