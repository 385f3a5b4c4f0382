/** Hosts that cannot be reached at all: black holes and closed ports, and what the next request finds. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pino } from "pino";
import { loadSettings } from "../../src/config/load.js";
import { type ConfigInput, RemoteHosts } from "../../src/index.js";
import { type Certificate, listenImap, listenMail, makeCertificate, SynBlackHole } from "../../src/testing/index.js";
import { login, outcomeOf, relayToOne, USER } from "./kit/ground.js";
import { LIVE } from "./kit/two-addresses-worker.js";

const open = (remote: NonNullable<ConfigInput["remote"]>) =>
  RemoteHosts.open({ remote, runtime: { threads: 1 } }, { logger: pino({ level: "silent" }) });

test("a host that swallows connection attempts is given up after `timeout`", async () => {
  await using hole = await SynBlackHole.open();
  const where = { address: hole.address, port: hole.port, timeout: "300ms", lookup: true };
  await using hosts = await open({
    smtp: { ...where, protocol: "smtp" },
    lmtp: { ...where, protocol: "lmtp", tls: { implicit: false } },
    imap: { ...where, protocol: "imap", tls: { implicit: false, starttls: "disable" } },
  });
  const asked = [relayToOne(hosts.host("smtp")), relayToOne(hosts.host("lmtp")), login(hosts.host("imap"))];
  for (const { word } of await Promise.all(asked.map(outcomeOf))) {
    assert.equal(word, "CONNECT_TIMEOUT");
  }
});

const SECURED = {
  "in plain text": { listen: () => ({}), tls: { implicit: false, starttls: "disable" } },
  "with STARTTLS": { listen: (startTls: Certificate) => ({ startTls }), tls: { implicit: false } },
  "with implicit TLS": { listen: (implicitTls: Certificate) => ({ implicitTls }), tls: { implicit: true } },
} as const;

// One address after the other, this would take half of `timeout`.
describe("a host whose first address is a black hole is reached by its second one", { timeout: 60_000 }, () => {
  for (const [how, { listen, tls }] of Object.entries(SECURED)) {
    test(how, { timeout: 20_000 }, async () => {
      await using hole = await SynBlackHole.open();
      const certificate = await makeCertificate();
      await using server = await listenMail({ address: LIVE, port: hole.port, ...listen(certificate) });
      const settings = await loadSettings({
        remote: {
          smtp: {
            address: "two.example",
            port: hole.port,
            protocol: "smtp",
            concurrency: 1,
            timeout: "60s",
            tls: { "allow-invalid-certs": true, ...tls },
          },
        },
      });
      const logger = pino({ level: "silent" });
      const entry = new URL("./kit/two-addresses-worker.js", import.meta.url);
      await using hosts = await RemoteHosts.start(settings, { logger }, entry);
      const outcomes = await Promise.all([1, 2].map(() => outcomeOf(relayToOne(hosts.host("smtp")))));
      assert.deepEqual(
        outcomes.map(({ word }) => word),
        ["delivered", "delivered"],
      );
      const { opened, connectFailures } = (await hosts.stats()).hosts.smtp!;
      assert.deepEqual([opened, connectFailures], [1, 0], "the race was one connection");
      assert.deepEqual(server.ledger.connections.length, 1);
      const [connection] = await hosts.host("smtp").connections();
      assert.equal(connection?.address, LIVE);
    });
  }
});

test("a closed port is an error at once, and the host is served again when it is back", async () => {
  await using mail = await listenMail();
  await using imap = await listenImap({ users: { [USER.username]: USER.secret } });
  const tls = { implicit: false, starttls: "disable" } as const;
  await using hosts = await open({
    smtp: { address: mail.address, port: mail.port, protocol: "smtp", tls },
    imap: {
      address: imap.address,
      port: imap.port,
      protocol: "imap",
      tls,
      lookup: true,
      auth: { "allow-plaintext": true },
    },
  });
  mail.refuse();
  imap.refuse();
  assert.equal((await outcomeOf(relayToOne(hosts.host("smtp")))).word, "CONNECT_FAILED");
  assert.equal((await outcomeOf(login(hosts.host("imap")))).word, "CONNECT_FAILED");
  await mail.accept();
  await imap.accept();
  assert.equal((await outcomeOf(relayToOne(hosts.host("smtp")))).word, "delivered");
  assert.equal((await outcomeOf(login(hosts.host("imap")))).word, "found");
});
