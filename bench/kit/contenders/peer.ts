/** A client in another language (bench/peers): a program that is told what to do on its command line and prints a Measurement. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Measurement, RelayJob } from "../job.js";
import { programOf } from "../peers.js";

/** As many messages at hand as connections: neither peer can have more on their way, whoever waits. */
export async function relay(job: RelayJob): Promise<Measurement> {
  const isNoDelayForced = job.contender === "lettre, TCP_NODELAY forced";
  const program = programOf(job.contender === "go-smtp" ? "go-smtp" : "lettre");
  const words = [job.port, job.connections, job.sizeOctets, job.seconds].map(String);
  const child = spawn(program, [...words, ...(isNoDelayForced ? ["nodelay"] : [])], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const [code] = (await once(child, "close")) as [number];
  if (code !== 0) {
    throw new Error(`${job.contender} ended with ${code}`);
  }
  return JSON.parse(output) as Measurement;
}
