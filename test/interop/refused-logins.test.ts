/** Forty wrong logins of twenty users from five clients, through a real Postfix, a real Exim and the gateway: forty records each, which the real fail2ban counts. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { RawClient } from "../kit/raw-client.js";
import { Dovecot } from "./kit/dovecot.js";
import { authenticatorsAt, Exim, reasonWithoutExim } from "./kit/exim.js";
import { writeAuthority } from "./kit/hosts.js";
import { Postfix } from "./kit/postfix.js";
import { freePorts, pathOf, reasonToSkip } from "./kit/sandbox.js";
import { ServeProcess, tablesOf } from "./kit/serve.js";

const skip = reasonToSkip("dovecot", "postfix", "fail2ban-regex");
const FILTER = fileURLToPath(new URL("../../../examples/fail2ban/filter.d/relaypost.conf", import.meta.url));
const CLIENTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
const USERS = Array.from({ length: 20 }, (_, at) => `sprayed${at}`);
const base64 = (text: string) => Buffer.from(text).toString("base64");

interface Refusal {
  readonly event: string;
  readonly listener: string;
  readonly client: string;
  readonly user: string;
  readonly mechanism: string;
  readonly reason: string;
}

describe("refused logins", { skip, timeout: 120_000 }, () => {
  let dovecot: Dovecot;
  let serve: ServeProcess;
  let port: number;

  before(async () => {
    dovecot = await Dovecot.start();
    [port] = (await freePorts(1)) as [number];
    serve = await ServeProcess.start();
    writeAuthority(serve.folder, dovecot.ca);
    serve.write(`${tablesOf(dovecot)}[serve.sasl]
protocol = "dovecot-auth"
listen = "unix:FOLDER/sasl"
mode = "0666"
host = "imap"
[serve.in]
protocol = "smtp"
listen = "127.0.0.1:${port}"
host = "lmtp"
auth = { host = "imap", allow-plaintext = true }
`);
  });

  after(async () => {
    await serve?.[Symbol.asyncDispose]();
    await dovecot?.stop();
  });

  /** Two wrong logins of each user, four users from each client, by PLAIN and by LOGIN. */
  async function spray(at: number): Promise<void> {
    for (const [number, user] of USERS.entries()) {
      await using client = await RawClient.connect(at, undefined, CLIENTS[number % CLIENTS.length]);
      await client.replies(1);
      await client.ask("EHLO client.test");
      assert.match(await client.ask(`AUTH PLAIN ${base64(`\0${user}\0wrong`)}`), /^535 /);
      await client.ask("AUTH LOGIN");
      await client.ask(base64(user));
      assert.match(await client.ask(base64("also wrong")), /^535 /);
    }
  }

  /** What was logged since the last reload, once it stands there. */
  function refusals(): Refusal[] {
    const records = serve.log
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Refusal);
    return records.filter(({ event }) => event === "serve-auth-refused");
  }

  async function check(listener: string): Promise<void> {
    await serve.logged("serve-auth-refused", 40);
    const found = refusals();
    assert.equal(found.length, 40);
    const expected = USERS.flatMap((user, number) =>
      ["PLAIN", "LOGIN"].map((mechanism) => `${listener} ${user} ${CLIENTS[number % CLIENTS.length]} ${mechanism}`),
    );
    const of = ({ listener, user, client, mechanism }: Refusal) => `${listener} ${user} ${client} ${mechanism}`;
    assert.deepEqual(found.map(of).sort(), expected.sort());
    for (const { reason } of found) {
      assert.match(reason, /^NO \[AUTHENTICATIONFAILED\] Authentication failed/);
    }
    const file = join(serve.folder, "log");
    writeFileSync(file, serve.log);
    const { stdout, stderr } = spawnSync(pathOf("fail2ban-regex")!, ["--out", "ip", file, FILTER], {
      encoding: "utf8",
    });
    const lines = stdout.trim().split("\n");
    assert.equal(lines.length, 40, stdout + stderr);
    for (const client of CLIENTS) {
      assert.equal(lines.filter((line) => line === client).length, 8);
    }
  }

  it("have a record each behind a real Postfix", async () => {
    await serve.reload();
    await using postfix = await Postfix.start(dovecot, { main: { smtpd_sasl_path: `${serve.folder}/sasl` } });
    await spray(postfix.ports.smtp);
    await check("sasl");
  });

  it("have a record each behind a real Exim", { skip: reasonWithoutExim() }, async () => {
    await serve.reload();
    await using exim = await Exim.start(authenticatorsAt(`${serve.folder}/sasl`));
    await spray(exim.port);
    await check("sasl");
  });

  it("have a record each at the gateway", async () => {
    await serve.reload();
    await spray(port);
    await check("in");
  });
});
