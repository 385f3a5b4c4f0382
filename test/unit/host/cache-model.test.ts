/** The cache of answers beside a plain model of it, through random operations. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { CacheSettings } from "../../../src/config/settings.js";
import type { AnswerCache } from "../../../workers/host/cache.js";
import type { AnswerOrigin } from "../../../workers/host/cache-entry.js";
import { key, make, no, yes } from "../kit/answer-cache.js";
import type { VirtualClock } from "../kit/virtual-clock.js";

/** The same promises in the plainest code: one list of residents, the least recently used first. */
class Model {
  private residents: {
    key: string;
    found: boolean;
    isAuth: boolean;
    username: string | undefined;
    storedMs: number;
  }[] = [];

  constructor(
    private readonly settings: CacheSettings,
    private readonly clock: VirtualClock,
  ) {}

  private lifeMs(resident: { found: boolean; isAuth: boolean }): { ttlMs: number; staleMs: number } {
    const { positiveTtlMs, negativeTtlMs, authTtlMs, staleIfErrorMs, staleAuth } = this.settings;
    if (!resident.found) {
      return { ttlMs: negativeTtlMs, staleMs: 0 };
    }
    if (!resident.isAuth) {
      return { ttlMs: positiveTtlMs, staleMs: staleIfErrorMs };
    }
    return { ttlMs: Math.min(positiveTtlMs, authTtlMs), staleMs: staleAuth ? staleIfErrorMs : 0 };
  }

  private expire(): void {
    this.residents = this.residents.filter((resident) => {
      const { ttlMs, staleMs } = this.lifeMs(resident);
      return this.clock.now() - resident.storedMs < ttlMs + staleMs;
    });
  }

  get(key: string, wantStale: boolean): { found: boolean; ageMs: number } | undefined {
    this.expire();
    const resident = this.residents.find((other) => other.key === key);
    if (resident === undefined || (wantStale && !resident.found)) {
      return undefined;
    }
    this.residents = [...this.residents.filter((other) => other !== resident), resident];
    const ageMs = this.clock.now() - resident.storedMs;
    if (!wantStale && ageMs >= this.lifeMs(resident).ttlMs) {
      return undefined;
    }
    return { found: resident.found, ageMs };
  }

  put(key: string, found: boolean, isAuth: boolean, username: string | undefined): void {
    this.expire();
    if (this.settings.entries === 0) {
      return;
    }
    this.residents = this.residents.filter((other) => other.key !== key);
    this.residents.push({ key, found, isAuth, username, storedMs: this.clock.now() });
    const alike = this.residents.filter((other) => other.found === found);
    if (alike.length > this.settings.entries) {
      this.residents.splice(this.residents.indexOf(alike[0]!), 1);
    }
  }

  forget(matches: (resident: { key: string; username: string | undefined }) => boolean): number {
    this.expire();
    const before = this.residents.length;
    this.residents = this.residents.filter((resident) => !matches(resident));
    return before - this.residents.length;
  }

  get sizes(): { positive: number; negative: number } {
    this.expire();
    const positive = this.residents.filter((resident) => resident.found).length;
    return { positive, negative: this.residents.length - positive };
  }
}

describe("the cache beside a plain model", () => {
  const OPERATIONS = 2000;
  // FUZZ_RUNS counts operations: a million of them is the long run.
  const runs = Math.ceil(Number(process.env.FUZZ_RUNS ?? 40_000) / OPERATIONS);
  const settings = fc.record({
    entries: fc.integer({ min: 0, max: 12 }),
    positiveTtlMs: fc.constantFrom(1, 1000, 50_000),
    negativeTtlMs: fc.constantFrom(1, 500, 20_000),
    authTtlMs: fc.constantFrom(1, 2000, 90_000),
    stateTtlMs: fc.constantFrom(1, 2000),
    staleIfErrorMs: fc.constantFrom(0, 3000),
    staleAuth: fc.boolean(),
    byClient: fc.constant(false),
    refresh: fc.constantFrom(0, 0.5),
  });
  const names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];

  it(`agrees with it through ${runs * OPERATIONS} operations`, () => {
    fc.assert(
      fc.property(settings, fc.integer(), (chosen, seed) => {
        const { clock, cache } = make(chosen);
        const model = new Model(chosen, clock);
        let state = seed | 1;
        const roll = (sides: number): number => {
          state ^= state << 13;
          state ^= state >>> 17;
          state ^= state << 5;
          return (state >>> 0) % sides;
        };
        for (let i = 0; i < OPERATIONS; i++) {
          step(cache, model, clock, roll);
        }
      }),
      { numRuns: runs },
    );
  });

  function step(cache: AnswerCache, model: Model, clock: VirtualClock, roll: (sides: number) => number): void {
    const name = names[roll(names.length)]!;
    const isAuth = name < "f";
    const username = isAuth ? `user${name}` : undefined;
    const entryKey = isAuth ? `auth:${name}` : key(name);
    const action = roll(100);
    if (action < 40) {
      const hit = cache.get(entryKey);
      const seen = hit && { found: hit.answer.found, ageMs: hit.ageMs };
      assert.deepEqual(seen, model.get(entryKey, false));
    } else if (action < 75) {
      const found = roll(2) === 0;
      const origin: AnswerOrigin = { isAuth, ...(username === undefined ? {} : { username }) };
      cache.put(entryKey, found ? yes : no, origin);
      model.put(entryKey, found, isAuth, username);
    } else if (action < 85) {
      clock.advance(1 + roll(roll(20) === 0 ? 60_000 : 800));
    } else if (action < 92) {
      const hit = cache.stale(entryKey);
      const seen = hit && { found: hit.answer.found, ageMs: hit.ageMs };
      assert.deepEqual(seen, model.get(entryKey, true));
    } else if (action < 96) {
      assert.deepEqual(cache.sizes(), model.sizes);
    } else if (action < 99) {
      const filter = username === undefined ? { recipient: `${name}@EXAMPLE.org` } : { username };
      const dropped = model.forget((resident) => resident.key === entryKey);
      assert.equal(cache.forget(filter), dropped);
    } else if (roll(5) === 0) {
      const dropped = model.forget(() => true);
      assert.equal(cache.forget(), dropped);
    }
  }
});
