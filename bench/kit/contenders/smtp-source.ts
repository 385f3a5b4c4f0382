/** Postfix's smtp-source -d: a client in C that keeps its connections and waits for each reply. It is a process itself. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Measurement, RelayJob } from "../job.js";
import { PostfixTools } from "../smtp-sink.js";

/** Messages of a run are counted in advance: so many that it lasts about as long as the others'. */
export async function relay(job: RelayJob): Promise<Measurement> {
  using tools = new PostfixTools();
  const trial = await send(job, Math.max(job.connections, 20), tools);
  return await send(job, Math.max(job.connections, Math.round((trial.done / trial.seconds) * job.seconds)), tools);
}

async function send(job: RelayJob, messages: number, tools: PostfixTools): Promise<Measurement> {
  const flags = job.protocol === "lmtp" ? ["-L"] : [];
  const command = [
    "smtp-source",
    "-d",
    ...flags,
    "-s",
    `${job.connections}`,
    "-m",
    `${messages}`,
    "-l",
    `${job.sizeOctets}`,
  ];
  command.push("-f", "a@sender.example", "-t", "b@sink.example", `127.0.0.1:${job.port}`);
  const startedMs = performance.now();
  // The shell's `times` tells the CPU time of its children, which Node cannot.
  const shell = spawn("sh", ["-c", '"$@"; status=$?; times; exit $status', "sh", ...command], {
    env: tools.env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  shell.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const [code] = (await once(shell, "close")) as [number];
  if (code !== 0) {
    throw new Error(`smtp-source ended with ${code}`);
  }
  const cpu = [...(output.trimEnd().split("\n").at(-1) ?? "").matchAll(/(\d+)m([\d.]+)s/g)];
  const cpuSeconds = cpu.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
  return {
    done: messages,
    failed: 0,
    seconds: (performance.now() - startedMs) / 1000,
    cpuMicros: cpuSeconds * 1e6,
    p50Micros: Number.NaN,
    p99Micros: Number.NaN,
    rssOctets: Number.NaN,
  };
}
