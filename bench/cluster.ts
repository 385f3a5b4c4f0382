/**
 * What sharing costs and saves: relaying with places that gateways share, an answer that only Redis knows, the questions of three
 * gateways that ask the same, the commands that Redis gets, and how soon a dead gateway's places are in use.
 */
import { createClient } from "@redis/client";
import { type ConfigInput, type HostInput, RemoteHosts } from "../src/index.js";
import { Child } from "./kit/child.js";
import { makeMessage } from "./kit/message.js";
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { Redis } from "./kit/redis.js";
import { report } from "./kit/report.js";
import { measure, median, type Row } from "./kit/rounds.js";
import { closedLoop } from "./kit/stopwatch.js";

const LEASE_S = 10;
const TOTAL = 10;
const options = readOptions();
const ENVELOPE = { from: "a@sender.example", to: "b@sink.example" };
const message = makeMessage(4096);

await using redis = await Redis.start();
if (redis === undefined) {
  console.log("cluster: there is no redis-server here, left out");
  process.exit();
}
const { url, socketPath } = redis;
await using sink = await Network.start({ protocol: "smtp", isSmtpSink: true });
await using asked = await Network.start({ protocol: "smtp" });

/** A gateway with so many hosts, all of which are one server. */
function gateway(port: number, hosts: number, shares: NonNullable<HostInput["cluster"]>): Promise<RemoteHosts> {
  const host: HostInput = {
    address: "127.0.0.1",
    port,
    protocol: "smtp",
    concurrency: TOTAL,
    lookup: true,
    tls: { implicit: false, starttls: "disable" },
    limits: { requests: 1_000_000_000, errors: 1_000_000, queue: 1_000_000, "queue-bytes": "1GiB", pipeline: 50 },
    cache: { entries: 100_000 },
    cluster: shares,
  };
  const config: ConfigInput = {
    runtime: { hostname: "gateway.example.org", threads: 2 },
    cluster: { url, secret: "a secret of thirty-two octets or more", lease: `${LEASE_S}s`, timeout: "10s" },
    remote: Object.fromEntries(Array.from({ length: hosts }, (_, at) => [`host${at}`, host])),
  };
  return RemoteHosts.open(config);
}

const rows: Row[] = [];
const wants = (cell: string): boolean => cell.includes(options.only);

/** A line of figures of this process. */
function line(cell: string, contender: string, micros: readonly number[]): Row {
  const at = (share: number) => micros.toSorted((a, b) => a - b)[Math.floor(micros.length * share)] ?? Number.NaN;
  const perSecond = 1e6 / at(0.5);
  const none = { cpuMicrosEach: Number.NaN, rssOctets: Number.NaN, startMs: Number.NaN, failed: 0 };
  return { cell, contender, perSecond, p50Micros: at(0.5), p99Micros: at(0.99), rounds: [perSecond], ...none };
}

const relayJob = {
  kind: "relay",
  contender: "relaypost",
  port: sink.port,
  protocol: "smtp",
  isTls: false,
  connections: TOTAL,
  callersEach: 10,
  sizeOctets: 4096,
  seconds: options.seconds,
} as const;
const RELAY = "10 connections, 4 KiB";
if (wants(RELAY)) {
  const entries = [
    { name: "relaypost", job: { ...relayJob, clusterUrl: url } },
    { name: "without a cluster", job: relayJob },
  ];
  rows.push(...(await measure(RELAY, entries, options.rounds)));
}

const ANSWER = "an answer that only Redis knows, one by one";
if (wants(ANSWER)) {
  const count = options.isShort ? 200 : 5_000;
  await using knows = await gateway(asked.port, 1, { cache: true });
  await using asks = await gateway(asked.port, 1, { cache: true });
  const addresses = Array.from({ length: count }, (_, at) => `known${at}@sink.example`);
  await untilShared([knows, asks]);
  await Promise.all(addresses.map((address) => knows.host("host0").verifyRecipient(address)));
  // As the gateway's own: without a timer for each command.
  const client = await createClient({
    socket: { path: socketPath, tls: false },
    commandOptions: { timeout: 0 },
  }).connect();
  await client.set("bench", "x".repeat(200));
  const [answers, gets]: [number[], number[]] = [[], []];
  let elsewhere = 0;
  for (const address of addresses) {
    let startMs = performance.now();
    const { source } = await asks.host("host0").verifyRecipient(address);
    answers.push((performance.now() - startMs) * 1_000);
    elsewhere += source === "cluster" ? 0 : 1;
    startMs = performance.now();
    await client.get("bench");
    gets.push((performance.now() - startMs) * 1_000);
  }
  client.destroy();
  // What comes first is compiled and connected meanwhile.
  const warm = Math.floor(count / 5);
  rows.push(line(ANSWER, "relaypost", answers.slice(warm)), line(ANSWER, "GET", gets.slice(warm)));
  const ratio = median(answers.slice(warm)) / median(gets.slice(warm));
  console.log(`${ANSWER}: ${ratio.toFixed(2)} times a GET; ${elsewhere} of ${count} came from elsewhere`);
}

const SAME = "3 gateways ask about the same addresses at once";
if (wants(SAME)) {
  const count = options.isShort ? 500 : 10_000;
  const gateways = await Promise.all([1, 2, 3].map(() => gateway(asked.port, 1, { cache: true })));
  const addresses = Array.from({ length: count }, (_, at) => `same${at}@sink.example`);
  await untilShared(gateways);
  const askedBefore = await questionsOf(gateways);
  await Promise.all(
    gateways.map((remotes) => Promise.all(addresses.map((one) => remotes.host("host0").verifyRecipient(one)))),
  );
  const questions = (await questionsOf(gateways)) - askedBefore;
  console.log(`${SAME}: ${count} addresses, the host was asked ${questions} times`);
  await Promise.all(gateways.map((remotes) => remotes.close({ drainMs: 0 })));
}

const COMMANDS = "4 gateways × 50 busy hosts";
if (wants(COMMANDS)) {
  const gateways = await Promise.all(
    [1, 2, 3, 4].map(() => gateway(sink.port, options.isShort ? 5 : 50, { concurrency: 4 * TOTAL, rate: "1000000/s" })),
  );
  const client = await createClient({ socket: { path: socketPath, tls: false } }).connect();
  const hosts = gateways.flatMap((remotes) => remotes.ids.map((id) => remotes.host(id)));
  let before = 0;
  let counted = 0;
  const seconds = options.isShort ? 1 : 30;
  setTimeout(async () => (before = await callsOf(client)), seconds * 500);
  setTimeout(async () => (counted = (await callsOf(client)) - before), seconds * 1_500 - 50);
  const { done } = await closedLoop(hosts.length, seconds, async (caller) => {
    await hosts[caller]!.relay(ENVELOPE, message);
    // Busy, and not more than two cores bear.
    await new Promise((resolve) => setTimeout(resolve, 50));
  });
  console.log(`${COMMANDS}: ${(counted / seconds).toFixed(1)} commands a second, ${Math.round(done / seconds)} msg/s`);
  client.destroy();
  await Promise.all(gateways.map((remotes) => remotes.close({ drainMs: 0 })));
}

const DEATH = "a gateway dies: until its places are in use";
if (wants(DEATH) && !options.isShort) {
  const tookMs: number[] = [];
  for (let round = 0; round < 3; round++) {
    await using other = await gateway(sink.port, 1, { concurrency: TOTAL });
    const host = other.host("host0");
    const child = Child.start("contender");
    const running = child.ask({ ...relayJob, callersEach: 2, seconds: 600, clusterUrl: url });
    running.catch(() => {});
    let isOver = false;
    const work = Array.from({ length: 2 * TOTAL }, async () => {
      while (!isOver) {
        await host.relay(ENVELOPE, message);
      }
    });
    await until(async () => (await heldBy(other)) === TOTAL / 2);
    await child[Symbol.asyncDispose]();
    const diedMs = performance.now();
    await until(async () => (await heldBy(other)) === TOTAL);
    tookMs.push(performance.now() - diedMs);
    isOver = true;
    await Promise.all(work);
  }
  console.log(`${DEATH}: ${(median(tookMs) / 1_000).toFixed(1)} s, with a lease of ${LEASE_S} s`);
}

report(
  {
    name: "cluster",
    title: "Gateways that share",
    unit: "request",
    figures: ["perSecond", "cpuMicrosEach", "p50Micros", "p99Micros"],
    rows,
  },
  options,
);

/** Commands that clients sent, without those that scripts ran by themselves and without our own. */
async function callsOf(client: { info(section: string): Promise<string> }): Promise<number> {
  const text = await client.info("commandstats");
  let calls = 0;
  for (const [, name, count] of text.matchAll(/cmdstat_(evalsha|eval|ping|publish|get|set):calls=(\d+)/g)) {
    calls += name === "get" ? 0 : Number(count);
  }
  return calls;
}

/** Questions to the host so far. */
async function questionsOf(gateways: readonly RemoteHosts[]): Promise<number> {
  const stats = await Promise.all(gateways.map((remotes) => remotes.stats()));
  return stats.reduce((sum, { hosts }) => sum + hosts.host0!.lookups.remote, 0);
}

/** Redis is connected to in the background: resolves when each of them has been told what another one was answered. */
async function untilShared(gateways: readonly RemoteHosts[]): Promise<void> {
  for (const [at, remotes] of gateways.entries()) {
    const other = gateways[(at + 1) % gateways.length]!;
    let tried = 0;
    await until(async () => {
      const address = `ready${at}-${tried++}@sink.example`;
      await other.host("host0").verifyRecipient(address);
      return (await remotes.host("host0").verifyRecipient(address)).source === "cluster";
    });
  }
}

async function heldBy(remotes: RemoteHosts): Promise<number> {
  const { connections } = (await remotes.stats()).hosts.host0!;
  return connections.busy + connections.idle + connections.opening;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
