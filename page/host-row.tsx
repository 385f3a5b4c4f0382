/** One host as a row: who it is, what is wrong with it in words, and its numbers; behind it, its panel. */
import type { ConnectionsFrame, HostFrame } from "../src/dashboard/frames.js";
import type { HostReport, Severity, Spark } from "../src/operator/report.js";
import { ConnectionBar } from "./connection-bar.js";
import { formatCount, formatMs, formatPercent, formatRate } from "./format.js";
import { HostPanel } from "./host-panel.js";
import { Sparkline } from "./sparkline.js";

interface HostRowProps {
  readonly host: HostReport;
  readonly spark: Spark | undefined;
  readonly isOpen: boolean;
  readonly detail: HostFrame | undefined;
  readonly connections: ConnectionsFrame | undefined;
  readonly canAct: boolean;
  readonly toggle: () => void;
}

/** A shape of its own for each, for those who do not tell colours apart. */
const SIGNS: Readonly<Record<Severity, string>> = {
  down: "M3 3l10 10M13 3 3 13",
  degraded: "M8 2.5v7M8 12.5v1",
  notice: "M8 6.5v7M8 2.5v1",
  healthy: "M3 8.5l3.5 3.5L13 4.5",
};

export function HostRow({ host, spark, isOpen, detail, connections, canAct, toggle }: HostRowProps) {
  const { id, protocol, address, port, diagnosis } = host;
  const { severity, what, why, now } = diagnosis;
  const panelId = `panel-${id}`;
  const isSick = severity === "down" || severity === "degraded";
  return (
    <li class={`host ${severity} ${isOpen ? "open" : ""}`} data-host={id} data-cause={diagnosis.cause}>
      <div class="row">
        <h3 class="who">
          <button type="button" aria-expanded={isOpen} aria-controls={panelId} onClick={toggle}>
            <svg class="sign" viewBox="0 0 16 16" aria-hidden="true">
              <path d={SIGNS[severity]} />
            </svg>
            <span class="id">{id}</span>
            <span class="unseen">, {severity}</span>
          </button>
          <small title={`${address}:${port}`}>
            {protocol} {address}:{port}
          </small>
        </h3>
        <div class="words">
          <p class="what">{what}</p>
          {(isSick || isOpen) && <p class="why">{why}</p>}
          {(isSick || isOpen) && <p class="now">{now}</p>}
        </div>
        <Numbers host={host} spark={spark} />
      </div>
      <div id={panelId}>
        {isOpen && <HostPanel host={host} detail={detail} connections={connections} canAct={canAct} />}
      </div>
    </li>
  );
}

function Numbers({ host, spark }: Pick<HostRowProps, "host" | "spark">) {
  const { messageRate, lookupRate, queued, inFlight, hitRatio, p50Ms, p99Ms, uncertain } = host;
  return (
    <dl class="numbers">
      <div class="wide">
        <dt>
          messages, lookups <abbr title="a second">/s</abbr>
        </dt>
        <dd>
          <Sparkline spark={spark} />
          <span>
            {formatRate(messageRate)}, {formatRate(lookupRate)}
          </span>
        </dd>
      </div>
      <div class="wide">
        <dt>connections</dt>
        <dd>
          <ConnectionBar connections={host.connections} concurrency={host.concurrency} />
        </dd>
      </div>
      <div>
        <dt>in flight</dt>
        <dd>{formatCount(inFlight)}</dd>
      </div>
      <div class={queued > host.concurrency * 2 ? "loud" : ""}>
        <dt>queued</dt>
        <dd>{formatCount(queued)}</dd>
      </div>
      <div>
        <dt>cache</dt>
        <dd>{formatPercent(hitRatio)}</dd>
      </div>
      <div>
        <dt>p50</dt>
        <dd>{formatMs(p50Ms)}</dd>
      </div>
      <div>
        <dt>p99</dt>
        <dd>{formatMs(p99Ms)}</dd>
      </div>
      <div class={uncertain > 0 ? "loud" : ""}>
        <dt>uncertain</dt>
        <dd>{formatCount(uncertain)}</dd>
      </div>
    </dl>
  );
}
