/**
 * Two thousand whole runs of a host actor against simulated servers, judged by the servers' own ledger. A seed that fails is a bug:
 * `npm run simulate -- --trace --seed S` shows it.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type Run, simulate } from "./simulate.js";

const SEEDS = 2_000;
const SEEDS_PER_TEST = 250;

describe("simulation", () => {
  const tally = new Map<string, number>();

  for (let first = 1; first <= SEEDS; first += SEEDS_PER_TEST) {
    it(`keeps every promise, seeds ${first} to ${first + SEEDS_PER_TEST - 1}`, async () => {
      const broken: string[] = [];
      for (let seed = first; seed < first + SEEDS_PER_TEST; seed++) {
        const run = await simulate(seed);
        for (const violation of run.violations) {
          broken.push(`seed ${seed}: ${violation}`);
        }
        for (const [what, times] of Object.entries(run.tally)) {
          tally.set(what, (tally.get(what) ?? 0) + times);
        }
      }
      assert.deepEqual(broken, []);
    });
  }

  it("meets what it is there for", () => {
    const wanted = [
      ["smtp", "lmtp", "imap", "calm"],
      ["delivered", "refused", "deferred", "uncertain", "to more domains than a transaction takes"],
      ["remote: found", "remote: not found", "shared: found", "cache: found", "cache: not found", "stale"],
      [
        "learned: found",
        "learned: not found",
        "HARVEST_SUSPECTED",
        "held back",
        "random recipients",
        "domains verified",
      ],
      ["sent again by itself", "asked again after a crash", "WORKER_LOST", "DEADLINE_EXCEEDED", "ABORTED"],
      ["at several addresses", "where SRV records say", "sticky", "addresses that failed"],
      ["seconds of full queues"],
      ["CONTENT_FAILED", "MAILBOX_CLOSED", "HOST_UNAVAILABLE", "DNS_FAILED", "CONNECT_FAILED", "CONNECT_TIMEOUT"],
      ["TLS_FAILED", "MISSING_STARTTLS", "MISSING_AUTH", "MISSING_EXTENSION", "AUTH_FAILED", "COMMAND_TIMEOUT"],
      ["REMOTE_CLOSED", "REMOTE_PROTOCOL", "REPLY_TRANSIENT", "REPLY_PERMANENT", "NOT_SUPPORTED"],
    ].flat();
    assert.deepEqual(
      wanted.filter((what) => !((tally.get(what) ?? 0) > 0)),
      [],
    );
  });
});

describe("a seed", () => {
  let first: Run;

  before(async () => {
    first = await simulate(7);
  });

  it("gives the same run again, event by event", async () => {
    for (const seed of [7, 11, 40, 1_681]) {
      const runs = [await simulate(seed), await simulate(seed)];
      assert.equal(runs[0]!.trace, runs[1]!.trace);
      assert.equal(runs[0]!.hash, runs[1]!.hash);
    }
  });

  it("gives another run than the next seed", async () => {
    assert.notEqual((await simulate(8)).hash, first.hash);
  });
});
