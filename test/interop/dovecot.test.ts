/** Relays and lookups against a real Dovecot: LMTP, and logins by IMAP with each mechanism that it offers. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { RelaypostError, RemoteHosts } from "../../src/index.js";
import { Dovecot, MECHANISMS, TOKEN } from "./kit/dovecot.js";
import { countingGate, MESSAGES, openHosts, verdictOf, writeAuthority } from "./kit/hosts.js";
import { ACCOUNTS, addressOf, hasIpv6, reasonToSkip } from "./kit/sandbox.js";

const skip = reasonToSkip("dovecot");

describe("Dovecot", { skip }, () => {
  let dovecot: Dovecot;
  let hosts: RemoteHosts;
  let ca: string;

  before(async () => {
    dovecot = await Dovecot.start();
    ca = writeAuthority(dovecot.folder, dovecot.ca);
    const { lmtp, lmtps, imap, imaps } = dovecot.ports;
    const address = "127.0.0.1";
    hosts = await openHosts({
      lmtp: { address, port: lmtp, protocol: "lmtp", tls: { implicit: false, ca } },
      lmtps: { address, port: lmtps, protocol: "lmtp", tls: { ca } },
      "lmtp-plain": { address, port: lmtp, protocol: "lmtp", tls: { implicit: false, starttls: "disable" } },
      "lmtp-one-by-one": {
        address,
        port: lmtp,
        protocol: "lmtp",
        tls: { implicit: false, ca },
        limits: { pipeline: 1 },
      },
      "lmtp-by-name": { address: "localhost", port: lmtp, protocol: "lmtp", tls: { implicit: false, ca } },
      "lmtp-untrusted": { address, port: lmtp, protocol: "lmtp", tls: { implicit: false } },
      "lmtps-untrusted": { address, port: lmtps, protocol: "lmtp" },
      "lmtp-unchecked": {
        address,
        port: lmtp,
        protocol: "lmtp",
        tls: { implicit: false, "allow-invalid-certs": true },
      },
      "lmtp-v6": { address: "::1", port: lmtp, protocol: "lmtp", tls: { implicit: false, ca } },
      "lmtp-socket": { address: `unix:${dovecot.folder}/lmtp`, protocol: "lmtp" },
      "imap-socket": { address: `unix:${dovecot.folder}/imap`, protocol: "imap" },
      imap: { address, port: imap, protocol: "imap", tls: { implicit: false, ca } },
      imaps: { address, port: imaps, protocol: "imap", tls: { ca } },
      "imap-plain": { address, port: imap, protocol: "imap", tls: { implicit: false, starttls: "disable" } },
      "imap-untrusted": { address, port: imap, protocol: "imap", tls: { implicit: false } },
    });
  });

  after(async () => {
    await hosts?.close({ drainMs: 0 });
    await dovecot?.stop();
  });

  for (const [index, [name, content]] of Object.entries(MESSAGES).entries()) {
    for (const id of ["lmtp", "lmtps", "lmtp-plain", "lmtp-one-by-one", "lmtp-socket"]) {
      test(`${name} arrives octet for octet (${id})`, async () => {
        // A mailbox of its own for each case.
        const user = `user${index}`;
        const before = dovecot.mailbox(user).length;
        const result = await hosts.host(id).relay({ from: "me@elsewhere.example", to: addressOf(user) }, content);
        assert.deepEqual(
          result.recipients.map(({ status }) => status),
          ["delivered"],
        );
        const mailbox = dovecot.mailbox(user);
        assert.equal(mailbox.length, before + 1);
        for (const stored of mailbox) {
          assert.ok(stored.subarray(-content.length).equals(content), "the stored message ends with the content");
        }
      });
    }
  }

  test("one message to many recipients, duplicates and one unknown among them", async () => {
    const users = Array.from({ length: 20 }, (_, at) => `user${at + 15}`);
    const to = [...users, "nobody", ...users.slice(0, 3)].map(addressOf);
    const result = await hosts.host("lmtp").relay({ from: "", to }, "Subject: all\r\n\r\nx\r\n");
    assert.deepEqual(
      result.recipients.map(({ address }) => address),
      to,
    );
    assert.deepEqual(
      result.recipients.map(({ status }) => status),
      to.map((address) => (address === addressOf("nobody") ? "refused" : "delivered")),
    );
    assert.equal(result.recipients[20]!.reply?.enhanced, "5.1.1");
    // Dovecot answers for each duplicate and stores the message once.
    for (const user of users) {
      assert.equal(dovecot.mailbox(user).length, 1, user);
    }
  });

  test("verifyRecipient: known, unknown, and again on the same connection", async () => {
    for (const id of ["lmtp", "lmtps", "lmtp-plain", "lmtp-socket"]) {
      const host = hosts.host(id);
      const answers = await Promise.all(
        ["ann", "nobody", "bob", "nowhere", "user1"].map((user) => verdictOf(host.verifyRecipient(addressOf(user)))),
      );
      assert.deepEqual(answers, ["found", "not found", "found", "not found", "found"]);
    }
  });

  test("VRFY says 252 and EXPN is not known: errors, and not the verdict that nobody was found", async () => {
    const codeOf = (request: Promise<unknown>) =>
      request.then(
        () => "an answer",
        (error: RelaypostError) => `${error.code} ${error.reply?.code}`,
      );
    const host = hosts.host("lmtp");
    assert.equal(await codeOf(host.verify("ann")), "REPLY_PERMANENT 252");
    // Dovecot takes the grammar at its word, which has no place for a bare "@" (RFC 5321 4.1.1.6).
    assert.equal(await codeOf(host.verify(addressOf("ann"))), "REPLY_PERMANENT 501");
    assert.equal(await codeOf(host.expand("staff")), "NOT_SUPPORTED 500");
  });

  test("AUTH is not offered by LMTP: an error, and no verdict on the password", async () => {
    assert.equal(await verdictOf(hosts.host("lmtp").authenticate({ username: "ann", secret: "x" })), "MISSING_AUTH");
  });

  test("a certificate of an unknown authority is refused, and may be allowed", async () => {
    for (const id of ["lmtp-untrusted", "lmtps-untrusted", "imap-untrusted"]) {
      const host = hosts.host(id);
      const request =
        host.protocol === "imap"
          ? host.authenticate({ username: "ann", secret: "x" })
          : host.verifyRecipient(addressOf("ann"));
      assert.equal(await verdictOf(request), "TLS_FAILED", id);
    }
    assert.equal(await verdictOf(hosts.host("lmtp-unchecked").verifyRecipient(addressOf("ann"))), "found");
    assert.equal(await verdictOf(hosts.host("lmtp-by-name").verifyRecipient(addressOf("ann"))), "found");
  });

  test("IPv6", async (t) => {
    if (!(await hasIpv6())) {
      return t.skip("no ::1 here");
    }
    assert.equal(await verdictOf(hosts.host("lmtp-v6").verifyRecipient(addressOf("ann"))), "found");
  });

  test("concurrency is never exceeded", async () => {
    await using gate = await countingGate(dovecot.ports.lmtp);
    await using narrow = await openHosts({
      lmtp: { address: "127.0.0.1", port: gate.port, protocol: "lmtp", concurrency: 3, tls: { implicit: false, ca } },
    });
    const host = narrow.host("lmtp");
    const relays = Array.from({ length: 60 }, (_, at) =>
      host.relay({ from: "", to: addressOf("user39") }, `Subject: ${at}\r\n\r\nx\r\n`),
    );
    const lookups = Array.from({ length: 60 }, (_, at) => host.verifyRecipient(addressOf(`user${at}`)));
    const results = await Promise.all(relays);
    const answers = await Promise.all(lookups);
    assert.ok(results.every(({ recipients }) => recipients[0]!.status === "delivered"));
    assert.deepEqual(
      answers.map(({ found }) => found),
      Array.from({ length: 60 }, (_, at) => at < 40),
    );
    assert.equal(dovecot.mailbox("user39").length, 60);
    assert.ok(gate.accepted > 3, "connections were used up and replaced");
    assert.equal(gate.peak, 3);
  });

  test("IMAP logins, right and wrong, STARTTLS and implicit", async () => {
    for (const id of ["imap", "imaps", "imap-plain", "imap-socket"]) {
      const host = hosts.host(id);
      for (const [username, secret] of Object.entries(ACCOUNTS)) {
        assert.equal(await verdictOf(host.authenticate({ username, secret })), "found", `${username} at ${id}`);
        assert.equal(
          await verdictOf(host.authenticate({ username, secret: `${secret}x` })),
          "not found",
          `${username} at ${id}`,
        );
      }
      assert.equal(await verdictOf(host.authenticate({ username: "nobody", secret: "x" })), "not found");
    }
  });

  test("access tokens, right and wrong", async () => {
    for (const id of ["imap", "imaps"]) {
      assert.equal(await verdictOf(hosts.host(id).authenticate(TOKEN)), "found", id);
      assert.equal(
        await verdictOf(hosts.host(id).authenticate({ ...TOKEN, accessToken: "ya29.wrong" })),
        "not found",
        id,
      );
    }
  });
});

for (const mechanism of MECHANISMS) {
  test(`Dovecot that offers ${mechanism} and nothing else`, { skip }, async () => {
    await using dovecot = await Dovecot.start({ mechanisms: [mechanism] });
    const ca = writeAuthority(dovecot.folder, dovecot.ca);
    await using hosts = await openHosts({
      imap: { address: "127.0.0.1", port: dovecot.ports.imap, protocol: "imap", tls: { implicit: false, ca } },
    });
    const host = hosts.host("imap");
    const isForTokens = mechanism === "XOAUTH2" || mechanism === "OAUTHBEARER";
    const right = isForTokens ? [TOKEN] : Object.entries(ACCOUNTS).map(([username, secret]) => ({ username, secret }));
    const wrong = isForTokens ? { ...TOKEN, accessToken: "wrong" } : { username: "ann", secret: "wrong" };
    for (const credentials of right) {
      assert.equal(await verdictOf(host.authenticate(credentials)), "found", credentials.username);
    }
    assert.equal(await verdictOf(host.authenticate(wrong)), "not found");
    assert.match(dovecot.log, new RegExp(`method=${mechanism},`));
  });
}
