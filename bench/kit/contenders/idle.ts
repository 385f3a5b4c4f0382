/** What open connections cost while nobody uses them: memory, and the CPU time of each second behind the last message. */
import { setTimeout as pause } from "node:timers/promises";
import { createTransport } from "nodemailer";
import { pino } from "pino";
import { RemoteHosts } from "../../../src/index.js";
import type { IdleJob, Measurement } from "../job.js";
import { makeMessage } from "../message.js";
import { closedLoop } from "../stopwatch.js";

const ENVELOPE = { from: "a@sender.example", to: "b@sink.example" };
const MESSAGE = makeMessage(4096);
const WATCHED_SECONDS = 20;

type Relay = (host: number) => Promise<unknown>;

export async function idle(job: IdleJob): Promise<Measurement> {
  const relay = await (job.contender === "nodemailer" ? openTransports(job) : openHosts(job));
  const { done, failed } = await closedLoop(job.hosts * job.connections, job.seconds, (caller) =>
    relay(caller % job.hosts),
  );
  const micros = await watchCpu();
  return {
    done: WATCHED_SECONDS,
    failed: done === 0 ? 1 : failed,
    seconds: WATCHED_SECONDS,
    cpuMicros: micros.reduce((sum, each) => sum + each, 0),
    p50Micros: micros.toSorted((a, b) => a - b)[WATCHED_SECONDS / 2]!,
    p99Micros: Math.max(...micros),
    rssOctets: process.memoryUsage.rss(),
  };
}

async function watchCpu(): Promise<number[]> {
  const micros: number[] = [];
  let before = process.cpuUsage();
  while (micros.length < WATCHED_SECONDS) {
    await pause(1000);
    const { user, system } = process.cpuUsage(before);
    before = process.cpuUsage();
    micros.push(user + system);
  }
  return micros;
}

async function openHosts({ port, hosts, connections }: IdleJob): Promise<Relay> {
  const host = {
    address: "127.0.0.1",
    port,
    protocol: "smtp",
    concurrency: connections,
    limits: { requests: 1_000_000, idle: "10m", lifetime: "1h" },
    tls: { implicit: false, starttls: "disable" },
  } as const;
  const remote = Object.fromEntries(Array.from({ length: hosts }, (_, i) => [`host${i}`, host]));
  const remotes = await RemoteHosts.open({ remote }, { logger: pino({ level: "silent" }) });
  const all = remotes.ids.map((id) => remotes.host(id));
  return (at) => all[at]!.relay(ENVELOPE, MESSAGE);
}

async function openTransports({ port, hosts, connections }: IdleJob): Promise<Relay> {
  const options = { pool: true, host: "127.0.0.1", port, ignoreTLS: true, maxConnections: connections } as const;
  const all = Array.from({ length: hosts }, () =>
    createTransport({ ...options, maxMessages: Number.POSITIVE_INFINITY }),
  );
  return (at) => all[at]!.sendMail({ envelope: ENVELOPE, raw: MESSAGE });
}
