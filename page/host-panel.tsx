/** What stands behind a host's row: its charts, what happened to it, its configuration. */
import { useState } from "preact/hooks";
import type { ConnectionsFrame, HostFrame } from "../src/dashboard/frames.js";
import type { HostEvent, HostReport } from "../src/operator/report.js";
import { Actions } from "./actions.js";
import { Chart, type Curve } from "./chart.js";
import { ConnectionList } from "./connection-list.js";
import { formatAge, formatClock } from "./format.js";

const LEAST_MINUTES = 5;

const CHARTS: readonly { readonly title: string; readonly unit: string; readonly curves: readonly Curve[] }[] = [
  {
    title: "Requests",
    unit: "a second",
    curves: [
      { measure: "messages", color: "--chart-1" },
      { measure: "lookups", color: "--chart-2" },
      { measure: "failed", color: "--chart-4" },
    ],
  },
  {
    title: "Time with the host",
    unit: "ms",
    curves: [
      { measure: "p50Ms", name: "p50", color: "--chart-1" },
      { measure: "p99Ms", name: "p99", color: "--chart-3" },
    ],
  },
  {
    title: "Waiting and in flight",
    unit: "requests",
    curves: [
      { measure: "queued", color: "--chart-3" },
      { measure: "inFlight", name: "in flight", color: "--chart-1" },
    ],
  },
  {
    title: "Connections",
    unit: "connections",
    curves: [
      { measure: "busy", color: "--chart-1" },
      { measure: "idle", color: "--chart-2" },
      { measure: "opening", color: "--chart-3" },
    ],
  },
];

interface HostPanelProps {
  readonly host: HostReport;
  readonly detail: HostFrame | undefined;
  readonly connections: ConnectionsFrame | undefined;
  readonly canAct: boolean;
}

export function HostPanel({ host, detail, connections, canAct }: HostPanelProps) {
  const [chosen, choose] = useState<"minutes" | "seconds">();
  if (detail === undefined) {
    return (
      <section class="panel" aria-label={`${host.id} in detail`}>
        <p class="empty">one moment…</p>
      </section>
    );
  }
  const span = chosen ?? (isYoung(detail) ? "seconds" : "minutes");
  const lines = detail.lines?.[span];
  return (
    <section class="panel" aria-label={`${host.id} in detail`}>
      <fieldset class="spans">
        <legend class="unseen">Span of the charts</legend>
        {(["minutes", "seconds"] as const).map((each) => (
          <label key={each}>
            <input type="radio" name="span" checked={span === each} onChange={() => choose(each)} />
            {each === "minutes" ? "last hour" : "last minute"}
          </label>
        ))}
      </fieldset>
      <div class="charts">
        {lines !== undefined && CHARTS.map((chart) => <Chart key={chart.title} {...chart} lines={lines} />)}
      </div>
      {canAct && <Actions host={host} />}
      <div class="details">
        <ConnectionList frame={connections} />
        <Events events={detail.events} />
        <Settings settings={detail.settings} />
      </div>
    </section>
  );
}

/** An hour of which little is known says less than a minute. */
function isYoung({ lines }: HostFrame): boolean {
  const known = lines?.minutes.values.messages.filter((value) => value !== null).length ?? 0;
  return known < LEAST_MINUTES;
}

function Events({ events }: { events: readonly HostEvent[] }) {
  const nowMs = Date.now();
  return (
    <section>
      <h4>Events</h4>
      {events.length === 0 ? (
        <p class="empty">Nothing has happened to it since the gateway was started.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        <ol class="events" tabIndex={0} aria-label="Events, newest first">
          {events.toReversed().map(({ atMs, level, event, message }) => (
            <li key={`${atMs} ${message}`} class={level}>
              <time dateTime={new Date(atMs).toISOString()} title={`${formatAge(nowMs - atMs)} ago`}>
                {formatClock(atMs)}
              </time>
              <code>{event}</code>
              <span>{message}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function Settings({ settings }: Pick<HostFrame, "settings">) {
  return (
    <section>
      <h4>Configuration in force</h4>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section class="settings" tabIndex={0} aria-label="Configuration in force">
        <dl>
          {settings.map(([key, value]) => (
            <div key={key}>
              <dt>{key}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </section>
    </section>
  );
}
