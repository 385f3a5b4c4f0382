/** The ways in which sites run Redis, on loopback: TLS, a sentinel with a replica, a cluster of three. */
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createClient } from "@redis/client";
import { makeCertificate } from "../../../src/testing/certificates.js";
import { freePort, RedisServer } from "./redis-server.js";

/** How often a server is asked that tells of no event. */
const ASK_MS = 50;

/** Runs one command on a server. */
export async function command(url: string, ...args: string[]): Promise<unknown> {
  const client = createClient({ url });
  await client.connect();
  try {
    return await client.sendCommand(args);
  } finally {
    client.destroy();
  }
}

/** A server that speaks TLS only, and the CA that its clients need. */
export async function startTls(): Promise<{ server: RedisServer; url: string; ca: string }> {
  const { key, cert, ca } = await makeCertificate();
  const port = await freePort();
  const files = { key: join(tmpdir(), `relaypost-${port}.key`), cert: join(tmpdir(), `relaypost-${port}.pem`) };
  await writeFile(files.key, key, { mode: 0o600 });
  await writeFile(files.cert, cert);
  const server = await RedisServer.start([
    `tls-port ${port}`,
    `tls-key-file ${files.key}`,
    `tls-cert-file ${files.cert}`,
    `tls-ca-cert-file ${files.cert}`,
    "tls-auth-clients no",
  ]);
  return { server, url: `rediss://127.0.0.1:${port}`, ca };
}

/** A master, a replica of it, and a sentinel that lets the replica take over within a second or two. */
export class Sentinels {
  private constructor(
    readonly master: RedisServer,
    readonly replica: RedisServer,
    readonly sentinel: RedisServer,
  ) {}

  static async start(): Promise<Sentinels> {
    const master = await RedisServer.start();
    const replica = await RedisServer.start([`replicaof 127.0.0.1 ${master.port}`]);
    while (!/master_link_status:up/.test(String(await command(replica.url, "INFO", "replication")))) {
      await wait(ASK_MS);
    }
    const sentinel = await RedisServer.startSentinel([
      `sentinel monitor mail 127.0.0.1 ${master.port} 1`,
      "sentinel down-after-milliseconds mail 500",
      "sentinel failover-timeout mail 2000",
    ]);
    // Until it knows the replica there is nobody to take over.
    while (((await command(sentinel.url, "SENTINEL", "REPLICAS", "mail")) as unknown[]).length === 0) {
      await wait(ASK_MS);
    }
    return new Sentinels(master, replica, sentinel);
  }

  async close(): Promise<void> {
    for (const server of [this.sentinel, this.replica, this.master]) {
      await server.close();
    }
  }
}

/** Three masters that share the slots. */
export class RedisClusterServers {
  private constructor(readonly servers: readonly RedisServer[]) {}

  static async start(): Promise<RedisClusterServers> {
    const directives = async (): Promise<string[]> => [
      "cluster-enabled yes",
      "cluster-node-timeout 2000",
      `cluster-port ${await freePort()}`,
    ];
    const servers = await Promise.all([0, 1, 2].map(async () => RedisServer.start(await directives())));
    const starts = [0, 5461, 10_923, 16_384];
    for (const [index, { url }] of servers.entries()) {
      await command(url, "CLUSTER", "ADDSLOTSRANGE", String(starts[index]), String(starts[index + 1]! - 1));
    }
    const bus = async ({ url }: RedisServer): Promise<string> =>
      /@(\d+)/.exec(String(await command(url, "CLUSTER", "NODES")))![1]!;
    for (const server of servers.slice(1)) {
      await command(servers[0]!.url, "CLUSTER", "MEET", "127.0.0.1", String(server.port), await bus(server));
    }
    for (const { url } of servers) {
      while (!/cluster_state:ok/.test(String(await command(url, "CLUSTER", "INFO")))) {
        await wait(ASK_MS);
      }
      while (
        String(await command(url, "CLUSTER", "NODES"))
          .trim()
          .split("\n").length < 3
      ) {
        await wait(ASK_MS);
      }
    }
    return new RedisClusterServers(servers);
  }

  get urls(): string[] {
    return this.servers.map(({ url }) => url);
  }

  async close(): Promise<void> {
    for (const server of this.servers) {
      await server.close();
    }
  }
}
