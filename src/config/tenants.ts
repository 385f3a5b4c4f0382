/** Makes the settings of `[tenant."name"]`: their keys, and what they say. Serves load.ts. */
import { rateOf } from "./host.js";
import { count, type Schema } from "./key-spec.js";
import type { Problems } from "./problems.js";
import { asTable, readTable } from "./read-table.js";

import type { TenantSettings } from "./settings.js";

const MOST_NAME_OCTETS = 255;

/** The keys of `tenant.<name>`. */
export const TENANT_SCHEMA = {
  weight: count(1, 1, 1000, "Its share of a host beside other tenants: those that are not named here have 1."),
  rate: {
    kind: "rate",
    fallbackName: "no limit",
    meaning:
      'How often its messages and lookups may begin at each host: `"200/s"`, `"30/m"`, `/h` or `/d`. Further ones wait in the queue, and nobody else waits for them.',
  },
  queue: {
    kind: "integer",
    fallbackName: "half of `limits.queue`",
    least: 1,
    most: 10_000_000,
    meaning: "Maximum number of its requests that wait for each host; never more than half of `limits.queue`.",
  },
} as const satisfies Schema;

/** By name; undefined where there are none. Only meaningful while no problem was found. */
export function readTenants(input: unknown, problems: Problems): Readonly<Record<string, TenantSettings>> | undefined {
  const tables = input === undefined ? {} : (asTable(input, ["tenant"], problems) ?? {});
  const tenants: Record<string, TenantSettings> = Object.create(null);
  for (const [name, table] of Object.entries(tables)) {
    if (name === "" || Buffer.byteLength(name) > MOST_NAME_OCTETS) {
      problems.add(["tenant", name], `is no name of a tenant: 1 to ${MOST_NAME_OCTETS} octets`);
    }
    const { values } = readTable(table, ["tenant", name], TENANT_SCHEMA, problems);
    const { weight, rate, queue } = values;
    tenants[name] = {
      weight,
      ...(rate === undefined ? {} : { rate: rateOf(rate) }),
      ...(queue === undefined ? {} : { queue }),
    };
  }
  return Object.keys(tenants).length === 0 ? undefined : { ...tenants };
}
