/** Hosts that cannot be reached at all: black holes and closed ports, and what the next request finds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { type ConfigInput, RemoteHosts } from "../../src/index.js";
import { listenImap, listenMail, SynBlackHole } from "../../src/testing/index.js";
import { login, outcomeOf, relayToOne, USER } from "./kit/ground.js";

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
