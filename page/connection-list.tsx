/** A host's connections one by one. Shown behind a row, by host-panel.tsx. */
import type { ConnectionsFrame } from "../src/dashboard/frames.js";
import { formatAge, formatCount } from "./format.js";

export function ConnectionList({ frame }: { frame: ConnectionsFrame | undefined }) {
  const { connections = [], total = 0 } = frame ?? {};
  return (
    <section>
      <h4 id="connections">Connections</h4>
      {connections.length === 0 ? (
        <p class="empty">None is open.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        <section class="connection-list" tabIndex={0} aria-labelledby="connections">
          <table>
            <thead>
              <tr>
                <th scope="col">no.</th>
                <th scope="col">state</th>
                <th scope="col">for</th>
                <th scope="col">age</th>
                <th scope="col">served</th>
                <th scope="col">address</th>
                <th scope="col">TLS</th>
              </tr>
            </thead>
            <tbody>
              {connections.map(({ number, state, purpose, ageMs, requests, address, tls }) => (
                <tr key={number}>
                  <td>{number}</td>
                  <td class={state}>{state}</td>
                  <td>{purpose === "login" ? "logins" : "all"}</td>
                  <td>{formatAge(ageMs)}</td>
                  <td>{formatCount(requests)}</td>
                  <td>{address ?? "–"}</td>
                  <td>{tls ?? "none"}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {total > connections.length && <p class="empty">and {formatCount(total - connections.length)} more</p>}
        </section>
      )}
    </section>
  );
}
