/** `remote.<id>.shadow`: which other host a share of the lookups is asked of too, and whether it can answer. Serves host.ts and load.ts. */
import { LOOKUP_KINDS, type LookupKind } from "../lookup-kinds.js";
import { PROTOCOLS } from "../messages/protocols.js";
import { findSimilar, type Problems } from "./problems.js";
import type { TableReading } from "./read-table.js";
import type { HOST_SCHEMA } from "./schema.js";
import type { HostSettings, ShadowSettings } from "./settings.js";

/** What is asked where nothing else is said. A password is sent to another host only where somebody said so. */
const DEFAULT_KINDS: readonly LookupKind[] = ["rcpt"];

/** The settings of `shadow`; `undefined` where there is none. */
export function readShadow(
  { values, given }: TableReading<typeof HOST_SCHEMA>,
  path: readonly string[],
  problems: Problems,
): ShadowSettings | undefined {
  const host = values["shadow.host"];
  if (host === undefined) {
    for (const key of ["share", "kinds", "addresses"] as const) {
      if (given.has(`shadow.${key}`) && !given.has("shadow.host")) {
        problems.add([...path, "shadow", key], "needs shadow.host beside it");
      }
    }
    return undefined;
  }
  const kinds = (values["shadow.kinds"] as readonly LookupKind[] | undefined) ?? DEFAULT_KINDS;
  return {
    host,
    share: values["shadow.share"],
    kinds: LOOKUP_KINDS.filter((kind) => kinds.includes(kind)),
    addresses: values["shadow.addresses"],
  };
}

/** What hosts say of each other. */
export function checkShadows(hosts: ReadonlyMap<string, HostSettings>, problems: Problems): void {
  for (const host of hosts.values()) {
    if (host.shadow !== undefined) {
      checkShadow(host, host.shadow, hosts, problems);
    }
  }
}

function checkShadow(
  host: HostSettings,
  shadow: ShadowSettings,
  hosts: ReadonlyMap<string, HostSettings>,
  problems: Problems,
): void {
  const wrong = (key: "host" | "kinds", message: string): void =>
    problems.add(["remote", host.id, "shadow", key], message);
  const other = hosts.get(shadow.host);
  if (other === undefined) {
    const similar = findSimilar(shadow.host, hosts.keys());
    wrong("host", `must be the id of another host${similar === undefined ? "" : `; did you mean ${similar}?`}`);
    return;
  }
  const circle = circleFrom(host, hosts);
  if (circle !== undefined) {
    const way = circle.length === 1 ? "this host itself" : `a circle: ${[...circle, host.id].join(", ")}`;
    wrong("host", `leads to ${way}; a shadow must be another host, and end there`);
    return;
  }
  for (const { id, lookup } of [host, other]) {
    if (!lookup) {
      wrong("host", `needs remote.${id}.lookup = true`);
    }
  }
  for (const kind of shadow.kinds) {
    const unable = [host, other].find(({ protocol }) => PROTOCOLS[protocol]?.requests.has(kind) === false);
    if (unable !== undefined) {
      const { name } = PROTOCOLS[unable.protocol];
      wrong("kinds", `holds "${kind}", which remote.${unable.id} cannot be asked, as it is an ${name} host`);
    }
  }
  if (shadow.kinds.includes("rcpt") && host.bareRecipients && !other.bareRecipients) {
    wrong("kinds", `holds "rcpt", and remote.${other.id} takes no bare recipients, as this host does`);
  }
}

/** The hosts on the way from a host back to itself. */
function circleFrom(host: HostSettings, hosts: ReadonlyMap<string, HostSettings>): string[] | undefined {
  const way: string[] = [];
  let at: HostSettings | undefined = host;
  while (at !== undefined && !way.includes(at.id)) {
    way.push(at.id);
    at = at.shadow === undefined ? undefined : hosts.get(at.shadow.host);
  }
  return at?.id === host.id ? way : undefined;
}
