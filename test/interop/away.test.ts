/** docs/serve.md to the letter, with the daemon stopped: what a real Postfix and a real Exim do then, and when it is back. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { RawClient } from "../kit/raw-client.js";
import { Dovecot } from "./kit/dovecot.js";
import { Exim, reasonWithoutExim } from "./kit/exim.js";
import { writeAuthority } from "./kit/hosts.js";
import { settingsIn, snippetsOf } from "./kit/page.js";
import { Postfix } from "./kit/postfix.js";
import { ACCOUNTS, addressOf, DOMAIN, freePorts, reasonToSkip, run } from "./kit/sandbox.js";
import { ServeProcess } from "./kit/serve.js";

const skip = reasonToSkip("dovecot", "postfix");
const EXAMPLE = new URL("../../../examples/systemd/serve.toml", import.meta.url);
const LOGIN = `AUTH PLAIN ${Buffer.from(`\0ann\0${ACCOUNTS.ann}`).toString("base64")}`;
/** A domain of Postfix' own, which relaypost has nothing to do with. */
const OWN = "someone@own.test";

describe("the lines of docs/serve.md", { skip, timeout: 240_000 }, () => {
  let dovecot: Dovecot;
  let serve: ServeProcess;
  let postfix: Postfix;
  let ports: { submission: number; submissions: number; http: number };

  /** What the page and the example say, for the places of this test. */
  const here = (text: string) =>
    text.replaceAll("/run/relaypost/", `${serve.folder}/`).replaceAll("example.org", DOMAIN);

  before(async () => {
    dovecot = await Dovecot.start();
    serve = await ServeProcess.start();
    serveGroup("postfix");
    writeAuthority(serve.folder, dovecot.ca);
    const [submission, submissions, http] = (await freePorts(3)) as [number, number, number];
    ports = { submission, submissions, http };
    serve.write(configuration());
    await serve.reload();
    const lines = snippetsOf("main.cf").filter((snippet) => !snippet.includes("tcp:"));
    const master = here(snippetsOf("master.cf").join(""))
      .replace(/^submission /m, `127.0.0.1:${submission} `)
      .replace(/^submissions /m, `127.0.0.1:${submissions} `);
    postfix = await Postfix.start(dovecot, {
      main: {
        // The kit's own, which the page warns of.
        smtpd_sasl_auth_enable: "no",
        mydestination: "own.test",
        smtpd_relay_restrictions: "permit_sasl_authenticated, reject_unauth_destination",
        service_throttle_time: "1s",
        // A process for each client, so that none is left from before the daemon was stopped.
        max_use: "1",
        // What is deferred is tried again soon.
        queue_run_delay: "1s",
        minimal_backoff_time: "1s",
        maximal_backoff_time: "1s",
        ...settingsIn(lines.map(here)),
      },
      master,
    });
  });

  after(async () => {
    await postfix?.stop();
    await serve?.[Symbol.asyncDispose]();
    await dovecot?.stop();
  });

  /** As /run/relaypost is made for an MTA's user. */
  function serveGroup(user: string): void {
    chownSync(serve.folder, 0, Number(run("id", "-g", user)));
    chmodSync(serve.folder, 0o2755);
  }

  /** examples/systemd/serve.toml with Dovecot as the store. */
  function configuration(): string {
    return here(readFileSync(EXAMPLE, "utf8"))
      .replaceAll(`"store.${DOMAIN}"`, '"127.0.0.1"')
      .replace("port = 24\n", `port = ${dovecot.ports.lmtp}\n`)
      .replace("port = 993\n", `port = ${dovecot.ports.imaps}\ntls = { ca = "ca.pem" }\n`)
      .replace("tls = { implicit = false }", 'tls = { implicit = false, ca = "ca.pem" }')
      .replace(":9186", `:${ports.http}`);
  }

  async function greeted(port: number): Promise<RawClient> {
    const client = await RawClient.connect(port);
    await client.replies(1);
    await client.ask("EHLO client.test");
    return client;
  }

  async function secured(port: number, ca: string): Promise<RawClient> {
    const client = await greeted(port);
    await client.ask("STARTTLS");
    await client.startTls(ca);
    await client.ask("EHLO client.test");
    return client;
  }

  const submission = () => secured(ports.submission, postfix.ca);

  /** What port 25 says of recipients. */
  async function rcpt(...recipients: readonly string[]): Promise<string[]> {
    await using client = await greeted(postfix.ports.smtp);
    assert.match(await client.ask("MAIL FROM:<me@else.test>"), /^250 /);
    const replies: string[] = [];
    for (const recipient of recipients) {
      replies.push(await client.ask(`RCPT TO:<${recipient}>`));
    }
    return replies;
  }

  /** The reply to a login on the submission port, once its smtpd processes are started again; there is no event for that. */
  async function loginWhenBack(): Promise<string> {
    for (;;) {
      try {
        await using client = await submission();
        return await client.ask(LOGIN);
      } catch {
        await sleep(100);
      }
    }
  }

  it("serve Postfix: recipients, policy, passwords, and the way to the store", async () => {
    const [known, unknown, own] = await rcpt(addressOf("ann"), addressOf("nobody"), OWN);
    assert.match(known!, /^250 /);
    assert.match(unknown!, /^55\d 5\.1\.1 /);
    assert.match(own!, /^250 /);
    await using client = await submission();
    assert.match(await client.ask(LOGIN), /^235 /);
    await using implicit = await RawClient.connect(ports.submissions, { ca: postfix.ca });
    await implicit.replies(1);
    await implicit.ask("EHLO client.test");
    assert.match(await implicit.ask(LOGIN), /^235 /);
  });

  it("leave port 25 alive while the daemon is away, and lose nothing", async () => {
    await using open = await submission();
    await using loggedIn = await submission();
    assert.match(await loggedIn.ask(LOGIN), /^235 /);
    const before = dovecot.mailbox("ann").length;
    await serve.stop();
    for (let session = 0; session < 2; session++) {
      const [known, unknown, own] = await rcpt(addressOf("ann"), addressOf("nobody"), OWN);
      assert.match(known!, /^451 4\.3\.[05] /);
      assert.match(unknown!, /^451 4\.3\.[05] /);
      assert.match(own!, /^250 /);
    }
    assert.match(await open.ask(LOGIN), /^454 4\.7\.0 /);
    await assert.rejects(submission());
    // Who has logged in still sends; the message waits for the daemon.
    for (const line of ["MAIL FROM:<ann@example.test>", `RCPT TO:<${addressOf("ann")}>`]) {
      assert.match(await loggedIn.ask(line), /^250 /);
    }
    assert.match(await loggedIn.ask("DATA"), /^354 /);
    assert.match(await loggedIn.ask("Subject: patience\r\n\r\nx\r\n."), /^250 /);
    while (!/ status=deferred /.test(postfix.log)) {
      await sleep(50);
    }
    assert.match(postfix.log, /submission\/smtpd\[\d+\]: fatal: no SASL authentication mechanisms/);
    assert.doesNotMatch(postfix.log, /postfix\/smtpd\[\d+\]: fatal/);
    assert.doesNotMatch(postfix.log, /status=bounced/);

    await serve.begin();
    assert.match(await loginWhenBack(), /^235 /);
    assert.match((await rcpt(addressOf("ann")))[0]!, /^250 /);
    while (dovecot.mailbox("ann").length === before) {
      await sleep(50);
    }
  });

  it("tell nobody 5yz under traffic, while the daemon is stopped and started", async () => {
    const replies = { rcpt: [] as string[], login: [] as string[], own: [] as string[] };
    let isOver = false;
    const clients = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const [known, own] = await rcpt(addressOf("bob"), OWN);
        replies.rcpt.push(known!);
        replies.own.push(own!);
      }
    });
    const users = Array.from({ length: 2 }, async () => {
      while (!isOver) {
        replies.login.push(await loginWhenBack());
      }
    });
    for (let round = 0; round < 3; round++) {
      const count = replies.rcpt.length;
      while (replies.rcpt.length < count + 8) {
        await sleep(20);
      }
      await serve.stop();
      const down = replies.rcpt.length;
      while (replies.rcpt.length < down + 8) {
        await sleep(20);
      }
      await serve.begin();
    }
    isOver = true;
    await Promise.all([...clients, ...users]);
    const codes = (of: readonly string[]) => [...new Set(of.map((reply) => reply.slice(0, 3)))].sort();
    assert.deepEqual(codes(replies.rcpt), ["250", "451"]);
    assert.deepEqual(codes(replies.own), ["250"]);
    assert.deepEqual(
      codes(replies.login).filter((code) => code !== "454"),
      ["235"],
    );
  });

  it("tell nobody 5yz while the store hangs, and refuse at once when that is known, until it goes on", async () => {
    await serve.stop();
    await serve.begin();
    const recipients = Array.from({ length: 40 }, (_, at) => addressOf(`user${at}`));
    const ask = async () => (await rcpt(recipients.shift()!))[0]!;
    const isKnown = (event: string, host: string) => serve.log.includes(`"event":"${event}","hostId":"${host}"`);
    assert.match(await ask(), /^250 /);
    assert.match(await loginWhenBack(), /^235 /);
    const during: string[] = [];
    dovecot.signal("SIGSTOP");
    try {
      // A stranger's login, since a right one is in the cache.
      const logins = (async () => {
        while (!isKnown("host-down", "imap")) {
          await using client = await submission();
          during.push(await client.ask(`AUTH PLAIN ${Buffer.from("\0bob\0not cached").toString("base64")}`));
        }
      })();
      while (!isKnown("host-down", "lmtp")) {
        during.push(await ask());
      }
      await logins;
      during.push(await ask());
    } finally {
      dovecot.signal("SIGCONT");
    }
    assert.ok(during.length > 2);
    assert.ok(
      during.every((reply) => /^45[014] /.test(reply)),
      during.join("\n"),
    );
    while (!isKnown("host-up", "lmtp")) {
      during.push(await ask());
      await sleep(200);
    }
    assert.match(await ask(), /^250 /);
    assert.ok(
      during.every((reply) => /^(?:250|45[014]) /.test(reply)),
      during.join("\n"),
    );
    assert.match(await loginWhenBack(), /^235 /);
  });

  it("serve Exim, which says 435 while the daemon is away, and while the store hangs", {
    skip: reasonWithoutExim(),
  }, async () => {
    const authenticators = here(snippetsOf("exim.conf").join("")).replace(
      /^(# exim\.conf|begin authenticators)\n/gm,
      "",
    );
    await using exim = await Exim.start(authenticators);
    const login = async () => {
      await using client = await secured(exim.port, exim.ca);
      return await client.ask(LOGIN);
    };
    serveGroup("Debian-exim");
    await serve.stop();
    assert.match(await login(), /^435 /);
    await serve.begin();
    assert.match(await login(), /^235 /);
    await serve.stop();
    assert.match(await login(), /^435 /);
    await serve.begin();
    assert.match(await login(), /^235 /);
    const isKnown = (event: string) => serve.log.includes(`"event":"${event}","hostId":"imap"`);
    const stranger = async () => {
      await using client = await secured(exim.port, exim.ca);
      return await client.ask(`AUTH PLAIN ${Buffer.from("\0bob\0not cached").toString("base64")}`);
    };
    dovecot.signal("SIGSTOP");
    try {
      while (!isKnown("host-down")) {
        assert.match(await stranger(), /^435 /, "the store hangs");
      }
      assert.match(await stranger(), /^435 /, "that is known");
    } finally {
      dovecot.signal("SIGCONT");
    }
    while (!isKnown("host-up")) {
      await sleep(50);
    }
    assert.match(await stranger(), /^535 /, "now the store has said so");
    assert.match(await login(), /^235 /);
  });
});
