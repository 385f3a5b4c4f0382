/** A migration on loopback: a new and an old server, strict both, and what the shadow of one asks of the other. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type HostInput, RemoteHosts } from "../../src/index.js";
import { collectMetrics } from "../../src/metrics.js";
import { listenImap, listenMail, type StrictServer } from "../../src/testing/index.js";
import { RecordedLog } from "../unit/kit/fake-hosts.js";

const USERS = { anna: "annas secret", bob: "bobs secret", cy: "cys new secret" };

function tablesOf(
  fresh: StrictServer,
  old: StrictServer,
  shadow: Partial<NonNullable<HostInput["shadow"]>>,
  more: Partial<HostInput> = {},
): Record<string, HostInput> {
  const host = ({ address, port }: StrictServer, protocol: "lmtp" | "smtp"): HostInput => ({
    address,
    port,
    protocol,
    lookup: true,
    tls: { implicit: false, starttls: "disable" },
    auth: { "allow-plaintext": true },
    limits: { errors: 1000 },
    ...more,
  });
  const settings = { share: 1, kinds: ["rcpt", "auth"] as const, ...shadow, host: "old" };
  return { new: { ...host(fresh, "lmtp"), shadow: settings }, old: host(old, "smtp") };
}

class Migration implements AsyncDisposable {
  readonly log = new RecordedLog();

  private constructor(
    readonly fresh: StrictServer,
    readonly old: StrictServer,
    readonly remotes: RemoteHosts,
  ) {}

  static async open(
    shadow: Partial<NonNullable<HostInput["shadow"]>> = {},
    log = new RecordedLog(),
  ): Promise<Migration> {
    const fresh = await listenMail({
      protocol: "lmtp",
      recipients: ["anna@example.org", "bob@example.org"],
      users: USERS,
    });
    const old = await listenMail({
      recipients: ["anna@example.org", "eve@example.org"],
      users: { ...USERS, cy: "before" },
    });
    const remote = tablesOf(fresh, old, shadow);
    const remotes = await RemoteHosts.open({ remote }, { logger: log.logger });
    return Object.assign(new Migration(fresh, old, remotes), { log });
  }

  /** The configuration, with more keys for both hosts. */
  tables(more: Partial<HostInput>): Record<string, HostInput> {
    return tablesOf(this.fresh, this.old, {}, more);
  }

  get host() {
    return this.remotes.host("new");
  }

  /** Until so many lookups have been compared, or given up. */
  async compared(kind: "rcpt" | "auth", count: number) {
    for (;;) {
      const counts = this.host.shadowReport().kinds[kind];
      if (counts !== undefined && Object.values(counts).reduce((sum, each) => sum + each, 0) >= count) {
        return counts;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remotes.close({ drainMs: 0 });
    await this.fresh.close();
    await this.old.close();
  }
}

describe("the shadow of a host", { timeout: 60_000 }, () => {
  it("finds the recipients that only one of the two servers knows, in its report, stats, metrics and log", async () => {
    await using house = await Migration.open();
    const { host, old, log } = house;
    for (const name of ["anna", "bob", "eve", "nobody"]) {
      const { found } = await host.verifyRecipient(`${name}@example.org`);
      assert.equal(found, name === "anna" || name === "bob", "the caller's answer is the host's own");
    }
    const counts = await house.compared("rcpt", 4);
    assert.deepEqual(counts, { agreed: 2, onlyHere: 1, onlyThere: 1, unsure: 0, failed: 0, dropped: 0 });
    const { differences } = host.shadowReport({ addresses: true });
    assert.deepEqual(
      differences.map(({ subject, differs, here, there }) => [subject, differs, here?.code, there?.code]),
      [
        ["bob@example.org", "only-here", 250, 550],
        ["eve@example.org", "only-there", 550, 250],
      ],
    );
    assert.ok(!JSON.stringify(host.shadowReport()).includes("@"));
    const stats = await house.remotes.stats();
    assert.deepEqual(stats.hosts.new?.shadow, { host: "old", kinds: { rcpt: counts } });
    assert.equal(stats.hosts.old?.shadow, undefined);
    const text = await collectMetrics(house.remotes);
    assert.match(text, /relaypost_shadow_lookups_total\{host="new",kind="rcpt",outcome="only-here"\} 1/);
    const record = await log.event("shadow-differs");
    assert.equal(record.hostId, "new");
    assert.ok(!JSON.stringify(record).includes("@"));
    assert.deepEqual(old.ledger.violations, []);
  });

  it("makes nothing of what the old server accepts, which accepts everybody", async () => {
    await using house = await Migration.open();
    const { host, old, log } = house;
    await house.remotes.reload({ remote: house.tables({ lookups: { "catch-all": "detect" } }) });
    old.order({ on: "RCPT", reply: "250 2.1.5 Whoever that is" });
    for (const name of ["anna", "eve", "nobody"]) {
      await host.verifyRecipient(`${name}@example.org`);
    }
    const counts = await house.compared("rcpt", 3);
    assert.deepEqual(counts, { agreed: 0, onlyHere: 0, onlyThere: 0, unsure: 3, failed: 0, dropped: 0 });
    const text = await collectMetrics(house.remotes);
    assert.match(text, /relaypost_shadow_lookups_total\{host="new",kind="rcpt",outcome="unsure"\} 3/);
    assert.ok(!log.records.some(({ event }) => event === "shadow-differs"));
  });

  it("sends the old server each right password, no wrong one, and none again that is wrong there", async () => {
    await using house = await Migration.open();
    const { host, old } = house;
    const say = (username: string, secret: string) => host.authenticate({ username, secret });
    assert.equal((await say("anna", "annas secret")).found, true);
    assert.equal((await say("bob", "wrong")).found, false);
    assert.equal((await say("cy", "cys new secret")).found, true);
    await house.compared("auth", 2);
    await host.forget();
    await house.remotes.host("old").forget();
    assert.equal((await say("cy", "cys new secret")).found, true);
    const counts = await house.compared("auth", 3);
    assert.deepEqual(counts, { agreed: 1, onlyHere: 1, onlyThere: 0, unsure: 0, failed: 0, dropped: 1 });
    const logins = old.ledger.connections.flatMap((connection) => connection.logins);
    assert.deepEqual(logins.map(({ username, isAccepted }) => [username, isAccepted]).toSorted(), [
      ["anna", true],
      ["cy", false],
    ]);
  });

  it("asks nothing for an answer that is known, for a message, or in a circle", async () => {
    await using house = await Migration.open();
    const { host, old } = house;
    for (let times = 0; times < 4; times++) {
      await host.verifyRecipient("anna@example.org");
    }
    await host.relay({ from: "a@example.org", to: ["anna@example.org", "bob@example.org"] }, "Subject: x\r\n\r\nx\r\n");
    await house.remotes.host("old").verifyRecipient("eve@example.org");
    await house.compared("rcpt", 1);
    const asked = old.ledger.commands.filter((line) => line.startsWith("RCPT"));
    assert.deepEqual(asked.toSorted(), ["RCPT TO:<anna@example.org>", "RCPT TO:<eve@example.org>"]);
    assert.equal(old.ledger.messageCount, 0);
  });

  it("neither delays nor fails anybody while the old server is silent or gone", async () => {
    await using house = await Migration.open();
    const { host, old } = house;
    const withdraw = old.order({ on: "RCPT", reply: [] });
    assert.equal((await host.verifyRecipient("anna@example.org")).found, true);
    await old.ledger.until(({ commands }) => commands.some((line) => line.startsWith("RCPT")));
    assert.equal((await host.verifyRecipient("bob@example.org")).found, true);
    withdraw();
    old.refuse();
    for (const peer of [await old.connection(1)]) {
      peer.reset();
    }
    assert.equal((await host.verifyRecipient("eve@example.org")).found, false);
    const counts = await house.compared("rcpt", 3);
    assert.equal(counts.failed, 3);
    assert.equal((await house.remotes.stats()).hosts.new?.lookups.failed, 0);
  });

  it("follows a reload, and is over when the configuration says no more of it", async () => {
    await using house = await Migration.open();
    const { host, remotes, fresh, old } = house;
    await host.verifyRecipient("bob@example.org");
    await house.compared("rcpt", 1);
    const plain = ({ address, port }: StrictServer, protocol: "lmtp" | "smtp"): HostInput => ({
      address,
      port,
      protocol,
      lookup: true,
      tls: { implicit: false, starttls: "disable" },
    });
    await remotes.reload({ remote: { new: plain(fresh, "lmtp"), old: plain(old, "smtp") } });
    await host.forget();
    await host.verifyRecipient("bob@example.org");
    assert.throws(() => host.shadowReport(), { code: "NOT_SUPPORTED" });
    assert.equal(old.ledger.commands.filter((line) => line.startsWith("RCPT")).length, 1);
  });
});

it("compares the logins of an IMAP host with those of another", { timeout: 60_000 }, async (context) => {
  const fresh = await listenImap({ users: USERS });
  const old = await listenImap({ users: { anna: "annas secret" } });
  context.after(() => Promise.all([fresh.close(), old.close()]));
  const host = ({ address, port }: StrictServer): HostInput => ({
    address,
    port,
    protocol: "imap",
    lookup: true,
    tls: { implicit: false, starttls: "disable" },
    auth: { "allow-plaintext": true },
  });
  const shadow = { host: "old", share: 1, kinds: ["auth" as const] };
  await using remotes = await RemoteHosts.open({ remote: { new: { ...host(fresh), shadow }, old: host(old) } });
  await remotes.host("new").authenticate({ username: "anna", secret: "annas secret" });
  await remotes.host("new").authenticate({ username: "bob", secret: "bobs secret" });
  await old.ledger.until(({ connections }) => connections.flatMap(({ logins }) => logins).length === 2);
  while ((remotes.host("new").shadowReport().kinds.auth?.onlyHere ?? 0) === 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(remotes.host("new").shadowReport().kinds.auth?.agreed, 1);
});
