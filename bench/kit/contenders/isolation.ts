/** The library with a thread for each host, of which one may be killed again and again: what the others feel of it. */
import type { Worker } from "node:worker_threads";
import { pino } from "pino";
import { type HostInput, RemoteHosts } from "../../../src/index.js";
import type { IsolationJob, Measurement } from "../job.js";
import { makeMessage } from "../message.js";
import { Stopwatch } from "../stopwatch.js";

/** So few that the machine is idle most of the time: a busy one would show its queues and not the threads. */
const MESSAGES_PER_SECOND = 10;
const ENVELOPE = { from: "a@sender.example", to: "b@sink.example" };

export async function isolation({ port, hosts, killsPerSecond, seconds }: IsolationJob): Promise<Measurement> {
  const host: HostInput = {
    address: "127.0.0.1",
    port,
    protocol: "smtp",
    concurrency: 1,
    tls: { implicit: false, starttls: "disable" },
    limits: { requests: 1_000_000, lifetime: "1h" },
  };
  const remote = Object.fromEntries(Array.from({ length: hosts }, (_, number) => [`host${number}`, host]));
  const runtime = { threads: hosts, restarts: 1_000_000, "restart-window": "1s" };
  // Threads start in the order of their hosts; every later one takes the place of the first.
  let victim: Worker | undefined;
  let started = 0;
  const watch = (worker: Worker): void => {
    if (started === 0 || started >= hosts) victim = worker;
    started++;
  };
  process.on("worker", watch);
  await using all = await RemoteHosts.open({ runtime, remote }, { logger: pino({ level: "silent" }) });
  const message = makeMessage(4096);
  const stopwatch = new Stopwatch();
  let isOver = false;
  const loops = Object.keys(remote).map(async (id, number) => {
    const sink = all.host(id);
    await pause((number / hosts) * (1000 / MESSAGES_PER_SECOND));
    while (!isOver) {
      const sinceMs = performance.now();
      const isDone = await sink.relay(ENVELOPE, message).then(
        () => true,
        () => false,
      );
      if (number > 0) isDone ? stopwatch.count(sinceMs) : stopwatch.fail();
      await pause(1000 / MESSAGES_PER_SECOND);
    }
  });
  const killer = killsPerSecond > 0 ? setInterval(() => void victim?.terminate(), 1000 / killsPerSecond) : undefined;
  await stopwatch.run(seconds);
  clearInterval(killer);
  isOver = true;
  await Promise.all(loops);
  process.off("worker", watch);
  return stopwatch.measurement();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
