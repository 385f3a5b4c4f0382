/** Where the host of a run is, beside the usual: at several addresses, or where SRV records say. Drawn apart, so that all other runs stay as they were. Serves scenario.ts and servers.ts. */
import type { EndpointSettings, HostSettings } from "../../src/config/settings.js";
import type { SrvAnswer } from "../../workers/wire/dns/srv-message.js";
import type { Random } from "./random.js";

const NODES = [1, 2, 3] as const;
const PORT = 25;

/** The settings of a host that is at three nodes of the first site; those that were given where it is not. */
export function placed(settings: HostSettings, random: Random): HostSettings {
  const kind = random.pick(["one", "one", "several", "service"] as const);
  if (kind === "one") {
    return settings;
  }
  const isBound = settings.protocol === "imap" || settings.client === "proxy-v2";
  const sticky = !isBound && random.chance(0.5) ? ({ sticky: "recipient" } as const) : {};
  const most = random.chance(0.5) ? { concurrencyPerAddress: random.between(1, 2) } : {};
  if (kind === "service") {
    const name = "_mail._tcp.first.sim";
    return { ...settings, address: `srv:${name}`, port: 0, service: { name }, ...sticky, ...most };
  }
  const endpoints = NODES.map((node): EndpointSettings => {
    const [weight, backup] = [random.between(1, 3), node > 1 && random.chance(0.3)];
    return { address: nodeName(node), port: PORT, serverName: "first.sim", weight, backup };
  });
  return { ...settings, address: endpoints[0]!.address, endpoints, ...sticky, ...most };
}

/** The same host at one address again: what a change of the settings makes of it. */
export function unplaced({
  endpoints: _endpoints,
  service: _service,
  sticky: _sticky,
  concurrencyPerAddress: _most,
  ...settings
}: HostSettings): HostSettings {
  return { ...settings, port: PORT };
}

export function isPlaced({ endpoints, service }: HostSettings): boolean {
  return endpoints !== undefined || service !== undefined;
}

/** The address of a node's name. */
export function addressOfNode(name: string): string | undefined {
  const [, node] = /^node(\d)\.first\.sim$/.exec(name) ?? [];
  return node === undefined ? undefined : nodeAddress(Number(node));
}

export function anyNodeAddress(random: Random): string {
  return nodeAddress(random.pick(NODES));
}

/** What SRV records name: where nothing goes wrong always the same, else now these and now those. */
export function someRecords(random: Random, isCalm: boolean): SrvAnswer {
  const nodes = NODES.filter((node) => node === 1 || isCalm || random.chance(0.7));
  const records = nodes.map((node) => {
    const [priority, weight] = isCalm ? [0, node] : [random.below(2), random.pick([0, 1, 5])];
    return { priority, weight, port: PORT, target: nodeName(node) };
  });
  return { records, ttlMs: random.pick([0, 6_000, 60_000]) };
}

function nodeName(node: number): string {
  return `node${node}.first.sim`;
}

function nodeAddress(node: number): string {
  return `10.0.0.${node}`;
}
