/** Checks `RequestOptions.tenant` and `priority`. Serves the router, for every request that has options. */
import type { Priority, RequestOptions } from "../api.js";
import { encodeTag, NO_TAG, PRIORITIES } from "../messages/tenant.js";
import { findControl, refused, typeNameOf } from "./address.js";
import { checkWord } from "./parameters.js";

const MAX_OCTETS = 255;

/**
 * @returns both as one string, see ../messages/tenant.ts
 * @throws RelaypostError INVALID_ARGUMENT
 */
export function checkTag({ tenant, priority }: RequestOptions): string {
  if (tenant === undefined && priority === undefined) {
    return NO_TAG;
  }
  if (tenant !== undefined) {
    checkTenant(tenant);
  }
  if (priority !== undefined) {
    checkWord(priority, "priority", PRIORITIES);
  }
  return encodeTag(tenant ?? "", priority ?? ("normal" satisfies Priority));
}

function checkTenant(tenant: unknown): void {
  if (typeof tenant !== "string") {
    throw refused("tenant", `must be a string, not ${typeNameOf(tenant)}`);
  }
  const control = findControl(tenant);
  if (control !== undefined) {
    throw refused("tenant", `holds ${control}, which is not allowed there`);
  }
  if (Buffer.byteLength(tenant) > MAX_OCTETS) {
    throw refused("tenant", `is longer than ${MAX_OCTETS} octets`);
  }
}
