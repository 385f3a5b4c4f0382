/** A real Dovecot and a real Postfix that are stopped: they take connections and say nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { RemoteHosts } from "../../src/index.js";
import { Dovecot } from "./kit/dovecot.js";
import { openHosts, verdictOf } from "./kit/hosts.js";
import { Postfix } from "./kit/postfix.js";
import { ACCOUNTS, addressOf, reasonToSkip } from "./kit/sandbox.js";

const ANN = { username: "ann", secret: ACCOUNTS.ann! };
const PLAIN = { address: "127.0.0.1", tls: { implicit: false, starttls: "disable" } } as const;

async function stateOf(hosts: RemoteHosts, id: string): Promise<string> {
  return (await hosts.stats()).hosts[id]!.state;
}

/** There is no event for it but the log's. */
async function untilUp(hosts: RemoteHosts, id: string): Promise<void> {
  while ((await stateOf(hosts, id)) !== "up") {
    await pause(50);
  }
}

test("a Dovecot that is stopped is down, and is served again when it goes on", {
  skip: reasonToSkip("dovecot"),
}, async () => {
  await using dovecot = await Dovecot.start();
  await using hosts = await openHosts({
    imap: { ...PLAIN, port: dovecot.ports.imap, protocol: "imap", timeouts: { lookup: "2s" } },
  });
  const host = hosts.host("imap");
  assert.equal(await verdictOf(host.authenticate(ANN)), "found");
  dovecot.signal("SIGSTOP");
  try {
    assert.notEqual(await verdictOf(host.authenticate(ANN)), "found", "it ends by timeouts.lookup, and has no answer");
    // Refused at once: such an answer needs no time of the host's, which would give none.
    assert.equal(await verdictOf(host.authenticate(ANN)), "HOST_UNAVAILABLE");
    assert.equal(await stateOf(hosts, "imap"), "down");
  } finally {
    dovecot.signal("SIGCONT");
  }
  await untilUp(hosts, "imap");
  assert.equal(await verdictOf(host.authenticate(ANN)), "found");
});

test("a Postfix that is stopped in the middle of a message is down, refuses nobody, and is served again when it goes on", {
  skip: reasonToSkip("postfix", "dovecot"),
}, async () => {
  await using dovecot = await Dovecot.start();
  await using postfix = await Postfix.start(dovecot);
  await using hosts = await openHosts({
    smtp: { ...PLAIN, port: postfix.ports.smtp, protocol: "smtp", timeouts: { lookup: "2s" } },
  });
  const host = hosts.host("smtp");
  const envelope = { from: "me@else.test", to: addressOf("ann") };
  assert.equal(await verdictOf(host.verifyRecipient(addressOf("bob"))), "found");

  // Its second half comes when nobody reads any more.
  async function* content() {
    yield Buffer.from("Subject: half\r\n\r\nfirst\r\n");
    postfix.signal("SIGSTOP");
    yield Buffer.from("second\r\n");
  }
  const half = host.relay(envelope, content(), { timeoutMs: 4_000 }).then(
    ({ recipients }) => recipients[0]!.status,
    () => "rejected",
  );
  let fate: string;
  try {
    fate = await half;
    assert.ok(fate === "uncertain" || fate === "rejected", fate);
    while ((await stateOf(hosts, "smtp")) === "up") {
      const verdict = await verdictOf(host.verifyRecipient(addressOf("nobody")));
      assert.ok(verdict !== "found" && verdict !== "not found", `it said nothing, and not ${verdict}`);
    }
    assert.equal(await stateOf(hosts, "smtp"), "down");
    assert.equal(await verdictOf(host.verifyRecipient(addressOf("bob"))), "HOST_UNAVAILABLE");
    await assert.rejects(host.relay(envelope, "x\r\n"), { code: "HOST_UNAVAILABLE" });
  } finally {
    postfix.signal("SIGCONT");
  }
  await untilUp(hosts, "smtp");
  assert.equal(await verdictOf(host.verifyRecipient(addressOf("bob"))), "found");
  assert.equal(await verdictOf(host.verifyRecipient(addressOf("nobody"))), "not found");
  const { recipients } = await host.relay(envelope, "Subject: after\r\n\r\nx\r\n");
  assert.equal(recipients[0]!.status, "delivered");
  const subjects = async (subject: string) => dovecot.mailbox("ann").filter((mail) => mail.includes(subject)).length;
  while ((await subjects("Subject: after")) === 0) {
    await pause(50);
  }
  // What was rejected reached nobody; nothing comes twice, and the refused relay not at all.
  assert.ok((await subjects("Subject: half")) <= (fate === "uncertain" ? 1 : 0));
  assert.equal(dovecot.mailbox("ann").length, 1 + (await subjects("Subject: half")));
});
