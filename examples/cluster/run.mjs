// Three gateways, one limit: starts a Redis, a mail server and three gateways in processes of their own, lets all of them relay as
// fast as they can, kills one, and shows who holds the host's twelve connections before, during and after.
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { listenMail } from "relaypost/testing";

const TOTAL = 12;
const LEASE_S = 3;

const folder = await mkdtemp(join(tmpdir(), "relaypost-cluster-"));
const redis = await startRedis(join(folder, "redis.sock"));
const server = await listenMail({ protocol: "lmtp", recipients: ["anna@example.org"] });
const config = {
  runtime: { hostname: "gw.example.org" },
  cluster: { url: `unix:${join(folder, "redis.sock")}`, lease: `${LEASE_S}s`, timeout: "1s" },
  remote: {
    store: {
      address: server.address,
      port: server.port,
      protocol: "lmtp",
      concurrency: 10, // what one gateway may have at most
      tls: { implicit: false, starttls: "disable" },
      cluster: { concurrency: TOTAL }, // what all of them may have together
    },
  },
};

let onNews = () => {};
const [a, b, c] = ["A", "B", "C"].map(startGateway);
console.log(`${TOTAL} connections for all, leases of ${LEASE_S} s\n`);
console.log(
  row(
    "",
    [a, b, c].map(({ name }) => `gateway ${name}`),
    "together",
  ),
);

await until(() => [a, b, c].every(({ held, delivered }) => held === TOTAL / 3 && delivered > 0));
show("all three relay");

b.child.kill("SIGKILL");
await once(b.child, "exit");
show("B is killed");

await until(() => a.held + c.held === TOTAL);
show(`its lease of ${LEASE_S} s has ended`);

for (const { child } of [a, c]) {
  child.kill("SIGKILL");
}
redis.kill();
await server.close();
await rm(folder, { recursive: true, force: true });

async function startRedis(socket) {
  const child = spawn("redis-server", ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]);
  child.on("error", () => {
    console.error("This example needs redis-server: apt-get install redis-server");
    process.exit(1);
  });
  await new Promise((resolve) => {
    child.stdout.on("data", (text) => /ready to accept connections/i.test(text) && resolve());
  });
  return child;
}

function startGateway(name) {
  const child = fork(fileURLToPath(new URL("gateway.mjs", import.meta.url)));
  child.send(config);
  const gateway = { name, child, held: 0, granted: 0, delivered: 0 };
  child.on("message", ({ places, delivered }) => {
    Object.assign(gateway, { held: places?.held ?? 0, granted: places?.granted ?? 0, delivered });
    onNews();
  });
  return gateway;
}

function until(isSo) {
  return new Promise((resolve) => {
    onNews = () => isSo() && resolve();
  });
}

function show(what) {
  const living = [a, b, c].filter(({ child }) => child.signalCode === null);
  const cells = [a, b, c].map((gateway) =>
    living.includes(gateway) ? `${gateway.held} of ${gateway.granted}, ${gateway.delivered} sent` : "-",
  );
  console.log(row(what, cells, String(living.reduce((sum, { held }) => sum + held, 0))));
}

function row(what, cells, last) {
  return `${what.padEnd(28)}${cells.map((cell) => cell.padEnd(22)).join("")}${last}`;
}
