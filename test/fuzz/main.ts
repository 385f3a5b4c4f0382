/**
 * `npm run fuzz`: every property of the tests, which it finds by their import of fast-check, with a million cases in all.
 * `npm test` runs the same properties with a small share of that.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const TESTS = fileURLToPath(new URL("..", import.meta.url));
const TALLY = new URL("./tally.js", import.meta.url).href;

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "1000000" },
    seconds: { type: "string", default: "900" },
    seed: { type: "string" },
  },
});
/** Equal seeds try equal cases, as far as the time allows. */
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 30));
const wanted = Number(values.cases);
const endMs = performance.now() + Number(values.seconds) * 1000;
if (!(wanted > 0) || Number.isNaN(endMs) || !Number.isSafeInteger(seed)) {
  console.error("usage: npm run fuzz -- [--cases N] [--seconds N] [--seed S]");
  process.exit(2);
}

/** Compiled test files that hold properties, and how many. */
function findSuites(): { file: string; properties: number }[] {
  return readdirSync(TESTS, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => ({ file: join(TESTS, name), source: readFileSync(join(TESTS, name), "utf8") }))
    .filter(({ source }) => /from "fast-check"/.test(source))
    .map(({ file, source }) => ({ file, properties: source.match(/\b(?:async)?[pP]roperty\(/g)?.length ?? 1 }));
}

/** One file with `runs` cases for each of its properties; how many there were. Ends the whole run when one fails. */
function run(file: string, runs: number, limitMs: number, round: number): number {
  writeFileSync(tally, "");
  const { status, stdout } = spawnSync(process.execPath, ["--import", TALLY, "--test", file], {
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: {
      ...process.env,
      FUZZ_RUNS: String(runs),
      FUZZ_LIMIT_MS: String(limitMs),
      FUZZ_TALLY: tally,
      FUZZ_SEED: String(seed + round),
    },
  });
  if (status !== 0) {
    // With the seed and the smallest counterexample of the property that failed.
    console.error(`${stdout}\nFAILED: ${file}`);
    process.exit(1);
  }
  return readFileSync(tally, "utf8")
    .split("\n")
    .reduce((sum, line) => sum + Number(line), 0);
}

const suites = findSuites();
const properties = suites.reduce((sum, suite) => sum + suite.properties, 0);
const folder = mkdtempSync(join(tmpdir(), "relaypost-fuzz-"));
const tally = join(folder, "tally");
console.log(`fuzz: ${properties} properties in ${suites.length} files, ${wanted} cases, seed ${seed}`);
const done = new Map<string, number>();
let total = 0;
for (let round = 1; total < wanted && performance.now() < endMs; round++) {
  for (const { file, properties: own } of suites) {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) {
      break;
    }
    // What is left, spread over all; but no round is so small that starting it takes longer than running it.
    const runs = Math.ceil(Math.max(wanted - total, wanted / 4) / properties);
    const cases = run(file, runs, Math.max(500, leftMs / properties), round);
    total += cases;
    const name = file.slice(TESTS.length);
    done.set(name, (done.get(name) ?? 0) + cases);
    console.log(`  round ${round}: ${name}, ${own} properties, ${cases} cases`);
  }
}
rmSync(folder, { recursive: true });
console.log(`fuzz: ${total} cases, none failed${total < wanted ? " in the time there was" : ""}`);
