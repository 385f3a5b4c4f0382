/** The start of a process until its first message is delivered: from the outside, as who waits for it would count. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Measurement, StartJob } from "../job.js";

const PROGRAM = fileURLToPath(new URL("../start-process.js", import.meta.url));

export async function start({ contender, port }: StartJob): Promise<Measurement> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, [PROGRAM, contender, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  const startMs = performance.now() - startedMs;
  await once(child, "exit");
  const told = JSON.parse(String(said)) as Pick<Measurement, "cpuMicros" | "rssOctets">;
  const none = Number.NaN;
  return { done: 1, failed: 0, seconds: startMs / 1000, p50Micros: none, p99Micros: none, startMs, ...told };
}
