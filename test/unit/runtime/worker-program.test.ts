/** The worker's program, compiled on one thread and run on others. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { type CompiledProgram, PROGRAM_PARAMETERS } from "../../../src/messages/program.js";
import { SharedState } from "../../../src/messages/shared-state.js";
import { WorkerProgram } from "../../../src/runtime/worker-program.js";
import { WorkerThread } from "../../../src/runtime/worker-thread.js";
import { systemClock, TimerWheel } from "../../../src/timer-wheel.js";
import { FAKE_ENTRY } from "../kit/fake-hosts.js";

const OWN = fileURLToPath(new URL("../../../workers/host-worker.cjs", import.meta.url));

/** Tells whether V8, on another thread, has no use for what was compiled here. */
const COMPILE = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { compileFunction } = require("node:vm");
  const { source, code, file, parameters } = workerData;
  const run = compileFunction(source, parameters, { filename: file, cachedData: code });
  parentPort.postMessage(run.cachedDataRejected);`;

async function isRejected(program: CompiledProgram, parameters = PROGRAM_PARAMETERS): Promise<unknown> {
  const worker = new Worker(COMPILE, { eval: true, workerData: { ...program, parameters } });
  const [answer] = await once(worker, "message");
  return answer;
}

describe("the worker's program", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "relaypost-program-"));
  });
  after(() => rm(folder, { recursive: true }));

  test("is taken by another thread as it was compiled here", async () => {
    const program = new WorkerProgram(OWN).compile();
    assert.ok(program.code!.length > 100_000);
    assert.equal(await isRejected(program), false);
    assert.equal(await isRejected({ ...program, source: `${program.source}\n` }), true);
  });

  test("stays what it was when its file is replaced", async () => {
    const file = join(folder, "replaced.cjs");
    await writeFile(file, "exports.version = 1");
    const program = new WorkerProgram(file);
    const compiled = program.compile();
    await writeFile(file, "exports.version = 2");
    assert.equal(program.compile(), compiled);
    assert.equal(compiled.source, "exports.version = 1");
  });

  test("that cannot be read is a thread that is lost, and no exception where it was to start", async () => {
    const { promise, resolve } = withResolvers<unknown>();
    const thread = new WorkerThread(
      {
        entry: FAKE_ENTRY,
        program: new WorkerProgram(join(folder, "missing.cjs")),
        heap: {},
        wheel: new TimerWheel(systemClock, 20),
        memory: SharedState.create().memory,
        isEndless: true,
        logLevel: "silent",
      },
      { lost: (_thread, cause) => resolve(cause), called() {} },
    );
    const cause = await promise;
    thread.end({ code: "WORKER_LOST", message: "" });
    await thread.exited;
    assert.equal((cause as NodeJS.ErrnoException).code, "ENOENT");
  });
});

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
