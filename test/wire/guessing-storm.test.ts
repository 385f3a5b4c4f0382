/** A guesser at a host that delays wrong answers by five seconds: other users are served at once, whether clients are known or not. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { RemoteHosts } from "../../src/index.js";
import { listenImap, type StrictServer } from "../../src/testing/index.js";

describe("a host that delays wrong answers by five seconds, and a guesser at it", { timeout: 60_000 }, () => {
  let server: StrictServer;
  let remotes: RemoteHosts;

  before(async () => {
    const users = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`user${at}`, "right"]));
    const isSlow = { waitFor: () => sleep(5_000), reply: "{tag} NO [AUTHENTICATIONFAILED] no" };
    server = await listenImap({ users, overrides: [{ on: "login", match: /^victim$/, ...isSlow }] });
    const host = {
      address: server.address,
      port: server.port,
      protocol: "imap",
      lookup: true,
      concurrency: 10,
      tls: { implicit: false, starttls: "disable" },
      auth: { "allow-plaintext": true },
      cache: { entries: 0 },
    } as const;
    remotes = await RemoteHosts.open({ remote: { imap: host } }, { logger: pino({ level: "silent" }) });
  });

  after(async () => {
    await remotes?.close({ drainMs: 0 });
    await server?.close();
  });

  test("others have their answers before one of the guesses has its own", async () => {
    const host = remotes.host("imap");
    const stop = new AbortController();
    let answered = 0;
    const storm = Array.from({ length: 60 }, (_, at) =>
      host
        .authenticate({ username: "victim", secret: `bad${at}` }, { signal: stop.signal })
        .then(() => answered++)
        .catch(() => {}),
    );
    await server.ledger.until(() => server.ledger.connections.length >= 5);
    const startMs = performance.now();
    for (let user = 0; user < 30; user++) {
      const { found } = await host.authenticate({ username: `user${user}`, secret: "right" }, { timeoutMs: 1_000 });
      assert.ok(found, "within a second each, or it would have failed");
    }
    assert.ok(server.peak <= 10);
    assert.ok(answered === 0 || performance.now() - startMs > 4_000, "the guesses were still under way");
    stop.abort();
    await Promise.all(storm);
  });
});
