/** The daemon and the programs it is for: a real Postfix, a real Exim and swaks on one side, a real Dovecot on the other. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { RawClient } from "../kit/raw-client.js";
import { Dovecot } from "./kit/dovecot.js";
import { authenticatorsAt, Exim, reasonWithoutExim } from "./kit/exim.js";
import { writeAuthority } from "./kit/hosts.js";
import { Postfix } from "./kit/postfix.js";
import { ACCOUNTS, freePorts, pathOf, reasonToSkip, writeCertificate } from "./kit/sandbox.js";
import { ServeProcess, tablesOf } from "./kit/serve.js";

const skip = reasonToSkip("dovecot", "postfix", "swaks");
const base64 = (text: string) => Buffer.from(text).toString("base64");

/** Says lines, each when the one before was answered; the first line of each reply. */
async function converse(port: number, ...lines: readonly string[]): Promise<string[]> {
  await using client = await RawClient.connect(port);
  await client.replies(1);
  const replies: string[] = [];
  for (const line of ["EHLO client.test", ...lines]) {
    replies.push(await client.ask(line));
  }
  return replies.slice(1);
}

describe("relaypost serve", { skip, timeout: 120_000 }, () => {
  let dovecot: Dovecot;
  let serve: ServeProcess;
  let ports: { tcp: number; smtp: number; policy: number };
  let ca: string;

  /** @param passwords the host that knows them */
  const configuration = (passwords: string) => `${tablesOf(dovecot)}[remote.dead]
address = "127.0.0.1"
port = 1
protocol = "lmtp"
lookup = true
[remote.deadimap]
address = "127.0.0.1"
port = 1
protocol = "imap"
lookup = true
[serve.maps]
protocol = "socketmap"
listen = "unix:FOLDER/maps"
mode = "0666"
[serve.table]
protocol = "tcp-table"
listen = "127.0.0.1:${ports.tcp}"
map = "lmtp-rcpt"
value = "a value with % and spaces"
[serve.policy]
protocol = "policy"
listen = "unix:FOLDER/policy"
mode = "0666"
action = [ { if = "sender", starts-with = "spam@", then = "REJECT 5.7.1 not this one" },
           { all-of = [ { if = "sender", starts-with = "slow@" }, { if = "rcpt", in-list = "remote/dead" } ], then = "OK" }, { else = "DUNNO" } ]
[serve.byhost]
protocol = "policy"
listen = "127.0.0.1:${ports.policy}"
host = "lmtp"
[serve.sasl]
protocol = "dovecot-auth"
listen = "unix:FOLDER/sasl"
mode = "0666"
host = "${passwords}"
[serve.in]
protocol = "smtp"
listen = "127.0.0.1:${ports.smtp}"
host = [ { if = "rcpt-domain", eq = "example.test", then = "lmtp" }, { else = "550 5.7.1 relaying denied" } ]
tls = { cert = "cert.pem", key = "key.pem" }
auth = { host = "imap" }
`;

  before(async () => {
    dovecot = await Dovecot.start();
    const [tcp, smtp, policy] = (await freePorts(3)) as [number, number, number];
    ports = { tcp, smtp, policy };
    serve = await ServeProcess.start();
    writeAuthority(serve.folder, dovecot.ca);
    ({ ca } = await writeCertificate(serve.folder));
    serve.write(configuration("imap"));
    await serve.reload();
  });

  after(async () => {
    await serve?.[Symbol.asyncDispose]();
    await dovecot?.stop();
  });

  it("answers postmap -q by socketmap and tcp_table", async () => {
    await using postfix = await Postfix.start(dovecot);
    const query = (map: string, key: string) => {
      const args = ["-c", join(postfix.folder, "etc"), "-q", key, map];
      // Debian's postmap looks tables up as anybody may; status 1 is "not found", and errors are words.
      const { status, stdout, stderr } = spawnSync(pathOf("postmap")!, args, { encoding: "utf8", timeout: 30_000 });
      return { status, stdout: stdout.trim(), stderr };
    };
    const socketmap = (name: string) => `socketmap:unix:${serve.folder}/maps:${name}`;
    assert.deepEqual(query(socketmap("lmtp-rcpt"), "ann@example.test"), { status: 0, stdout: "OK", stderr: "" });
    assert.deepEqual(query(socketmap("lmtp-rcpt"), "nobody@example.test"), { status: 1, stdout: "", stderr: "" });
    assert.match(query(socketmap("dead-rcpt"), "ann@example.test").stderr, /socketmap server temporary error/);
    assert.match(query(socketmap("none-rcpt"), "ann@example.test").stderr, /socketmap server permanent error/);
    const table = `tcp:127.0.0.1:${ports.tcp}`;
    assert.equal(query(table, "ann@example.test").stdout, "a value with % and spaces");
    assert.deepEqual(query(table, "nobody@example.test"), { status: 1, stdout: "", stderr: "" });
  });

  it("is Postfix' relay_recipient_maps, its policy, and its SASL", async () => {
    await using postfix = await Postfix.start(dovecot, {
      main: {
        virtual_mailbox_domains: "",
        virtual_mailbox_maps: "",
        relay_domains: "example.test",
        relay_recipient_maps: `socketmap:unix:${serve.folder}/maps:lmtp-rcpt`,
        relay_transport: `lmtp:inet:127.0.0.1:${dovecot.ports.lmtp}`,
        smtpd_recipient_restrictions: `check_policy_service unix:${serve.folder}/policy, permit_mynetworks, reject`,
        smtpd_sasl_path: `${serve.folder}/sasl`,
      },
    });
    const rcpt = async (from: string, to: string) =>
      (await converse(postfix.ports.smtp, `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`))[1]!;
    assert.match(await rcpt("me@else.test", "ann@example.test"), /^250 /);
    assert.match(await rcpt("me@else.test", "nobody@example.test"), /^550 5\.1\.1 .*relay recipient table/);
    assert.match(await rcpt("spam@else.test", "ann@example.test"), /^554 5\.7\.1 .*not this one/);
    assert.match(await rcpt("slow@else.test", "ann@example.test"), /^450 4\.4\.3 /);

    const before = dovecot.mailbox("ann").length;
    const sent = await converse(
      postfix.ports.smtp,
      "MAIL FROM:<me@else.test>",
      "RCPT TO:<ann@example.test>",
      "DATA",
      "Subject: through\r\n\r\nx\r\n.",
    );
    assert.match(sent.at(-1)!, /^250 /);
    while (dovecot.mailbox("ann").length === before) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }

    await checkLogins(postfix.ports.smtp, /^454 4\.7\.0 /);
  });

  it("refuses by policy who does not exist at the host", async () => {
    await using postfix = await Postfix.start(dovecot, {
      main: {
        virtual_mailbox_maps: "",
        smtpd_recipient_restrictions: `check_policy_service inet:127.0.0.1:${ports.policy}, permit_mynetworks, reject`,
      },
    });
    const [, known, unknown] = await converse(
      postfix.ports.smtp,
      "MAIL FROM:<me@else.test>",
      "RCPT TO:<ann@example.test>",
      "RCPT TO:<nobody@example.test>",
    );
    assert.match(known!, /^250 /);
    assert.match(unknown!, /^55\d 5\.1\.1 /);
  });

  it("is Exim's dovecot authenticator", { skip: reasonWithoutExim() }, async () => {
    await using exim = await Exim.start(authenticatorsAt(`${serve.folder}/sasl`));
    await checkLogins(exim.port, /^435 /);
  });

  /** What an MTA tells its clients of passwords: right ones, wrong ones, and while nobody knows. */
  async function checkLogins(port: number, unknown: RegExp): Promise<void> {
    const plain = (user: string, secret: string) => `AUTH PLAIN ${base64(`\0${user}\0${secret}`)}`;
    const one = async (...lines: readonly string[]) => (await converse(port, ...lines)).at(-1)!;
    const secret = ACCOUNTS.ann!;
    assert.match(await one(plain("ann", secret)), /^235 /);
    assert.match(await one("AUTH PLAIN", base64(`\0ann\0${secret}`)), /^235 /);
    assert.match(await one("AUTH LOGIN", base64("ann"), base64(secret)), /^235 /);
    assert.match(await one(`AUTH LOGIN ${base64("ann")}`, base64(secret)), /^235 /);
    assert.match(await one(plain("cäsar", ACCOUNTS.cäsar!)), /^235 /);
    assert.match(await one(plain("ann", "wrong")), /^535 /);
    assert.match(await one("AUTH LOGIN", base64("ann"), base64("wrong")), /^535 /);
    serve.write(configuration("deadimap"));
    await serve.reload();
    try {
      assert.match(await one(plain("ann", secret)), unknown);
    } finally {
      serve.write(configuration("imap"));
      await serve.reload();
    }
    assert.match(await one(plain("ann", secret)), /^235 /);
  }

  it("takes mail from swaks, and says 250 when Dovecot has it", async () => {
    const authority = join(serve.folder, "gateway-ca.pem");
    writeFileSync(authority, ca);
    const swaks = async (...args: readonly string[]) => {
      const all = ["--server", `127.0.0.1:${ports.smtp}`, "--from", "me@else.test", "--timeout", "20", ...args];
      const child = spawn(pathOf("swaks")!, all, { stdio: ["ignore", "pipe", "pipe"] });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text) => (output += text));
      }
      const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
      return { status, output };
    };
    const count = () => dovecot.mailbox("bob").length;
    const before = count();
    const body = "Subject: by swaks\n\n.dots\nand a last line";
    const sent = await swaks(
      "--to",
      "bob@example.test",
      "--data",
      body,
      "--tls",
      "--tls-ca-path",
      authority,
      "--auth",
      "PLAIN",
      "--auth-user",
      "ann",
      "--auth-password",
      ACCOUNTS.ann!,
    );
    assert.equal(sent.status, 0, sent.output);
    assert.match(sent.output, /235 /);
    // Stored when the client hears of it, not some time later.
    assert.equal(count(), before + 1);
    const stored = dovecot.mailbox("bob").at(-1)!.toString();
    assert.match(stored, /Received: from .*\r\n\tby .* with ESMTPSA id [A-Z0-9]+\r\n\tfor <bob@example\.test>;/);
    assert.match(stored, /\r\n\.dots\r\nand a last line/);
    const [, id] = / id ([A-Z0-9]+)\r\n/.exec(stored)!;
    assert.match(sent.output, new RegExp(`250 2\\.0\\.0 .*\\(id ${id}\\)`));
    const records = serve.log.trim().split("\n");
    const record = JSON.parse(records.find((line) => line.includes(`"id":"${id}"`))!) as Record<string, unknown>;
    assert.deepEqual(
      [record.event, record.user, record.client, record.sender],
      ["serve-relayed", "ann", "127.0.0.1", "me@else.test"],
    );
    for (const version of [record.clientTls, record.tls]) {
      assert.match(String(version), /^TLSv1\.[23]$/);
    }
    assert.match(
      JSON.stringify(record.recipients),
      /"recipient":"bob@example\.test","status":"delivered","reply":"250 2\.0\.0 /,
    );

    const wrong = await swaks(
      "--to",
      "bob@example.test",
      "--tls",
      "--auth",
      "LOGIN",
      "--auth-user",
      "ann",
      "--auth-password",
      "no",
    );
    assert.match(wrong.output, /535 5\.7\.8 /);
    const unknown = await swaks("--to", "nobody@example.test");
    assert.match(unknown.output, /550 5\.1\.1 /);
    const elsewhere = await swaks("--to", "ann@elsewhere.test");
    assert.match(elsewhere.output, /550 5\.7\.1 relaying denied/);
    assert.equal(count(), before + 1);
  });
});
