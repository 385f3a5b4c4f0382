/** The doctor before a real Postfix and a real Dovecot: what it says of them is so, and they are none the worse for it. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { jsonLines, relaypost } from "../cli/command-line.js";
import { Dovecot } from "./kit/dovecot.js";
import { writeAuthority } from "./kit/hosts.js";
import { Postfix } from "./kit/postfix.js";
import { ACCOUNTS, addressOf, reasonToSkip } from "./kit/sandbox.js";

interface Report {
  readonly code: number | null;
  readonly findings: readonly { severity: string; message: string; put?: string }[];
  readonly tls?: { isVerified: boolean };
}

describe("the doctor", { skip: reasonToSkip("postfix", "dovecot"), timeout: 120_000 }, () => {
  let dovecot: Dovecot;
  let postfix: Postfix;

  before(async () => {
    dovecot = await Dovecot.start();
    postfix = await Postfix.start(dovecot, {
      // As Postfix comes: a second for each reply from the tenth mistake on.
      main: { smtpd_soft_error_limit: "10", smtpd_hard_error_limit: "20", smtpd_error_sleep_time: "1s" },
    });
    writeAuthority(postfix.folder, postfix.ca);
    writeFileSync(join(postfix.folder, "dovecot.pem"), dovecot.ca);
  });

  after(async () => {
    await postfix?.stop();
    await dovecot?.stop();
  });

  async function examine(keys: Readonly<Record<string, string | number>>, ...words: string[]): Promise<Report> {
    const lines = Object.entries({ address: '"127.0.0.1"', lookup: "true", ...keys });
    const text = `[remote.it]\n${lines.map(([key, value]) => `${key} = ${value}`).join("\n")}\n`;
    const file = join(postfix.folder, "doctor.toml");
    writeFileSync(file, `[runtime]\nhostname = "gateway.example.test"\n${text}`);
    const ran = await relaypost(["doctor", file, "it", "--json", ...words]);
    return { ...jsonLines<Omit<Report, "code">>(ran)[0]!, code: ran.code };
  }

  const says = ({ findings }: Report, message: RegExp) => findings.find((finding) => message.test(finding.message));

  it("finds out how many mistakes Postfix bears, and that its authority is missing", async () => {
    const host = { protocol: '"smtp"', port: postfix.ports.smtp, "tls.implicit": "false" };
    const stranger = await examine(host);
    assert.equal(stranger.code, 1);
    const error = stranger.findings.find(({ severity }) => severity === "error")!;
    assert.match(error.put!, /^tls\.fingerprints = /);
    const [key, value] = error.put!.split(" = ") as [string, string];
    assert.equal((await examine({ ...host, [key]: value })).code, 0);

    const trusted = { ...host, "tls.ca": '"ca.pem"', "limits.errors": 30 };
    const whole = await examine(trusted, "--recipient", addressOf("ann"), "--probe-limits", "--rate", "100");
    assert.equal(whole.code, 0, JSON.stringify(whole.findings));
    assert.equal(whole.tls?.isVerified, true);
    assert.match(says(whole, /more slowly/)!.put!, /^limits\.errors = (?:9|10)$/, "soft_error_limit");
    assert.ok(says(whole, /^VRFY tells nothing there: 252/));
    assert.ok(says(whole, /^EXPN tells nothing there: 50[02] /), JSON.stringify(whole.findings));
    assert.ok(says(whole, /100 messages a second/));
    assert.equal(says(whole, /catch-all/), undefined);
    const gone = await examine(trusted, "--recipient", addressOf("nobody"));
    assert.equal(gone.code, 1);
    assert.ok(says(gone, /refuses the recipient that is said to exist: 550 5\.1\.1/));
  });

  it("tries the account with Postfix", async () => {
    const host = { protocol: '"smtp"', port: postfix.ports.smtp, "tls.implicit": "false", "tls.ca": '"ca.pem"' };
    const account = { ...host, "auth.username": '"ann"' };
    const right = await examine({ ...account, "auth.secret": JSON.stringify(ACCOUNTS.ann) });
    assert.equal(right.code, 0, JSON.stringify(right.findings));
    const wrong = await examine({ ...account, "auth.secret": '"wrong"' });
    assert.equal(wrong.code, 1);
    assert.ok(says(wrong, /refuses the account of auth: 535/));
  });

  it("finds nothing that breaks mail in a Dovecot that is configured right", async () => {
    const ca = { "tls.implicit": "false", "tls.ca": '"dovecot.pem"' };
    const lmtp = { ...ca, protocol: '"lmtp"', port: dovecot.ports.lmtp };
    const report = await examine(lmtp, "--recipient", addressOf("ann"), "--probe-limits");
    assert.equal(report.code, 0, JSON.stringify(report.findings));
    assert.ok(says(report, /unknown recipients in a row/));
    assert.ok(says(report, /no AUTH/));
    const imap = await examine({ ...ca, protocol: '"imap"', port: dovecot.ports.imap });
    assert.equal(imap.code, 0, JSON.stringify(imap.findings));
    assert.ok(says(imap, /^Passwords are tried by SCRAM-SHA-256/), JSON.stringify(imap.findings));
    assert.equal(says(imap, /offers ID/)?.put, 'client = "id"');
    assert.ok(says(imap, /not offer UNAUTHENTICATE/));
    const implicit = await examine({ protocol: '"imap"', port: dovecot.ports.imap });
    assert.equal(implicit.code, 1);
    assert.equal(implicit.findings.find(({ severity }) => severity === "error")?.put, "tls.implicit = false");
    assert.equal(dovecot.mailbox("ann").length, 0, "no message was sent");
  });

  it("finds that Dovecot, as its package comes, answers wrong passwords late and the same for everybody", async () => {
    await using untuned = await Dovecot.start({ isTuned: false, mechanisms: ["PLAIN"] });
    writeFileSync(join(postfix.folder, "untuned.pem"), untuned.ca);
    const keys = { protocol: '"imap"', port: untuned.ports.imap, "tls.implicit": "false", "tls.ca": '"untuned.pem"' };
    const report = await examine(keys, "--user", "ann", "--rate", "50");
    assert.equal(report.code, 0, JSON.stringify(report.findings));
    assert.ok(says(report, /^Passwords are tried by PLAIN/));
    assert.ok(
      says(report, /^It says the same of a user that nobody is and of a wrong password: NO \[AUTHENTICATIONFAILED\]/),
    );
    assert.ok(says(report, /answers a wrong password after \d+\.\d s/), "auth_failure_delay");
    assert.ok(says(report, /50 right ones a second/));
  });
});
