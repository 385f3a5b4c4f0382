/** The doctor before hosts that are asked about passwords: what they offer, what they tell of their users, how late, and that it does no harm. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listenImap, listenMail, makeCertificate } from "../../src/testing/index.js";
import { Site } from "./command-line.js";
import { errorsOf, examineAt, type Keys, only, PLAIN, type Report } from "./examination.js";

type ImapOptions = Parameters<typeof listenImap>[0];

const USERS = { "anna@example.org": "blue heron" };
const READABLE = { ...PLAIN, protocol: '"imap"', lookup: "true", "auth.allow-plaintext": "true" };

describe("relaypost doctor, of passwords", { timeout: 240_000 }, () => {
  let site: Site;

  before(async () => {
    site = await Site.open();
  });

  after(() => site?.[Symbol.asyncDispose]());

  async function examine(options: ImapOptions, keys: Keys = {}, ...words: string[]): Promise<Report> {
    await using server = await listenImap({ users: USERS, ...options });
    const report = await examineAt(site, server, { ...READABLE, ...keys }, ...words);
    for (const { violations, logins } of server.ledger.connections) {
      assert.deepEqual(violations, []);
      assert.ok(logins.every(({ isAccepted }) => !isAccepted));
    }
    return report;
  }

  it("says by what passwords go, and what logins cost for want of an extension", async () => {
    const rich = await examine({
      mechanisms: ["PLAIN", "SCRAM-SHA-256", "XOAUTH2"],
      unauthenticate: true,
      extraCapabilities: ["ID"],
    });
    assert.equal(rich.code, 0, JSON.stringify(rich.findings));
    only(rich, /^Passwords are tried by SCRAM-SHA-256\.$/);
    only(rich, /^Access tokens are tried by XOAUTH2\.$/);
    assert.equal(only(rich, /offers ID/).put, 'client = "id"');
    assert.ok(!rich.findings.some(({ message }) => /SASL-IR|UNAUTHENTICATE/.test(message)));
    const poor = await examine({ saslIr: false });
    only(poor, /not offer SASL-IR: each login takes one round trip more/);
    only(poor, /not offer UNAUTHENTICATE/);
    const bare = await examine({ mechanisms: [] });
    assert.equal(bare.code, 0, JSON.stringify(bare.findings));
    only(bare, /tried by LOGIN/);
    const untold = await examine({}, { client: '"id"' });
    assert.equal(untold.code, 1);
    assert.equal(only(untold, /not offer ID/).put, 'client = "none"');
  });

  it("knows a host that takes no passwords, and a key that lets them go without TLS", async () => {
    const closed = await examine({ mechanisms: [], loginDisabled: true });
    assert.equal(closed.code, 1);
    assert.match(errorsOf(closed)[0]!.message, /^No password can be tried: .*LOGINDISABLED/);
    assert.equal(errorsOf(closed).length, 1, "what is known is not said twice");
    const certificate = await makeCertificate({ kind: "own-ca" });
    const ca = JSON.stringify(await site.write("ca.pem", certificate.ca));
    const careless = await examine({ startTls: certificate }, { "tls.starttls": '"require"', "tls.ca": ca });
    assert.equal(careless.code, 0, JSON.stringify(careless.findings));
    assert.equal(only(careless, /go through TLS/).put, "auth.allow-plaintext = false");
  });

  it("knows whether the host tells who exists, only where it is told of somebody", async () => {
    const silent = await examine({});
    assert.ok(!silent.findings.some(({ message }) => /user that nobody is/.test(message)));
    const same = await examine({}, {}, "--user", "anna@example.org");
    only(same, /^It says the same of a user that nobody is and of a wrong password: NO/);
    const overrides = [{ on: "login", match: /^relaypost-doctor/, reply: "{tag} NO no such user" }];
    const telling = await examine({ overrides }, {}, "--user", "anna@example.org");
    assert.match(only(telling, /^It tells who exists/).message, /NO no such user\..*AUTHENTICATIONFAILED/);
  });

  it("knows a host whose answers mean nothing, and one that has none", async () => {
    await using open = await listenImap({ overrides: [{ on: "login", reply: "{tag} OK welcome" }] });
    const anybody = await examineAt(site, open, READABLE);
    assert.equal(anybody.code, 1);
    assert.equal(only(anybody, /lets in a user that nobody is/).put, "lookup = false");
    const overrides = [{ on: "login", reply: "{tag} NO [UNAVAILABLE] the directory is away" }];
    const away = await examine({ overrides }, {}, "--user", "anna@example.org");
    assert.equal(away.code, 1);
    only(away, /no answer about a wrong password of a user that nobody is: NO \[UNAVAILABLE\] the directory is away/);
  });

  it("says what late answers cost, and where they are taken for silence", async () => {
    const overrides = [{ on: "login", waitFor: () => sleep(700) }];
    const late = await examine({ overrides }, { concurrency: "7" });
    assert.equal(only(late, /answers a wrong password after \d+\.\d s.*concurrency = 7 has room/).severity, "note");
    const near = await examine({ overrides }, { "timeouts.lookup": '"1s"' });
    assert.match(only(near, /1 s \(timeouts\.lookup\) counts as down/).put!, /^timeouts\.lookup = "\d+s"$/);
  });

  it("tries wrong passwords in a row only when it is told to, and ten at most", async () => {
    await using patient = await listenImap({ users: USERS });
    const tries = () => patient.ledger.connections.reduce((sum, { logins }) => sum + logins.length, 0);
    await examineAt(site, patient, READABLE);
    assert.equal(tries(), 1);
    only(await examineAt(site, patient, READABLE, "--probe-limits"), /bears 10 wrong passwords in a row/);
    assert.equal(tries(), 12);
    // The first connection looks, the second one asks, the third one is for this.
    const overrides = [{ on: "login", connection: 3, nth: 6, reply: "* BYE too many", afterwards: "close" } as const];
    const hasty = await examine({ overrides }, { "limits.errors": "8" }, "--probe-limits");
    assert.equal(only(hasty, /enough of a connection after 5 wrong passwords/).put, "limits.errors = 5");
  });

  it("suggests connections for a rate of logins", async () => {
    const kept = await examine({ unauthenticate: true }, { concurrency: "1" }, "--rate", "100000");
    assert.equal(only(kept, /100000 right ones a second/).put, `concurrency = ${kept.pace!.concurrency}`);
    assert.equal(only(await examine({}, {}, "--rate", "0.001"), /right ones a second/).severity, "note");
  });

  it("says where a mail host's passwords cannot be looked up", async () => {
    await using server = await listenMail({ users: USERS });
    const report = await examineAt(site, server, { ...PLAIN, lookup: "true" });
    assert.equal(report.code, 0);
    assert.equal(only(report, /passwords cannot/).put, "auth.allow-plaintext = true");
  });
});
