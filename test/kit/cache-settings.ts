/** Settings of a cache in tests: no answer is kept, served late or refreshed, but where a test says so. */
import type { CacheSettings } from "../../src/config/settings.js";

/** A cache without room and with the shortest times, unless told otherwise. */
export function cacheSettings(details: Partial<CacheSettings> = {}): CacheSettings {
  return {
    entries: 0,
    positiveTtlMs: 1,
    negativeTtlMs: 1,
    authTtlMs: 1,
    stateTtlMs: 1,
    staleIfErrorMs: 0,
    staleAuth: false,
    byClient: false,
    refresh: 0,
    ...details,
  };
}
