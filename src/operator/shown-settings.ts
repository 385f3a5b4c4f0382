/** A host's configuration in force as it may be shown to people: every key with its value, without secrets and without files' contents. */
import { formatDuration } from "../config/quantities.js";
import type { HostSettings, RateSettings } from "../config/settings.js";
import { withoutAddresses } from "./addresses.js";

/** Keys whose values stay where they are, whatever table they stand in. */
const SECRET = /secret|password|token|key|cert|^ca$|url/i;

/** Settings whose keys in the file say it in other words. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  allowPlaintextAuth: "auth.allow-plaintext",
  "tls.startTls": "tls.starttls",
  "limits.queueOctets": "limits.queue-bytes",
  "cache.positiveTtlMs": "cache.ttl.positive",
  "cache.negativeTtlMs": "cache.ttl.negative",
  "cache.authTtlMs": "cache.ttl.auth",
  "cache.stateTtlMs": "cache.ttl.state",
};

/** `limits.idle: 30s`, as the file has it, in the order of the settings. */
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
      into.push([keyOf(path), "given, not shown"]);
    } else if (path === "lookups.detectsCatchAll") {
      into.push(["lookups.catch-all", value ? "detect" : "off"]);
    } else if (key === "rate" && typeof value === "object") {
      into.push(...rateOf(keyOf(path), value));
    } else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      collect(value, path, into);
    } else {
      into.push([keyOf(path), textOf(key, value)]);
    }
  }
}

/** `data-block`, not `dataBlockMs`. */
function keyOf(path: string): string {
  const kebab = path.replace(/Ms$/, "").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return OTHER_WORDS[path] ?? kebab;
}

function textOf(key: string, value: unknown): string {
  if (key.endsWith("Ms") && typeof value === "number" && value > 0 && Number.isFinite(value)) {
    return formatDuration(value);
  }
  return Array.isArray(value) ? value.map(String).join(", ") : String(value);
}

function rateOf(key: string, { intervalMs, burst }: RateSettings): [string, string][] {
  const rate = intervalMs <= 1_000 ? `${round(1_000 / intervalMs)}/s` : `${round(60_000 / intervalMs)}/m`;
  return [
    [key, rate],
    [`${key}-burst`, String(burst)],
  ];
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
