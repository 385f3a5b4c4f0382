import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { Worker } from "node:worker_threads";
import type { LookupAnswer } from "../../../src/api.js";
import type { CacheSettings, HostSettings } from "../../../src/config/settings.js";
import type { LookupKind } from "../../../src/lookup-kinds.js";
import { AnswerMarks, toSharedMs } from "../../../src/messages/answer-marks.js";
import type { Answer } from "../../../src/messages/contract.js";
import { newHostStats } from "../../../src/messages/host-stats.js";
import { AnswerCopies, credentialsKey } from "../../../src/runtime/answer-copies.js";
import { systemClock } from "../../../src/timer-wheel.js";
import { AnswerCache } from "../../../workers/host/cache.js";
import { lookupKey } from "../../../workers/host/cache-keys.js";
import { cacheSettings } from "../../kit/cache-settings.js";
import { type CacheThreadStart, KEYS, type Made } from "../kit/cache-thread.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const MINUTE = 60_000;
const YES: Answer = { found: true, values: ["a", "b"], reply: { code: 250, text: "ok" } };
const NO: Answer = { found: false, values: [], reply: { code: 550, enhanced: "5.1.1", text: "unknown" } };

/** Both sides on one thread, under one clock: a worker's cache, and the gateway's copies of what it gives. */
class BothSides {
  readonly clock = new VirtualClock();
  readonly marks = AnswerMarks.create();
  readonly cache: AnswerCache;
  readonly copies: AnswerCopies;

  constructor(settings: Partial<CacheSettings> = {}) {
    const cache = cacheSettings({
      entries: 4,
      positiveTtlMs: 10 * MINUTE,
      negativeTtlMs: MINUTE,
      authTtlMs: MINUTE,
      stateTtlMs: 60_000,
      ...settings,
    });
    const { clock, marks } = this;
    this.cache = new AnswerCache({ settings: cache, hostId: "host", clock, hmacKey: new Uint8Array(32), marks });
    this.copies = AnswerCopies.of({ lookup: true, cache } as HostSettings, clock)!;
  }

  /** Asks as the gateway does: a copy, or the worker's cache, whose answer is copied. */
  async ask(name: string): Promise<(LookupAnswer & { isCopy: boolean }) | undefined> {
    const copy = await this.copies.get("rcpt", name, this.marks);
    if (copy !== undefined) {
      return { ...copy, isCopy: true };
    }
    const hit = this.cache.get(lookupKey("rcpt", name));
    if (hit === undefined) {
      return undefined;
    }
    const { found, values, reply } = hit.answer;
    const { ageMs } = hit;
    const answer: LookupAnswer = {
      found,
      values: [...values],
      source: "cache",
      ageMs,
      reply,
      certainty: "accepts-all",
    };
    const { mark, version, storedMs, goodForMs } = hit;
    const kept = { mark, version, storedMs: toSharedMs(storedMs, this.clock), goodForMs };
    this.copies.put({ kind: "rcpt", value: name, credentials: undefined }, answer, kept, this.marks);
    return { ...answer, isCopy: false };
  }

  put(name: string, answer: Answer): void {
    this.cache.put(lookupKey("rcpt", name), answer);
  }

  /** Whether a copy answers. */
  async isCopied(name: string): Promise<boolean> {
    return (await this.copies.get("rcpt", name, this.marks)) !== undefined;
  }
}

async function withCopy(name: string, answer: Answer, settings: Partial<CacheSettings> = {}): Promise<BothSides> {
  const both = new BothSides(settings);
  both.put(name, answer);
  assert.equal((await both.ask(name))?.isCopy, false);
  assert.equal(await both.isCopied(name), true);
  return both;
}

describe("a copy of a cached answer", () => {
  test("is what the worker would have said, and as old as that", async () => {
    const both = await withCopy("a", YES);
    both.clock.advance(1234);
    const { isCopy, ...answer } = (await both.ask("a"))!;
    assert.equal(isCopy, true);
    assert.deepEqual(answer, { ...YES, source: "cache", ageMs: 1234, certainty: "accepts-all" });
  });

  test("is never older than its TTL", async () => {
    const both = await withCopy("a", NO);
    both.clock.advance(MINUTE - 1);
    assert.equal(await both.isCopied("a"), true);
    both.clock.advance(1);
    assert.equal(await both.isCopied("a"), false);
  });

  test("leaves the last part of its time to the worker, which wants to refresh it", async () => {
    const both = await withCopy("a", YES, { refresh: 0.5 });
    both.clock.advance(5 * MINUTE - 1);
    assert.equal(await both.isCopied("a"), true);
    both.clock.advance(1);
    assert.equal(await both.isCopied("a"), false);
  });

  const ENDS: Record<string, (both: BothSides) => void> = {
    "is forgotten": (both) => both.cache.forget({ recipient: "a" }),
    "is forgotten with all others": (both) => both.cache.forget(),
    "is contradicted": (both) => both.put("a", NO),
    "is renewed": (both) => both.put("a", YES),
    "is pushed out by others": (both) => {
      for (const name of ["b", "c", "d", "e", "f", "g"]) {
        both.put(name, YES);
      }
    },
    "is dropped with its cache, when the settings change": (both) => both.cache.clear(),
  };
  for (const [how, end] of Object.entries(ENDS)) {
    test(`holds no more once the worker's answer ${how}`, async () => {
      const both = await withCopy("a", YES);
      // Nobody used it since, or it would be spared when others come.
      both.marks.wasTouched(0);
      end(both);
      assert.equal(await both.isCopied("a"), false);
    });
  }

  test("was on its way when the worker let go of the answer: it is not used", async () => {
    const both = new BothSides();
    both.put("a", YES);
    const hit = both.cache.get(lookupKey("rcpt", "a"))!;
    const kept = { ...hit, storedMs: toSharedMs(hit.storedMs, both.clock), goodForMs: hit.goodForMs };
    both.cache.forget({ recipient: "a" });
    const answer: LookupAnswer = { found: true, values: [], source: "cache", ageMs: 0, certainty: "unknown" };
    both.copies.put({ kind: "rcpt", value: "a", credentials: undefined }, answer, kept, both.marks);
    assert.equal(await both.isCopied("a"), false);
  });

  test("holds no more when another worker took over", async () => {
    const both = await withCopy("a", YES);
    assert.equal(await both.copies.get("rcpt", "a", AnswerMarks.create()), undefined);
  });

  test("is an object of its caller's own", async () => {
    const both = await withCopy("a", YES);
    const first = (await both.ask("a"))!;
    first.values.push("mine");
    first.reply!.text = "mine";
    const { values, reply } = (await both.ask("a"))!;
    assert.deepEqual({ values, reply }, { values: ["a", "b"], reply: { code: 250, text: "ok" } });
  });

  test("that is used keeps its answer in the worker's cache, although the worker is asked for it no more", async () => {
    const both = await withCopy("used", YES);
    for (const name of ["b", "c", "d", "e", "f", "g", "h"]) {
      both.put(name, YES);
      assert.equal(await both.isCopied("used"), true);
    }
    assert.equal(both.cache.get(lookupKey("rcpt", "b")), undefined);
  });

  test("that was used once goes in the end", async () => {
    const both = await withCopy("a", YES);
    for (let turn = 0; turn < 10; turn++) {
      both.put(`other${turn}`, YES);
    }
    assert.equal(both.cache.get(lookupKey("rcpt", "a")), undefined);
    assert.equal(await both.isCopied("a"), false);
  });
});

describe("the copies of a host", () => {
  test("are at most twice as many as its cache holds", async () => {
    const both = new BothSides({ entries: 3 });
    for (let number = 0; number < 100; number++) {
      both.put(`n${number}`, YES);
      await both.ask(`n${number}`);
    }
    const tables = both.copies as unknown as Record<"young" | "old", Record<LookupKind, Map<string, unknown>>>;
    assert.ok(tables.young.rcpt.size + tables.old.rcpt.size <= 6);
  });

  test("are none where nothing is cached, or every client has answers of its own", () => {
    const { clock } = new BothSides();
    const of = (cache: Partial<CacheSettings>, lookup = true) =>
      AnswerCopies.of({ lookup, cache: { entries: 1, byClient: false, ...cache } } as HostSettings, clock);
    assert.ok(of({}) instanceof AnswerCopies);
    assert.deepEqual([of({ entries: 0 }), of({ byClient: true }), of({}, false)], [undefined, undefined, undefined]);
  });

  test("count what they answered, and go on counting under other settings", async () => {
    const both = await withCopy("a", YES);
    await both.ask("a");
    const stats = newHostStats({ id: "host", address: "192.0.2.1", port: 24, protocol: "lmtp" });
    stats.lookups.cached = 1;
    stats.kinds.rcpt.cachedFound = 1;
    const later = AnswerCopies.of({ lookup: true, cache: { entries: 1 } } as HostSettings, both.clock, both.copies)!;
    for (const copies of [both.copies, later]) {
      const { lookups, kinds } = copies.addTo(stats);
      assert.deepEqual([lookups.cached, kinds.rcpt.cachedFound, kinds.rcpt.cachedNotFound], [3, 3, 0]);
    }
  });

  test("leave the event loop to others, however many callers only ever ask what is known", async () => {
    const both = await withCopy("a", YES);
    let isOver = false;
    setTimeout(() => {
      isOver = true;
    });
    while (!isOver) {
      assert.ok(await both.isCopied("a"));
    }
  });

  test("hold no password, and tell all credentials apart", () => {
    const secret = "correct horse battery";
    const of = (username: string, password: string, isToken = false) =>
      credentialsKey({ username, secret: password, isToken });
    assert.ok(!inspect(of("anna", secret)).includes(secret));
    assert.equal(of("anna", secret), of("anna", secret));
    const keys = [
      of("anna", secret),
      of("Anna", secret),
      of("anna", secret, true),
      of("ann", `a${secret}`),
      of("a", ""),
    ];
    assert.equal(new Set(keys).size, keys.length);
  });
});

/**
 * The model is one number for each key: answers up to it were let go of. The thread raises it when its cache has let go, the reader
 * looks at it before it looks for a copy, so that a copy below it is one that outlived its answer.
 */
test("over a million reads beside a thread that changes its answers all the time, no copy outlives its answer", async (context) => {
  const marks = AnswerMarks.create();
  const floors = new Int32Array(new SharedArrayBuffer(KEYS * Int32Array.BYTES_PER_ELEMENT));
  const copies = AnswerCopies.of({ lookup: true, cache: { entries: KEYS } } as HostSettings, systemClock)!;
  const thread = new Worker(new URL("../kit/cache-thread.js", import.meta.url), {
    workerData: { marks: marks.memory, floors } satisfies CacheThreadStart,
  });
  context.after(() => thread.terminate());
  let copied = 0;
  thread.on("message", (made: Made[]) => {
    for (const { name, answer, kept } of made) {
      copied++;
      copies.put({ kind: "rcpt", value: name, credentials: undefined }, answer, kept, marks);
    }
  });
  let hits = 0;
  for (let reads = 0; reads < 1_000_000; reads++) {
    if (reads % 1000 === 0) {
      // What the thread made comes in, and while it makes more, this one reads.
      thread.postMessage("change");
      await new Promise((resolve) => setImmediate(resolve));
    }
    const at = reads % KEYS;
    const floor = Atomics.load(floors, at);
    const answer = await copies.get("rcpt", `k${at}`, marks);
    if (answer === undefined) {
      continue;
    }
    hits++;
    const number = Number(answer.reply!.text);
    assert.ok(number >= floor, `k${at}: answer ${number} was let go of, as far as ${floor}`);
    assert.ok(answer.ageMs <= 50, `k${at} is ${answer.ageMs} ms old`);
  }
  assert.ok(copied > 10_000 && hits > 10_000, `${copied} copies, ${hits} hits`);
});
