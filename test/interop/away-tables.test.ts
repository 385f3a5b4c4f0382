/** What a real Postfix with a tcp_table, a health check and a real Prometheus see while the daemon is away, as docs/serve.md says. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { RawClient } from "../kit/raw-client.js";
import { Dovecot } from "./kit/dovecot.js";
import { settingsIn, snippetsOf } from "./kit/page.js";
import { Postfix } from "./kit/postfix.js";
import { addressOf, atEnd, DOMAIN, freePorts, makeFolder, pathOf, reasonToSkip } from "./kit/sandbox.js";
import { ServeProcess } from "./kit/serve.js";

describe("while the daemon is away", { timeout: 120_000 }, () => {
  it("a tcp_table gives 451 for its domain, and other domains go on", {
    skip: reasonToSkip("dovecot", "postfix"),
  }, async () => {
    const [tables] = (await freePorts(1)) as [number];
    await using dovecot = await Dovecot.start();
    await using serve = await ServeProcess.start(`
[remote.lmtp]
address = "127.0.0.1"
port = ${dovecot.ports.lmtp}
protocol = "lmtp"
lookup = true
tls = { implicit = false, starttls = "disable" }

[serve.table]
protocol = "tcp-table"
listen = "127.0.0.1:${tables}"
map = "lmtp-rcpt"
`);
    const lines = snippetsOf("main.cf").filter((snippet) => snippet.includes("tcp:"));
    assert.equal(lines.length, 1);
    await using postfix = await Postfix.start(dovecot, {
      main: {
        mydestination: "own.test",
        virtual_mailbox_domains: "",
        relay_domains: DOMAIN,
        smtpd_relay_restrictions: "reject_unauth_destination",
        smtpd_recipient_restrictions: "reject_unauth_destination",
        ...settingsIn(lines.map((snippet) => snippet.replace(":10032", `:${tables}`))),
      },
    });
    const ask = async () => {
      await using client = await RawClient.connect(postfix.ports.smtp);
      await client.replies(1);
      await client.ask("EHLO client.test");
      await client.ask("MAIL FROM:<me@else.test>");
      const replies: string[] = [];
      for (const recipient of [addressOf("ann"), addressOf("nobody"), "someone@own.test"]) {
        replies.push((await client.ask(`RCPT TO:<${recipient}>`)).slice(0, 9));
      }
      return replies;
    };
    assert.deepEqual(await ask(), ["250 2.1.5", "550 5.1.1", "250 2.1.5"]);
    await serve.stop();
    assert.deepEqual(await ask(), ["451 4.3.0", "451 4.3.0", "250 2.1.5"]);
    assert.doesNotMatch(postfix.log, /fatal/);
    await serve.begin();
    assert.deepEqual(await ask(), ["250 2.1.5", "550 5.1.1", "250 2.1.5"]);
  });

  it("a health check is refused a connection, and Prometheus sees up == 0", {
    skip: reasonToSkip("prometheus"),
  }, async () => {
    const [http, web] = (await freePorts(2)) as [number, number];
    await using serve = await ServeProcess.start(`[serve.http]\nprotocol = "http"\nlisten = "127.0.0.1:${http}"\n`);
    const healthz = () => fetch(`http://127.0.0.1:${http}/healthz`);
    await using prometheus = await startPrometheus(web, http);
    await prometheus.until(1);
    assert.equal((await healthz()).status, 200);
    await serve.stop();
    await assert.rejects(healthz(), (error: Error) => /ECONNREFUSED/.test(String(error.cause)));
    await prometheus.until(0);
    await serve.begin();
    await prometheus.until(1);
  });
});

/** One that asks the daemon each second. `until` resolves when its `up` of the daemon is so. */
async function startPrometheus(port: number, scraped: number) {
  const { path: folder, remove } = makeFolder("prometheus");
  const file = join(folder, "prometheus.yml");
  writeFileSync(
    file,
    `global: { scrape_interval: 1s }\nscrape_configs:\n  - job_name: relaypost\n    static_configs: [{ targets: ["127.0.0.1:${scraped}"] }]\n`,
  );
  const words = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  const child = spawn(pathOf("prometheus")!, words, { stdio: "ignore" });
  await once(child, "spawn");
  const kill = atEnd(() => child.kill("SIGTERM"));
  /** Nothing while it starts: nobody listens, or 503. */
  async function ask(): Promise<{ data?: { result: { value: [number, string] }[] } } | undefined> {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=up`).catch(() => undefined);
    return response?.ok === true ? ((await response.json()) as Awaited<ReturnType<typeof ask>>) : undefined;
  }
  return {
    async until(up: 0 | 1): Promise<void> {
      for (;;) {
        const found = await ask();
        if (found?.data?.result[0]?.value[1] === String(up)) {
          return;
        }
        assert.equal(child.exitCode, null, "Prometheus ended");
        await sleep(100);
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      const exited = child.exitCode === null ? once(child, "exit") : undefined;
      kill();
      await exited;
      remove();
    },
  };
}
