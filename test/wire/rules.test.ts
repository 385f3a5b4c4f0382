/** Rules whose remote lists are hosts of the same configuration file, on a server on loopback. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type RelaypostError, RemoteHosts, RuleSet } from "../../src/index.js";
import { listenMail } from "../../src/testing/index.js";

describe("rules with a remote host", { timeout: 30_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), "relaypost-rules-"));
  const file = join(directory, "gateway.toml");
  let server: Awaited<ReturnType<typeof listenMail>>;
  let remotes: RemoteHosts;
  let rules: RuleSet;

  before(async () => {
    server = await listenMail({
      protocol: "lmtp",
      recipients: ["bill@example.org"],
      overrides: [{ on: "RCPT", match: /later@/, reply: "450 4.2.1 later" }],
    });
    writeFileSync(
      file,
      `
      [remote.lmtp]
      address = "${server.address}"
      port = ${server.port}
      protocol = "lmtp"
      lookup = true
      tls = { implicit = false, starttls = "disable" }

      [remote.imap]
      address = "${server.address}"
      port = ${server.port}
      protocol = "imap"

      [list]
      domains = "example.org"

      [rule.known]
      all-of = [ { if = "rcpt", in-list = "remote/lmtp" }, { if = "rcpt-domain", in-list = "list/domains" } ]

      [rule.misled]
      if = "rcpt"
      in-list = "remote/imap"

      [session.rcpt]
      relay = [ { if = "known", then = "mailbox" }, { if = "authenticated-as", ne = "", then = "relay" }, { else = "refuse" } ]
      `,
    );
    remotes = await RemoteHosts.open(file);
    rules = await RuleSet.open(file, remotes);
  });

  after(async () => {
    await remotes?.close();
    await server?.close();
    rmSync(directory, { recursive: true });
  });

  it("ask it who is known, and decide without it where they can", async () => {
    assert.equal(await rules.test("known", { rcpt: "bill@example.org" }), true);
    assert.equal(await rules.test("known", { rcpt: "jane@example.org" }), false);
    assert.equal(await rules.value("session.rcpt.relay", { rcpt: "bill@example.org" }), "mailbox");
    const before = server.ledger.connections.flatMap(({ commands }) => commands).length;
    assert.equal(await rules.value("session.rcpt.relay", { rcpt: "x@elsewhere.example" }), "refuse");
    assert.equal(server.ledger.connections.flatMap(({ commands }) => commands).length, before);
  });

  it("ask it for a tenant", async () => {
    const options = { tenant: "customer", priority: "bulk" } as const;
    assert.equal(await rules.test("known", { rcpt: "ann@example.org" }, options), false);
    const { tenants } = (await remotes.stats()).hosts.lmtp!;
    assert.deepEqual(tenants, [{ name: "customer", requests: 1, turnedAway: 0, pending: 0 }]);
  });

  it("fail when it does not say, and when it cannot be asked", async () => {
    await assert.rejects(rules.value("session.rcpt.relay", { rcpt: "later@example.org" }), (error: RelaypostError) => {
      assert.equal(error.code, "RULE_FAILED");
      assert.equal((error.cause as RelaypostError).code, "REPLY_TRANSIENT");
      return true;
    });
    await assert.rejects(rules.test("misled", { rcpt: "bill@example.org" }), { code: "RULE_FAILED", hostId: "imap" });
  });
});
