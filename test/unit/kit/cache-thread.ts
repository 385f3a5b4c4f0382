/** A thread with a cache that changes its answers whenever it is told to, for the test of their copies on another thread. */
import { parentPort, workerData } from "node:worker_threads";
import type { LookupAnswer } from "../../../src/api.js";
import { AnswerMarks, type KeptAnswer, type MarksMemory, toSharedMs } from "../../../src/messages/answer-marks.js";
import { systemClock } from "../../../src/timer-wheel.js";
import { AnswerCache } from "../../../workers/host/cache.js";
import { lookupKey } from "../../../workers/host/cache-keys.js";
import { cacheSettings } from "../../kit/cache-settings.js";

export const KEYS = 64;
const TTL_MS = 50;
/** Changes in one go. */
const CHANGES = 64;

/** What the thread starts with. */
export interface CacheThreadStart {
  readonly marks: MarksMemory;
  /** For each key: answers with lower numbers were let go of. */
  readonly floors: Int32Array;
}

/** An answer from the cache, on its way to the other thread. */
export interface Made {
  readonly name: string;
  readonly answer: LookupAnswer;
  readonly kept: KeptAnswer;
}

if (parentPort !== null && (workerData as CacheThreadStart | null)?.floors !== undefined) {
  run(workerData as CacheThreadStart);
}

function run({ marks, floors }: CacheThreadStart): void {
  const cache = new AnswerCache({
    settings: cacheSettings({
      entries: KEYS / 2,
      positiveTtlMs: TTL_MS,
      negativeTtlMs: TTL_MS,
      authTtlMs: TTL_MS,
      stateTtlMs: 60_000,
    }),
    hostId: "host",
    clock: systemClock,
    hmacKey: new Uint8Array(32),
    marks: new AnswerMarks(marks),
  });
  let change = 0;
  let number = 0;
  const turn = () => {
    const made: Made[] = [];
    for (let count = 0; count < CHANGES; count++) {
      // A stride that meets every key, in an order that is not the reader's.
      const at = (change++ * 29) % KEYS;
      const name = `k${at}`;
      const key = lookupKey("rcpt", name);
      number++;
      if (change % 5 === 0) {
        cache.forget({ recipient: name });
      } else {
        cache.put(key, { found: change % 3 > 0, values: [], reply: { code: 250, text: `${number}` } });
      }
      Atomics.store(floors, at, number);
      const hit = cache.get(key);
      if (hit !== undefined) {
        const { mark, version, storedMs, goodForMs, ageMs } = hit;
        const { found, reply } = hit.answer;
        made.push({
          name,
          answer: { found, values: [], source: "cache", ageMs, reply, certainty: "unknown" },
          kept: { mark, version, storedMs: toSharedMs(storedMs, systemClock), goodForMs },
        });
      }
    }
    parentPort!.postMessage(made);
  };
  parentPort!.on("message", turn);
}
