/** From SRV records to the addresses of a host, in the order of RFC 2782: priorities are tiers, and weights shares within one. Pure; serves service-watch.ts and commands. */
import type { EndpointSettings, HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { SrvRecord } from "../wire/dns/srv-message.js";

/** As many as an array in the configuration may have. */
export const MOST_ENDPOINTS = 32;
/** RFC 2782: beside others that have a weight, one of weight 0 has "a very small chance of being selected". */
const LEAST_SHARE = 0.01;

const LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
/** A last label of digits is no top-level domain. */
const HOST_NAME = new RegExp(`^(?=.{1,253}$)(?!(?:.*\\.)?[0-9]+$)${LABEL}(?:\\.${LABEL})*$`);

/** What is made of an answer: the addresses, best first, and how many records were left out, since they are no places or too many. */
export interface SrvPlaces {
  readonly endpoints: readonly EndpointSettings[];
  readonly left: number;
}

/** Why there is no address, or the addresses. */
export function endpointsOf(records: readonly SrvRecord[], host: HostSettings): SrvPlaces | Failure {
  if (records.length === 0) {
    return noService(host, "there are no such records");
  }
  const isRefused = records.every(({ target }) => target === "");
  const sorted = records.filter(isPlace).toSorted((one, other) => one.priority - other.priority);
  const places = new Map<string, SrvRecord>();
  for (const record of sorted) {
    const place = `${record.target.toLowerCase()} ${record.port}`;
    if (!places.has(place) && places.size < MOST_ENDPOINTS) {
      places.set(place, record);
    }
  }
  if (places.size === 0) {
    return noService(
      host,
      isRefused ? 'they say that the service is not available (target ".")' : "none of them names a host",
    );
  }
  const used = [...places.values()];
  const tiers = [...new Set(used.map(({ priority }) => priority))];
  const endpoints = used.map(({ target, port, priority, weight }) => {
    const tier = tiers.indexOf(priority);
    const isAlone = used.every((other) => other.priority !== priority || other.weight === 0);
    const share = isAlone ? 1 : Math.max(weight, LEAST_SHARE);
    const { serverName } = host.tls;
    return { address: target.toLowerCase(), port, serverName, weight: share, backup: tier > 0, tier };
  });
  return { endpoints, left: records.length - used.length };
}

function isPlace({ target, port }: SrvRecord): boolean {
  return port > 0 && HOST_NAME.test(target);
}

function noService({ address }: HostSettings, why: string): Failure {
  return { code: "DNS_FAILED", message: `The name ${address.replace(/^srv:/, "")} has no service: ${why}.` };
}
