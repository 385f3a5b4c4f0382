/**
 * Accounts without a password at a real Dovecot: its submission service takes access tokens of a token server, and a client
 * certificate. Its IMAP takes the tokens of users.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { pino } from "pino";
import { type HostInput, RelaypostError, type RelayResult, RemoteHosts } from "../../src/index.js";
import { makeCertificate } from "../../src/testing/index.js";
import { TokenServer } from "../kit/token-server.js";
import { Dovecot } from "./kit/dovecot.js";
import { openHosts, verdictOf, writeAuthority } from "./kit/hosts.js";
import { makeFolder, reasonToSkip } from "./kit/sandbox.js";
import { Submission } from "./kit/submission.js";

const skip = reasonToSkip("dovecot", "submission-login");
const ENVELOPE = { from: "gw@example.test", to: "someone@elsewhere.example" };

/** One host, and what it logged. */
async function open(host: HostInput): Promise<{ hosts: RemoteHosts; log: string[] }> {
  const log: string[] = [];
  const logger = pino({ level: "debug" }, { write: (line: string) => void log.push(line) });
  return { hosts: await RemoteHosts.open({ remote: { x: host } }, { logger }), log };
}

function relay(hosts: RemoteHosts, count = 1): Promise<RelayResult[]> {
  const one = () => hosts.host("x").relay(ENVELOPE, "Subject: hi\r\n\r\nhi\r\n", { timeoutMs: 20_000 });
  return Promise.all(Array.from({ length: count }, one));
}

function statusesOf(results: readonly RelayResult[]): string[] {
  return results.flatMap(({ recipients }) => recipients.map(({ status }) => status));
}

describe("access tokens at Dovecot", { skip, timeout: 120_000 }, () => {
  let tokens: TokenServer;
  let dovecot: Dovecot;

  before(async () => {
    tokens = await TokenServer.listen();
    dovecot = await Dovecot.start({ introspectionUrl: tokens.introspectionUrl });
  });
  after(async () => {
    await dovecot?.stop();
    await tokens?.[Symbol.asyncDispose]();
  });

  test("of users, as its IMAP hears of them from the token server", async () => {
    const ca = writeAuthority(dovecot.folder, dovecot.ca);
    await using hosts = await openHosts({
      imap: { address: "127.0.0.1", port: dovecot.ports.imaps, protocol: "imap", tls: { ca } },
    });
    const ask = () => verdictOf(hosts.host("imap").authenticate({ username: "ann", accessToken: "of-ann" }));
    tokens.active.set("of-ann", "ann");
    assert.equal(await ask(), "found");
    tokens.active.set("of-ann", "bob");
    assert.equal(await ask(), "not found", "it is another user's");
    tokens.active.delete("of-ann");
    assert.equal(await ask(), "not found", "it has ended");
  });
});

/** What Dovecot says of a token that it does not take, in each mechanism's challenge. */
const CHALLENGES = { XOAUTH2: "status 401, scope mail", OAUTHBEARER: "status invalid_token" };

for (const [mechanism, challenge] of Object.entries(CHALLENGES)) {
  describe(`an account that logs in at Dovecot by ${mechanism}`, { skip, timeout: 120_000 }, () => {
    let tokens: TokenServer;
    let submission: Submission;
    let host: HostInput;

    before(async () => {
      tokens = await TokenServer.listen();
      const { introspectionUrl } = tokens;
      submission = await Submission.start({ introspectionUrl, mechanisms: ["PLAIN", mechanism] });
    });
    after(async () => {
      await submission?.[Symbol.asyncDispose]();
      await tokens?.[Symbol.asyncDispose]();
    });
    beforeEach(() => {
      tokens.requests.length = 0;
      tokens.active.clear();
      tokens.onToken = (token) => void tokens.active.set(token, "ann");
      const { dovecot, port } = submission;
      host = {
        address: "127.0.0.1",
        port,
        protocol: "smtp",
        concurrency: 2,
        limits: { requests: 1 },
        tls: { implicit: false, ca: writeAuthority(dovecot.folder, dovecot.ca) },
        auth: {
          username: "ann",
          oauth2: { "token-url": tokens.url, "client-id": "gw", "client-secret": "kanarienvogel" },
        },
      };
    });

    test("one token serves its connections, until Dovecot takes it no more: then another one is fetched, once", async () => {
      const { hosts, log } = await open(host);
      await using _ = hosts;
      assert.deepEqual(new Set(statusesOf(await relay(hosts, 10))), new Set(["delivered"]));
      assert.equal(tokens.requests.length, 1);
      assert.match(
        submission.dovecot.log,
        new RegExp(`submission-login: Info: Login: user=<ann>, method=${mechanism},`),
      );
      tokens.active.clear();
      assert.deepEqual(new Set(statusesOf(await relay(hosts, 10))), new Set(["delivered"]));
      assert.equal(tokens.requests.length, 2);
      assert.equal(submission.behind.ledger.deliveries.length, 20);
      const refused = log.filter((line) => line.includes('"event":"token-refused"'));
      assert.match(refused[0]!, new RegExp(`auth\\.oauth2 \\(${challenge}\\)`));
      assert.doesNotMatch(log.join(""), /token-\d|kanarienvogel/);
    });

    test("a token that is another user's is refused in Dovecot's words, and one more is tried", async () => {
      tokens.onToken = (token) => void tokens.active.set(token, "bob");
      const { hosts } = await open(host);
      await using _ = hosts;
      await assert.rejects(relay(hosts), (error) => {
        assert.ok(error instanceof RelaypostError);
        assert.equal(error.code, "AUTH_FAILED");
        assert.equal(error.reply?.code, 535);
        assert.equal(error.message, `The host refused the access token of remote.x.auth.oauth2 (${challenge}).`);
        return true;
      });
      assert.equal(tokens.requests.length, 2);
    });
  });
}

test("an account that logs in at Dovecot by its certificate (EXTERNAL), and one whose certificate nobody knows", {
  skip,
  timeout: 60_000,
}, async () => {
  const { path: folder, remove } = makeFolder("certificates");
  const [known, unknown] = await Promise.all([
    makeCertificate({ kind: "own-ca", names: ["ann"] }),
    makeCertificate({ names: ["ann"] }),
  ]);
  const fileOf = (name: string, content: string): string => {
    const file = join(folder, name);
    writeFileSync(file, content);
    return file;
  };
  await using submission = await Submission.start({
    mechanisms: ["PLAIN", "EXTERNAL"],
    more: `
ssl_ca = <${fileOf("clients.pem", known.ca)}
ssl_require_crl = no
ssl_verify_client_cert = yes
auth_ssl_username_from_cert = yes
passdb {
  driver = static
  mechanisms = external
  args = nopassword=y
}
`,
  });
  const { dovecot, port, behind } = submission;
  const open = (name: string, { cert, key }: { cert: string; key: string }) =>
    openHosts({
      x: {
        address: "127.0.0.1",
        port,
        protocol: "smtp",
        tls: {
          implicit: false,
          ca: writeAuthority(dovecot.folder, dovecot.ca),
          cert: fileOf(`${name}.crt`, cert),
          key: fileOf(`${name}.key`, key),
        },
        auth: { external: true },
      },
    });
  {
    await using hosts = await open("known", known);
    assert.deepEqual(statusesOf(await relay(hosts)), ["delivered"]);
    assert.match(dovecot.log, /submission-login: Info: Login: user=<ann>, method=EXTERNAL,/);
  }
  {
    await using hosts = await open("unknown", unknown);
    await assert.rejects(relay(hosts), (error) => {
      assert.ok(error instanceof RelaypostError);
      assert.equal(error.code, "AUTH_FAILED");
      assert.equal(error.message, "The host refused the certificate (tls.cert) of remote.x.auth.external.");
      return true;
    });
    assert.equal(behind.ledger.deliveries.length, 1);
  }
  remove();
});
