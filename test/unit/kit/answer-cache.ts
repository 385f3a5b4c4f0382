import type { CacheSettings } from "../../../src/config/settings.js";
import type { Answer } from "../../../src/messages/contract.js";
import { AnswerCache } from "../../../workers/host/cache.js";
import { lookupKey } from "../../../workers/host/cache-keys.js";
import { cacheSettings } from "../../kit/cache-settings.js";
import { VirtualClock } from "./virtual-clock.js";

export const MINUTE = 60_000;

export const HOUR = 60 * MINUTE;

export const hmacKey = new Uint8Array(32).fill(7);

export function make(settings: Partial<CacheSettings> = {}, generation = 0) {
  const clock = new VirtualClock();
  const cache = new AnswerCache({
    settings: cacheSettings({
      entries: 4,
      positiveTtlMs: 24 * HOUR,
      negativeTtlMs: HOUR,
      authTtlMs: 5 * MINUTE,
      stateTtlMs: MINUTE,
      ...settings,
    }),
    hostId: "host",
    clock,
    hmacKey,
    generation,
  });
  return { clock, cache };
}

export const yes: Answer = { found: true, values: [], reply: { code: 250, text: "ok" } };

export const no: Answer = { found: false, values: [], reply: { code: 550, text: "unknown" } };

export const key = (name: string): string => lookupKey("rcpt", `${name}@example.org`);
