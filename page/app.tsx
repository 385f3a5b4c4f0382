/** The whole page: how many hosts are well, the hosts as rows, and the one that is looked at. */
import { useEffect, useState } from "preact/hooks";
import type { HostReport, Severity } from "../src/operator/report.js";
import { Token } from "./actions.js";
import { bySeverity, formatClock } from "./format.js";
import { HostRow } from "./host-row.js";
import { type Live, useChosenHost, useLive } from "./live.js";

const SEVERITIES: readonly Severity[] = ["down", "degraded", "notice", "healthy"];

export function App() {
  const [chosen, choose] = useChosenHost();
  const [filter, setFilter] = useState("");
  const [token, setToken] = useState("");
  const live = useLive(chosen);
  const hosts = bySeverity(live.frame?.hosts ?? []);
  const wanted = filter.trim().toLowerCase();
  const shown = hosts.filter(({ id, address, diagnosis }) =>
    `${id} ${address} ${diagnosis.cause} ${diagnosis.severity}`.toLowerCase().includes(wanted),
  );
  useEffect(() => {
    const down = hosts.filter(({ diagnosis }) => diagnosis.severity === "down").length;
    document.title = down === 0 ? "relaypost" : `(${down}) relaypost`;
  });
  const hasHosts = hosts.length > 0;
  useEffect(() => {
    // An address that names a host leads there, however many stand above it.
    if (hasHosts && chosen !== undefined) {
      document.querySelector(`[data-host="${CSS.escape(chosen)}"]`)?.scrollIntoView();
    }
  }, [hasHosts]);
  return (
    <Token.Provider value={{ token, set: setToken }}>
      <header class="top">
        <h1>
          <Mark />
          relaypost
        </h1>
        <Totals hosts={hosts} />
        <LinkNote live={live} />
      </header>
      <main>
        <h2 class="unseen">Remote hosts</h2>
        {hosts.length > 6 && (
          <label class="filter">
            <span class="unseen">Show only hosts whose name, address or state holds</span>
            <input
              type="search"
              placeholder="Filter hosts"
              value={filter}
              onInput={(event) => setFilter(event.currentTarget.value)}
            />
          </label>
        )}
        <ul class="hosts">
          {shown.map((host) => (
            <HostRow
              key={host.id}
              host={host}
              spark={live.sparks[host.id]}
              isOpen={host.id === chosen}
              detail={live.host?.id === host.id ? live.host : undefined}
              connections={live.connections?.id === host.id ? live.connections : undefined}
              canAct={live.frame?.canAct === true}
              toggle={() => choose(host.id === chosen ? undefined : host.id)}
            />
          ))}
        </ul>
        {live.frame !== undefined && shown.length === 0 && (
          <p class="empty">{hosts.length === 0 ? "No remote hosts are configured." : "No host fits the filter."}</p>
        )}
      </main>
    </Token.Provider>
  );
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M7 11.5 16 18l9-6.5M7 10h18v12H7z" />
    </svg>
  );
}

function Totals({ hosts }: { hosts: readonly HostReport[] }) {
  const counts = SEVERITIES.map((severity) => ({
    severity,
    count: hosts.filter(({ diagnosis }) => diagnosis.severity === severity).length,
  })).filter(({ count }) => count > 0);
  return (
    <p class="totals" role="status" aria-label="Hosts by state">
      {counts.map(({ severity, count }) => (
        <span key={severity} class={`pill ${severity}`}>
          <strong>{count}</strong> {severity}
        </span>
      ))}
    </p>
  );
}

function LinkNote({ live: { link, frame } }: { live: Live }) {
  const at = frame === undefined ? "" : formatClock(frame.atMs);
  switch (link) {
    case "waiting":
      return <p class="link">connecting…</p>;
    case "live":
      return (
        <p class="link">
          <span class="beat" aria-hidden="true" /> live, {at}
        </p>
      );
    case "lost":
      return (
        <p class="link lost" role="alert">
          connection lost; as of {at}
        </p>
      );
  }
}
