/** Relays and lookups against a real Postfix, which delivers into a real Dovecot. */
import assert from "node:assert/strict";
import { watch } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { RelaypostError, RemoteHosts } from "../../src/index.js";
import { Dovecot, MECHANISMS, TOKEN } from "./kit/dovecot.js";
import { countingGate, MESSAGES, openHosts, verdictOf, writeAuthority } from "./kit/hosts.js";
import { Postfix } from "./kit/postfix.js";
import { ACCOUNTS, addressOf, hasIpv6, reasonToSkip } from "./kit/sandbox.js";

const skip = reasonToSkip("postfix", "dovecot");

describe("Postfix", { skip }, () => {
  let dovecot: Dovecot;
  let postfix: Postfix;
  let hosts: RemoteHosts;
  let ca: string;

  before(async () => {
    dovecot = await Dovecot.start();
    postfix = await Postfix.start(dovecot);
    ca = writeAuthority(postfix.folder, postfix.ca);
    const { smtp, smtps } = postfix.ports;
    const address = "127.0.0.1";
    hosts = await openHosts({
      smtp: { address, port: smtp, protocol: "smtp", tls: { implicit: false, ca } },
      smtps: { address, port: smtps, protocol: "smtp", tls: { ca } },
      plain: { address, port: smtp, protocol: "smtp", tls: { implicit: false, starttls: "disable" } },
      "one-by-one": { address, port: smtp, protocol: "smtp", tls: { implicit: false, ca }, limits: { pipeline: 1 } },
      account: {
        address,
        port: smtp,
        protocol: "smtp",
        tls: { implicit: false, ca },
        auth: { username: "ann", secret: ACCOUNTS.ann! },
      },
      "wrong-account": {
        address,
        port: smtp,
        protocol: "smtp",
        tls: { implicit: false, ca },
        auth: { username: "ann", secret: "wrong" },
      },
      untrusted: { address, port: smtp, protocol: "smtp", tls: { implicit: false } },
      "untrusted-smtps": { address, port: smtps, protocol: "smtp" },
      unchecked: { address, port: smtps, protocol: "smtp", tls: { "allow-invalid-certs": true } },
      v6: { address: "::1", port: smtp, protocol: "smtp", tls: { implicit: false, ca } },
    });
  });

  after(async () => {
    await hosts?.close({ drainMs: 0 });
    await postfix?.stop();
    await dovecot?.stop();
  });

  for (const [index, [name, content]] of Object.entries(MESSAGES).entries()) {
    for (const [at, id] of ["smtp", "smtps", "plain", "one-by-one"].entries()) {
      test(`${name} arrives octet for octet (${id})`, async () => {
        const user = `user${at * 7 + index}`;
        const result = await hosts.host(id).relay({ from: "me@elsewhere.example", to: addressOf(user) }, content);
        assert.deepEqual(
          result.recipients.map(({ status }) => status),
          ["delivered"],
        );
        await untilStored(dovecot, user, 1);
        const [stored] = dovecot.mailbox(user);
        assert.ok(stored!.subarray(-content.length).equals(content), "the stored message ends with the content");
      });
    }
  }

  test("one message to many recipients, one unknown among them", async () => {
    const users = ["user28", "user29", "nobody", "user30"];
    const result = await hosts.host("smtp").relay({ from: "", to: users.map(addressOf) }, "Subject: all\r\n\r\nx\r\n");
    assert.deepEqual(
      result.recipients.map(({ status }) => status),
      ["delivered", "delivered", "refused", "delivered"],
    );
    assert.equal(result.recipients[2]!.reply?.enhanced, "5.1.1");
    for (const user of ["user28", "user29", "user30"]) {
      await untilStored(dovecot, user, 1);
    }
  });

  test("verifyRecipient: known and unknown", async () => {
    for (const id of ["smtp", "smtps", "plain", "one-by-one", "account"]) {
      const users = ["ann", "nobody", "bob", "nowhere", "user1"];
      const answers = await Promise.all(
        users.map((user) => verdictOf(hosts.host(id).verifyRecipient(addressOf(user)))),
      );
      assert.deepEqual(answers, ["found", "not found", "found", "not found", "found"], id);
    }
  });

  test("VRFY: 252 is no answer, 550 is; EXPN is not known", async () => {
    const host = hosts.host("smtp");
    const codeOf = (request: Promise<unknown>) =>
      request.then(
        () => "an answer",
        (error: RelaypostError) => `${error.code} ${error.reply?.code}`,
      );
    assert.equal(await codeOf(host.verify(addressOf("ann"))), "REPLY_PERMANENT 252");
    assert.equal(await verdictOf(host.verify(addressOf("nobody"))), "not found");
    assert.equal(await codeOf(host.expand("staff")), "NOT_SUPPORTED 500");
  });

  test("SMTP AUTH, right and wrong, for users and for the connection itself", async () => {
    for (const id of ["smtp", "smtps"]) {
      const host = hosts.host(id);
      for (const [username, secret] of Object.entries(ACCOUNTS)) {
        assert.equal(await verdictOf(host.authenticate({ username, secret })), "found", `${username} at ${id}`);
        const wrong = { username, secret: `${secret}x` };
        assert.equal(await verdictOf(host.authenticate(wrong)), "not found", `${username} at ${id}`);
      }
      assert.equal(await verdictOf(host.authenticate({ username: "nobody", secret: "x" })), "not found");
      assert.equal(await verdictOf(host.authenticate(TOKEN)), "found");
      assert.equal(await verdictOf(host.authenticate({ ...TOKEN, accessToken: "wrong" })), "not found");
    }
    assert.equal(await verdictOf(hosts.host("wrong-account").verifyRecipient(addressOf("ann"))), "AUTH_FAILED");
  });

  test("a certificate of an unknown authority is refused, and may be allowed", async () => {
    for (const id of ["untrusted", "untrusted-smtps"]) {
      assert.equal(await verdictOf(hosts.host(id).verifyRecipient(addressOf("ann"))), "TLS_FAILED", id);
    }
    assert.equal(await verdictOf(hosts.host("unchecked").verifyRecipient(addressOf("ann"))), "found");
  });

  test("IPv6", async (t) => {
    if (!(await hasIpv6())) {
      return t.skip("no ::1 here");
    }
    assert.equal(await verdictOf(hosts.host("v6").verifyRecipient(addressOf("ann"))), "found");
  });

  test("concurrency is never exceeded", async () => {
    await using gate = await countingGate(postfix.ports.smtp);
    await using narrow = await openHosts({
      smtp: { address: "127.0.0.1", port: gate.port, protocol: "smtp", concurrency: 3, tls: { implicit: false, ca } },
    });
    const host = narrow.host("smtp");
    const logins = Array.from({ length: 10 }, () => host.authenticate({ username: "ann", secret: ACCOUNTS.ann! }));
    const relays = Array.from({ length: 60 }, (_, at) =>
      host.relay({ from: "", to: addressOf("user39") }, `Subject: ${at}\r\n\r\nx\r\n`),
    );
    const lookups = Array.from({ length: 60 }, (_, at) => host.verifyRecipient(addressOf(`user${at}`)));
    const results = await Promise.all(relays);
    const answers = await Promise.all([...lookups, ...logins]);
    assert.ok(results.every(({ recipients }) => recipients[0]!.status === "delivered"));
    assert.deepEqual(
      answers.map(({ found }) => found),
      Array.from({ length: 70 }, (_, at) => at < 40 || at >= 60),
    );
    assert.equal(gate.peak, 3);
    await untilStored(dovecot, "user39", 60);
  });
});

for (const mechanism of MECHANISMS) {
  test(`Postfix that offers ${mechanism} and nothing else`, { skip }, async () => {
    await using dovecot = await Dovecot.start({ mechanisms: [mechanism] });
    await using postfix = await Postfix.start(dovecot);
    const ca = writeAuthority(postfix.folder, postfix.ca);
    const server = {
      address: "127.0.0.1",
      port: postfix.ports.smtp,
      protocol: "smtp",
      tls: { implicit: false, ca },
    } as const;
    const isForTokens = mechanism === "XOAUTH2" || mechanism === "OAUTHBEARER";
    await using hosts = await openHosts({
      smtp: server,
      account: { ...server, auth: { username: "bob", secret: ACCOUNTS.bob! } },
    });
    const right = isForTokens ? [TOKEN] : Object.entries(ACCOUNTS).map(([username, secret]) => ({ username, secret }));
    const wrong = isForTokens ? { ...TOKEN, accessToken: "wrong" } : { username: "ann", secret: "wrong" };
    const host = hosts.host("smtp");
    for (const credentials of right) {
      assert.equal(await verdictOf(host.authenticate(credentials)), "found", credentials.username);
    }
    assert.equal(await verdictOf(host.authenticate(wrong)), "not found");
    const own = await verdictOf(hosts.host("account").verifyRecipient(addressOf("ann")));
    assert.equal(own, isForTokens ? "MISSING_AUTH" : "found");
  });
}

/** Resolves when so many messages are in somebody's Maildir: Postfix delivers after it has answered. */
async function untilStored(dovecot: Dovecot, user: string, count: number): Promise<void> {
  if (dovecot.mailbox(user).length >= count) {
    return;
  }
  const controller = new AbortController();
  const watcher = watch(dovecot.folder, { recursive: true, signal: controller.signal });
  const timer = setTimeout(() => controller.abort(), 20_000);
  await new Promise<void>((resolve, reject) => {
    const look = () => {
      if (dovecot.mailbox(user).length >= count) {
        resolve();
      }
    };
    watcher.on("change", look);
    watcher.on("close", () => reject(new Error(`${user} did not get ${count} messages`)));
    look();
  }).finally(() => {
    clearTimeout(timer);
    controller.abort();
  });
}
