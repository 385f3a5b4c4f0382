/**
 * Loaded before each test file of `npm run fuzz`: counts the cases of every property, gives each a share of the time, and leaves
 * the verdict as it is.
 */
import { appendFileSync } from "node:fs";
import fc, { type RunDetails } from "fast-check";

const { FUZZ_TALLY: file, FUZZ_LIMIT_MS: limitMs, FUZZ_SEED: seed } = process.env;

if (file !== undefined) {
  fc.configureGlobal({
    seed: Number(seed),
    interruptAfterTimeLimit: Number(limitMs),
    markInterruptAsFailure: false,
    reporter(details: RunDetails<unknown>) {
      appendFileSync(file, `${details.numRuns}\n`);
      if (details.failed) {
        throw new Error(fc.defaultReportMessage(details));
      }
    },
  });
}
