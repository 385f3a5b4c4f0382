/** Checks `RequestOptions.tenant` and `priority`. Serves router.ts, for every request that has options. */
import type { RequestOptions } from "../api.js";
import { PRIORITIES } from "../messages/tenant.js";
import { findControl, refused, typeNameOf } from "./address.js";
import { checkWord } from "./parameters.js";

const MAX_OCTETS = 255;

/** @throws RelaypostError INVALID_ARGUMENT */
export function checkTag({ tenant, priority }: RequestOptions): void {
  if (tenant !== undefined) {
    checkTenant(tenant);
  }
  if (priority !== undefined) {
    checkWord(priority, "priority", PRIORITIES);
  }
}

function checkTenant(tenant: unknown): void {
  if (typeof tenant !== "string") {
    throw refused("tenant", `must be a string, not ${typeNameOf(tenant)}`);
  }
  const control = findControl(tenant);
  if (control !== undefined) {
    throw refused("tenant", `holds ${control}, which is not allowed there`);
  }
  // No character of a string takes more than three octets of UTF-8.
  if (3 * tenant.length > MAX_OCTETS && Buffer.byteLength(tenant) > MAX_OCTETS) {
    throw refused("tenant", `is longer than ${MAX_OCTETS} octets`);
  }
}
