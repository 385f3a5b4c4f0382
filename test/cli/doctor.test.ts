/** The doctor before strict servers: what it finds, that the line it says mends it, and that it does no harm. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listenImap, listenMail, makeCertificate, type StrictServer } from "../../src/testing/index.js";
import { relaypost, Site } from "./command-line.js";
import { errorsOf, examineAt, type Keys, only, PLAIN, written } from "./examination.js";

type MailOptions = Parameters<typeof listenMail>[0];

describe("relaypost doctor", { timeout: 240_000 }, () => {
  let site: Site;

  before(async () => {
    site = await Site.open();
  });

  after(() => site?.[Symbol.asyncDispose]());

  const examine = (server: StrictServer, keys: Keys, ...words: string[]) => examineAt(site, server, keys, ...words);

  it("says line by line what to write, until nothing breaks mail", async () => {
    await using server = await listenMail({ recipients: ["anna@example.org"] });
    let keys: Record<string, string> = {};
    let report = await examine(server, keys);
    const lines: string[] = [];
    while (report.code !== 0) {
      assert.equal(report.code, 1);
      const [error] = errorsOf(report);
      assert.ok(error?.put !== undefined && lines.length < 5, JSON.stringify(report.findings));
      lines.push(error.put);
      keys = { ...keys, ...written(error) };
      report = await examine(server, keys);
    }
    assert.deepEqual(lines, ["tls.implicit = false", 'tls.starttls = "disable"']);
  });

  for (const kind of ["self-signed", "expired", "wrong-name"] as const) {
    it(`mends a certificate that is ${kind}`, async () => {
      const certificate = await makeCertificate({ kind });
      await using server = await listenMail({ implicitTls: certificate });
      const ca = await site.write(`${kind}.pem`, certificate.ca);
      const trust: Record<string, string> = kind === "wrong-name" ? { "tls.ca": JSON.stringify(ca) } : {};
      const sick = await examine(server, trust);
      assert.equal(sick.code, 1);
      const error = only(sick, /^Its certificate /);
      assert.equal(error.severity, "error");
      assert.match(
        error.put!,
        kind === "wrong-name" ? /^tls\.server-name = "elsewhere\.example"$/ : /^tls\.fingerprints = /,
      );
      const well = await examine(server, { ...trust, ...written(error) });
      assert.equal(well.code, 0, JSON.stringify(well.findings));
      const careless = await examine(server, { "tls.allow-invalid-certs": "true" });
      assert.equal(careless.code, 0);
      assert.equal(only(careless, /^Its certificate .*so is everybody's/).severity, "warning");
    });
  }

  it("tells of TLS that is there and not asked for", async () => {
    const certificate = await makeCertificate({ kind: "own-ca" });
    await using server = await listenMail({ startTls: certificate });
    const trust = { "tls.implicit": "false", "tls.ca": JSON.stringify(await site.write("ca.pem", certificate.ca)) };
    for (const starttls of ['"disable"', '"optional"']) {
      const report = await examine(server, { ...trust, "tls.starttls": starttls });
      assert.equal(only(report, /offers STARTTLS/).put, 'tls.starttls = "require"');
    }
    const good = await examine(server, trust);
    assert.deepEqual(
      good.findings.filter(({ topic }) => topic === "tls"),
      [],
    );
    const open = await examine(server, { ...trust, "tls.allow-invalid-certs": "true" });
    assert.equal(only(open, /any other would be accepted/).put, "tls.allow-invalid-certs = false");
  });

  it("compares what is offered with what the configuration uses and wants", async () => {
    const capabilities = { extra: ["LIMITS MAILMAX=20 RCPTMAX=50", "XCLIENT ADDR"], size: 1_000_000 };
    await using rich = await listenMail({ capabilities });
    const rare = await examine(rich, { ...PLAIN, "limits.pipeline": "1" });
    assert.equal(only(rare, /PIPELINING/).put, "limits.pipeline = 50");
    assert.match(only(rare, /MAILMAX/).message, /20 transactions on a connection/);
    assert.match(only(rare, /SIZE/).message, /at most 1000000 octets/);
    assert.match(only(rare, /RCPTMAX/).message, /50 recipients/);
    assert.equal(only(rare, /XCLIENT/).put, 'client = "xclient"');
    const none = { pipelining: false, eightBitMime: false, enhancedStatusCodes: false };
    await using poor = await listenMail({ capabilities: none });
    const wanting = await examine(poor, { ...PLAIN, client: '"xforward"', lookup: "true" });
    assert.equal(wanting.code, 1, "it would be used for nothing");
    assert.equal(only(wanting, /XFORWARD/).put, 'client = "none"');
    assert.equal(only(wanting, /8BITMIME/).put, 'eight-bit = "refuse"');
    only(wanting, /not offer PIPELINING/);
    only(wanting, /SMTPUTF8, DSN, REQUIRETLS/);
    only(wanting, /ENHANCEDSTATUSCODES/);
    only(wanting, /no AUTH/);
  });

  it("tries the account, and knows a host that wants one", async () => {
    const users = { gateway: "canary-4711" };
    await using server = await listenMail({ users, requireAuth: true });
    const stranger = await examine(server, PLAIN);
    assert.equal(stranger.code, 1);
    assert.match(only(stranger, /wants a login/).put!, /^auth = /);
    const account = { ...PLAIN, "auth.username": '"gateway"', "auth.secret": '"canary-4711"' };
    const careful = await examine(server, account);
    assert.equal(careful.code, 1);
    const error = only(careful, /account \(auth\) cannot be used/);
    const served = await examine(server, { ...account, ...written(error) });
    assert.equal(served.code, 0, JSON.stringify(served.findings));
    const wrong = await examine(server, { ...account, ...written(error), "auth.secret": '"canary-4712"' });
    assert.equal(wrong.code, 1);
    only(wrong, /refuses the account/);
    await using imap = await listenImap({ users });
    const reader = { ...PLAIN, protocol: '"imap"', lookup: "true" };
    const closed = await examine(imap, reader);
    assert.equal(closed.code, 1);
    assert.equal((await examine(imap, { ...reader, ...written(only(closed, /No password/)) })).code, 0);
    for (const report of [stranger, careful, served, wrong, closed]) {
      assert.doesNotMatch(JSON.stringify(report), /canary-471/);
    }
  });

  it("knows a catch-all, a host that tells recipients apart, and one that tells nothing", async () => {
    const of = async (options: MailOptions, keys = {}, ...words: string[]) => {
      await using server = await listenMail(options);
      return await examine(server, { ...PLAIN, lookup: "true", ...keys }, ...words);
    };
    const all = await of({});
    assert.equal(only(all, /catch-all/).put, 'lookups.catch-all = "detect"');
    const detected = await of({}, { "lookups.catch-all": '"detect"' });
    assert.equal(only(detected, /catch-all/).severity, "note");
    assert.equal(all.code, 0, "mail goes there all the same");
    const known = ["--recipient", "anna@example.org"];
    const some = await of({ recipients: ["anna@example.org"] }, {}, ...known);
    assert.deepEqual(
      some.findings.filter(({ topic, severity }) => topic === "recipients" && severity !== "note"),
      [],
    );
    const unasked = await of({ recipients: [] }, { lookup: "false" });
    assert.equal(only(unasked, /can be asked/).put, "lookup = true");
    const gone = await of({ recipients: ["bo@example.org"] }, {}, ...known);
    assert.equal(gone.code, 1);
    only(gone, /refuses the recipient that is said to exist: 550/);
    const barred = await of({ overrides: [{ on: "RCPT", reply: "554 5.7.1 relay access denied" }] }, {}, ...known);
    assert.equal(barred.code, 1);
    only(barred, /no answer about a recipient that nobody has: 554 5\.7\.1/);
    const unsure = await of({ overrides: [{ on: "RCPT", reply: "450 4.2.0 greylisted" }] });
    assert.equal(only(unsure, /450 4\.2\.0 greylisted.*--recipient/).severity, "warning");
    const talkative = await of({
      mailboxes: { postmaster: "<p@example.org>" },
      lists: { postmaster: ["<a@example.org>"] },
    });
    only(talkative, /^VRFY is answered: 250/);
    only(talkative, /^EXPN is answered: 250/);
    only(some, /^VRFY tells nothing there: 252/);
    only(some, /^EXPN tells nothing there: 502/);
  });

  it("asks for as many unknown recipients in a row as the host bears, only when it is told to", async () => {
    const closing = { on: "RCPT", reply: "421 4.7.0 too many errors", afterwards: "close" } as const;
    // The first connection looks, the second one asks a few questions, the third one is for this.
    await using server = await listenMail({ recipients: [], overrides: [{ ...closing, connection: 3, nth: 21 }] });
    const keys = { ...PLAIN, lookup: "true", "limits.errors": "50", "limits.requests": "200" };
    const asked = () =>
      server.ledger.connections.reduce(
        (sum, { commands }) => sum + commands.filter((line) => /^RCPT/.test(line)).length,
        0,
      );
    const quick = await examine(server, keys);
    assert.ok(!quick.findings.some(({ message }) => /in a row/.test(message)));
    assert.ok(asked() < 10, `${asked()} questions`);
    await using patient = await listenMail({ recipients: [] });
    const borne = await examine(patient, keys, "--probe-limits");
    only(borne, /bears 100 unknown recipients in a row/);
    await using hasty = await listenMail({ recipients: [], overrides: [{ ...closing, connection: 3, nth: 21 }] });
    const closed = await examine(hasty, keys, "--probe-limits");
    assert.equal(only(closed, /enough of a connection after 20 unknown/).put, "limits.errors = 20");
    const after = await examine(hasty, { ...keys, "limits.errors": "3" }, "--probe-limits");
    assert.ok(!after.findings.some(({ put }) => put?.startsWith("limits.errors")));
    await using slow = await listenMail({
      recipients: [],
      overrides: [{ on: "RCPT", connection: 3, waitFor: () => slowFrom(11) }],
    });
    let heard = 0;
    const slowFrom = (nth: number) => (++heard < nth ? Promise.resolve() : sleep(2_000));
    const slowed = await examine(slow, keys, "--probe-limits");
    assert.equal(only(slowed, /more slowly from the 11th/).put, "limits.errors = 10");
    await using once = await listenMail({
      recipients: [],
      overrides: [{ on: "RCPT", connection: 3, nth: 20, waitFor: () => sleep(2_000) }],
    });
    only(await examine(once, keys, "--probe-limits"), /bears 100 unknown recipients in a row/);
  });

  it("suggests connections for a rate", async () => {
    await using server = await listenMail({ recipients: [] });
    const report = await examine(server, { ...PLAIN, lookup: "true", concurrency: "1" }, "--rate", "100000");
    const finding = only(report, /100000 messages a second need/);
    assert.equal(finding.put, `concurrency = ${report.pace!.concurrency}`);
    assert.ok(report.pace!.concurrency > 1);
    const modest = await examine(server, { ...PLAIN, lookup: "true" }, "--rate", "0.001");
    assert.equal(only(modest, /0\.001 messages a second/).severity, "note");
  });

  it("does no harm, reads as text, and goes through all hosts of a file", async () => {
    const ran = await relaypost(["doctor", site.config, "--rate", "100000"]);
    assert.equal(ran.code, 1, "one of them is down");
    for (const id of ["smtp", "lmtp", "imap", "down"]) {
      assert.match(ran.stdout, new RegExp(`^${id}: \\w+ to 127\\.0\\.0\\.1:\\d+$`, "m"));
    }
    assert.match(ran.stdout, /^ {2}error {7}CONNECT_FAILED: /m);
    assert.match(ran.stdout, /^ {2}round trip +\d+\.\d ms, a lookup \d+\.\d ms$/m);
    assert.match(ran.stdout, /^ {14}in \[remote\.smtp\]: concurrency = \d+$/m);
    for (const { ledger } of [site.smtp, site.lmtp, site.imap]) {
      assert.deepEqual(
        ledger.connections.flatMap(({ violations }) => violations),
        [],
      );
      const tried = ledger.connections.flatMap(({ logins }) => logins.map(({ username }) => username));
      assert.deepEqual(
        tried.filter((username) => !username?.startsWith("relaypost-doctor-")),
        [],
        "nobody's password was tried",
      );
      assert.equal(tried.length, ledger === site.imap.ledger ? 1 : 0);
      assert.ok(
        ledger.transactions.every(({ finalReplies }) => finalReplies.length === 0),
        "no message was sent",
      );
    }
    assert.equal((await relaypost(["doctor", site.config, "nobody"])).code, 2);
    assert.equal((await relaypost(["doctor", site.config, "--rate", "much"])).code, 2);
  });
});
