/** The whole house on loopback with a host that accepts everybody in one domain, and knows its recipients in another. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Logger, pino } from "pino";
import { type HostInput, RemoteHosts } from "../../src/index.js";
import { collectMetrics } from "../../src/metrics.js";
import { listenMail, type StrictServer } from "../../src/testing/index.js";
import { closeAfterEach } from "./kit/closing.js";

const [ANNA, ANY] = ["anna@known.example", "any@all.example"] as const;

const closing = closeAfterEach();

async function openHouse(lookups: HostInput["lookups"]) {
  const recipients = (address: string): boolean => address === ANNA || address.endsWith("@all.example");
  const server = await listenMail({ protocol: "lmtp", recipients });
  closing.push(() => server.close());
  const { address, port } = server;
  const tls = { implicit: false, starttls: "disable" } as const;
  const store: HostInput = { address, port, protocol: "lmtp", lookup: true, tls, ...(lookups ? { lookups } : {}) };
  const { logger, event } = watchedLog();
  const remotes = await RemoteHosts.open({ remote: { store } }, { logger });
  closing.push(() => remotes.close({ drainMs: 0 }));
  return { server, remotes, host: remotes.host("store"), event };
}

/** A log, and a promise of its record that a domain accepts everybody. */
function watchedLog(): { logger: Logger; event: Promise<string> } {
  let seen!: (line: string) => void;
  const event = new Promise<string>((resolve) => {
    seen = resolve;
  });
  const write = (line: string): void => (line.includes('"accepts-all"') ? seen(line) : undefined);
  return { logger: pino({ level: "info" }, { write }), event };
}

function randomAsked(server: StrictServer): string[] {
  return server.ledger.commands.filter((line) => /^RCPT TO:<relaypost[0-9a-f]{24}@/.test(line));
}

/** The stats, once the host was asked for so many random recipients. Each look goes to the worker and back, as the probes do. */
async function statsAfter(remotes: RemoteHosts, asked: number) {
  for (;;) {
    const { catchAll } = (await remotes.stats()).hosts.store!;
    if (catchAll.asked >= asked) {
      return catchAll;
    }
  }
}

describe("a host that is to be found out", () => {
  test("says how sure its answers are, for one random recipient of each domain", async () => {
    const { server, remotes, host, event } = await openHouse({ "catch-all": "detect" });
    assert.equal((await host.verifyRecipient(ANNA)).certainty, "unknown");
    assert.equal((await host.verifyRecipient(ANY)).certainty, "unknown");
    assert.deepEqual(await statsAfter(remotes, 2), { asked: 2, verified: 1, acceptsAll: 1 });
    assert.match(await event, /"domain":"all\.example"/);
    for (let times = 0; times < 4; times++) {
      assert.equal((await host.verifyRecipient(ANNA)).certainty, "verified");
      assert.equal((await host.verifyRecipient(ANY)).certainty, "accepts-all");
      assert.equal((await host.verifyRecipient(`other${times}@all.example`)).certainty, "accepts-all");
    }
    assert.equal((await host.verifyRecipient("eve@known.example")).certainty, "verified");
    assert.equal(randomAsked(server).length, 2);
    assert.equal(await remotes.inList("remote/store", ANY), true);
    const text = await collectMetrics(remotes);
    assert.match(text, /relaypost_domains\{host="store",certainty="accepts-all"\} 1\n/);
    assert.match(text, /relaypost_random_recipients_total\{host="store"\} 2\n/);
  });

  test("gives no answer to lists and adapters where that is wanted of a host that accepts everybody", async () => {
    const { remotes, host } = await openHouse({ "catch-all": "detect", "accepts-all": "no-answer" });
    await host.checkRecipient(ANNA);
    await host.checkRecipient(ANY);
    await statsAfter(remotes, 2);
    const refusal = { code: "ACCEPTS_ALL", hostId: "store", retryable: false };
    await assert.rejects(host.checkRecipient(ANY), refusal);
    await assert.rejects(remotes.inList("remote/store", ANY), refusal);
    assert.equal(await remotes.inList("remote/store", ANNA), true);
    assert.equal((await host.verifyRecipient(ANY)).found, true);
  });
});

describe("any other host", () => {
  test("is asked for nobody but whom callers ask for", async () => {
    const { server, remotes, host } = await openHouse(undefined);
    for (let times = 0; times < 4; times++) {
      assert.equal((await host.verifyRecipient(ANY)).certainty, "unknown");
    }
    assert.equal((await host.checkRecipient(ANY)).found, true);
    assert.deepEqual(randomAsked(server), []);
    assert.deepEqual((await remotes.stats()).hosts.store!.catchAll, { asked: 0, verified: 0, acceptsAll: 0 });
  });
});
