/** Reads an array of addresses at which one and the same service is (`remote.<id>.address`). Serves read-table.ts and host.ts. */
import { domainOfService, isAddress, parseSrvAddress, parseUnixAddress, withoutBrackets } from "./host-name.js";
import { readInlineTable } from "./inline-table.js";
import type { Problems } from "./problems.js";
import type { EndpointSettings, HostSettings, RuntimeSettings } from "./settings.js";
import type { KeyPath } from "./toml.js";

const KEYS = ["address", "port", "weight", "backup", "server-name"];
const MOST_ENDPOINTS = 32;
const MOST_WEIGHT = 1000;

/** How such an array looks. */
export const ENDPOINTS_FORM =
  'an array of tables such as { address = "store1.example.org", port = 24, weight = 2, backup = false }';

/** One table of the array, before the host's own keys were looked at. */
export interface EndpointEntry {
  readonly address: string;
  readonly port: number | undefined;
  readonly weight: number;
  readonly backup: boolean;
  readonly serverName: string | undefined;
}

/** The tables in their order; mistakes are problems. */
export function readEndpoints(value: readonly unknown[], path: KeyPath, problems: Problems): readonly EndpointEntry[] {
  if (value.length === 0 || value.length > MOST_ENDPOINTS) {
    problems.add(path, `must be ${ENDPOINTS_FORM}; 1 to ${MOST_ENDPOINTS} of them`);
    return [];
  }
  const entries = value.map((entry, index) => readEntry(entry, [...path, index], problems));
  if (entries.every(({ backup }) => backup)) {
    problems.add(path, "holds backups only; at least one address must be no backup");
  }
  const seen = new Set<string>();
  for (const [index, { address, port }] of entries.entries()) {
    const place = `${address} ${port}`;
    if (seen.has(place)) {
      problems.add([...path, index], "is there already; give one address more weight in place of naming it twice");
    }
    seen.add(place);
  }
  return entries;
}

function readEntry(value: unknown, path: KeyPath, problems: Problems): EndpointEntry {
  const of = readInlineTable(value, KEYS, path, problems);
  const { address, port, weight = 1, backup = false, "server-name": serverName } = of;
  const wrong = (key: string, form: string): void => problems.add([...path, key], `must be ${form}`);
  if (typeof address !== "string" || !(isAddress(address) || parseUnixAddress(address) !== undefined)) {
    wrong("address", 'a host name, an IP address or a unix socket, such as "unix:/run/dovecot/lmtp"');
  }
  if (port !== undefined && !isInteger(port, 65_535)) {
    wrong("port", "an integer from 1 to 65535");
  }
  if (!isInteger(weight, MOST_WEIGHT)) {
    wrong("weight", `an integer from 1 to ${MOST_WEIGHT}`);
  }
  if (typeof backup !== "boolean") {
    wrong("backup", "true or false");
  }
  if (serverName !== undefined && !(typeof serverName === "string" && isAddress(serverName))) {
    wrong("server-name", "a host name or an IP address");
  }
  return { address: withoutBrackets(String(address)), port, weight, backup, serverName } as EndpointEntry;
}

/** Which DNS servers a host asks for its SRV records. */
export function withDnsServers(host: HostSettings, { dnsServers }: RuntimeSettings): HostSettings {
  const { service } = host;
  return service === undefined || dnsServers === undefined
    ? host
    : { ...host, service: { ...service, servers: dnsServers } };
}

/** An address alone. */
export function soleEndpoint(address: string): EndpointEntry {
  return { address: withoutBrackets(address), port: undefined, weight: 1, backup: false, serverName: undefined };
}

/** The ports of an array, beside that of the host's table. */
export function checkPorts(
  entries: readonly EndpointEntry[],
  port: number | undefined,
  path: KeyPath,
  problems: Problems,
): void {
  for (const [index, entry] of entries.entries()) {
    const isUnix = parseUnixAddress(entry.address) !== undefined;
    const at = [...path, "address", index, "port"];
    if (isUnix && entry.port !== undefined) {
      problems.add(at, "has no meaning for a unix socket; leave it out");
    } else if (!isUnix && entry.port === undefined && port === undefined) {
      problems.add(at, "is missing; it must be an integer from 1 to 65535");
    }
  }
}

/** @param port,serverName what the host's table says, for an entry that does not */
export function endpointOf(
  { address, weight, backup, ...entry }: EndpointEntry,
  port: number | undefined,
  serverName: string | undefined,
): EndpointSettings {
  const socketPath = parseUnixAddress(address);
  const service = parseSrvAddress(address);
  const own = service === undefined ? address : domainOfService(service);
  const name = entry.serverName ?? serverName ?? (socketPath === undefined ? own : "localhost");
  return {
    address,
    port: socketPath === undefined ? (entry.port ?? port ?? 0) : 0,
    ...(socketPath === undefined ? {} : { socketPath }),
    // A name may end in the dot of the root, certificates do not.
    serverName: withoutBrackets(name).replace(/\.$/, ""),
    weight,
    backup,
  };
}

function isInteger(value: unknown, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most;
}
