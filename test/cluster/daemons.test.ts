/** Two daemons (`relaypost serve`) and a Redis: what one was answered the other knows, and the total holds for both. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { netstring } from "../../src/serve/netstring.js";
import { jsonLines, relaypost, start } from "../cli/command-line.js";
import { AskedHost } from "./kit/asked-host.js";
import { RedisServer } from "./kit/redis-server.js";

const ASK_MANY = 40;
const TOTAL = 3;

describe("two daemons of a cluster", { timeout: 60_000 }, () => {
  let redis: RedisServer;
  let host: AskedHost;
  let folder: string;
  const daemons: ChildProcess[] = [];

  const fileOf = (name: string): string => join(folder, `${name}.toml`);
  const socketOf = (name: string): string => join(folder, `${name}.map`);

  async function serve(name: string): Promise<void> {
    await writeFile(
      fileOf(name),
      `
[cluster]
url = "${redis.url}"
secret = "a secret of two daemons, long enough"
timeout = "5s"
[serve.map]
protocol = "socketmap"
listen = "unix:${socketOf(name)}"
[remote.store]
address = "127.0.0.1"
port = ${host.port}
protocol = "lmtp"
lookup = true
tls = { implicit = false, starttls = "disable" }
limits.pipeline = 1
cluster = { concurrency = ${TOTAL}, cache = true }
`,
    );
    const daemon = start("serve", fileOf(name));
    daemons.push(daemon);
    let log = "";
    await new Promise<void>((resolve, reject) => {
      daemon.once("exit", (code) => reject(new Error(`the daemon ended with ${code}: ${log}`)));
      daemon.stderr!.on("data", (text: Buffer) => {
        log += text.toString();
        if (log.includes('"serve-ready"')) {
          resolve();
        }
      });
    });
  }

  /** What a daemon says of a recipient. */
  async function ask(name: string, address: string): Promise<string> {
    const socket = connect(socketOf(name));
    socket.write(netstring(`store-rcpt ${address}`));
    const [bytes] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    return bytes.toString();
  }

  before(async () => {
    redis = await RedisServer.start();
    host = await AskedHost.start();
    folder = await mkdtemp(join(tmpdir(), "relaypost-daemons-"));
    await Promise.all(["one", "other"].map(serve));
  });

  after(async () => {
    for (const daemon of daemons) {
      daemon.removeAllListeners("exit");
      daemon.kill("SIGTERM");
    }
    await Promise.all(daemons.map((daemon) => daemon.exitCode ?? once(daemon, "exit")));
    await host.close();
    await redis.close();
    await rm(folder, { recursive: true });
  });

  test("ask the host once for both", async () => {
    // Redis is connected to in the background: until then each asks for itself.
    for (let tried = 0; ; tried++) {
      const before = host.recipients;
      await ask("one", `ann${tried}@example.org`);
      await ask("other", `ann${tried}@example.org`);
      if (host.recipients === before + 1) {
        break;
      }
    }
    const before = host.recipients;
    const addresses = Array.from({ length: ASK_MANY }, (_, at) => `${at % 2 === 0 ? "bo" : "nobody"}${at}@example.org`);
    const answers = await Promise.all(addresses.flatMap((address) => [ask("one", address), ask("other", address)]));
    assert.equal(host.recipients - before, ASK_MANY);
    const expected = addresses.flatMap((_, at) => (at % 2 === 0 ? [/OK /, /OK /] : [/NOTFOUND /, /NOTFOUND /]));
    for (const [at, answer] of answers.entries()) {
      assert.match(answer, expected[at]!);
    }
  });

  test("have no more connections than the total, both together", async () => {
    host.answerAfterMs = 5;
    const addresses = Array.from({ length: 4 * ASK_MANY }, (_, at) => `cy${at}@example.org`);
    await Promise.all(addresses.map((address, at) => ask(at % 2 === 0 ? "one" : "other", address)));
    assert.ok(host.most >= 2 && host.most <= TOTAL, `${host.most} connections stood at once`);
  });

  test("are both seen by check --connect", async () => {
    const ran = await relaypost(["check", "--connect", "--json", fileOf("one")]);
    const { cluster } = jsonLines<{ cluster: Record<string, unknown> }>(ran)[0]!;
    assert.deepEqual([ran.code, cluster.ok, cluster.gateways], [0, true, 2]);
  });
});
