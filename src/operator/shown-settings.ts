/** A host's configuration in force as it may be shown to people: every key with its value, without secrets and without files' contents. */
import type { HostSettings } from "../config/settings.js";
import { withoutAddresses } from "./addresses.js";

/** Keys whose values stay where they are, whatever table they stand in. */
const SECRET = /secret|password|token|key|cert|^ca$|url/i;

/** `limits.idleMs: 30000`, in the order of the settings. */
export type ShownSettings = readonly (readonly [key: string, value: string])[];

/** @param addresses whether a user's name that is an address may be shown */
export function showSettings(settings: HostSettings, addresses: boolean): ShownSettings {
  const shown: [string, string][] = [];
  collect(settings, "", shown);
  return addresses ? shown : shown.map(([key, value]) => [key, withoutAddresses(value)]);
}

function collect(table: object, prefix: string, into: [string, string][]): void {
  for (const [key, value] of Object.entries(table)) {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    if (value === undefined) {
      continue;
    }
    // A switch that speaks of certificates is no certificate.
    if (SECRET.test(key) && typeof value !== "boolean") {
      into.push([path, "given, not shown"]);
    } else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      collect(value, path, into);
    } else {
      into.push([path, Array.isArray(value) ? value.map(String).join(", ") : String(value)]);
    }
  }
}
