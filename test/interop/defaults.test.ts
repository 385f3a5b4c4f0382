/** A Dovecot and a Postfix whose limits on failing clients are as their packages have them: what they delay and cut is not taken for an answer. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { RemoteHosts } from "../../src/index.js";
import { Dovecot } from "./kit/dovecot.js";
import { openHosts, verdictOf } from "./kit/hosts.js";
import { Postfix } from "./kit/postfix.js";
import { ACCOUNTS, addressOf, reasonToSkip } from "./kit/sandbox.js";

describe("servers with their own limits", { skip: reasonToSkip("dovecot", "postfix") }, () => {
  let dovecot: Dovecot;
  let postfix: Postfix;
  let hosts: RemoteHosts;

  before(async () => {
    dovecot = await Dovecot.start({ isTuned: false });
    postfix = await Postfix.start(dovecot, { isTuned: false });
    const local = { address: "127.0.0.1", tls: { implicit: false, starttls: "disable" } } as const;
    const inClear = { auth: { "allow-plaintext": true } };
    hosts = await openHosts({
      imap: { ...local, ...inClear, port: dovecot.ports.imap, protocol: "imap" },
      lmtp: { ...local, port: dovecot.ports.lmtp, protocol: "lmtp" },
      smtp: { ...local, port: postfix.ports.smtp, protocol: "smtp" },
    });
  });

  after(async () => {
    await hosts?.close({ drainMs: 0 });
    await postfix?.stop();
    await dovecot?.stop();
  });

  test("Dovecot: wrong passwords are wrong, and right ones of the same user right, however long they take", async () => {
    const host = hosts.host("imap");
    const ask = (secret: string) => verdictOf(host.authenticate({ username: "bob", secret }));
    const wrong = await Promise.all(["a", "b", "c", "d"].map(ask));
    assert.deepEqual(wrong, ["not found", "not found", "not found", "not found"]);
    assert.equal(await ask(ACCOUNTS.bob!), "found");
  });

  test("Postfix: more unknown recipients than it bears on a connection each have their verdict", async () => {
    const host = hosts.host("smtp");
    const names = Array.from({ length: 40 }, (_, at) => (at % 4 === 0 ? "ann" : `nobody${at}`));
    const verdicts = await Promise.all(names.map((name) => verdictOf(host.verifyRecipient(addressOf(name)))));
    assert.deepEqual(
      verdicts,
      names.map((name) => (name === "ann" ? "found" : "not found")),
    );
  });

  for (const id of ["smtp", "lmtp"]) {
    test(`messages arrive (${id})`, async () => {
      const results = await Promise.all(
        Array.from({ length: 20 }, () =>
          hosts.host(id).relay({ from: "me@elsewhere.example", to: addressOf("user3") }, "Subject: hi\r\n\r\nhi\r\n"),
        ),
      );
      assert.ok(results.every(({ recipients }) => recipients[0]!.status === "delivered"));
    });
  }
});
