/** Accounts by OAuth 2.0 on the command line: what is said of them, which of the two servers said what, and nothing of their secrets. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { listenMail, type StrictServer } from "../../src/testing/index.js";
import { answer, TokenServer } from "../kit/token-server.js";
import { type Ran, relaypost } from "./command-line.js";

const SECRET = "kanarienvogel-77d0";

describe("an account by OAuth 2.0 on the command line", () => {
  const accepted: Record<string, string> = {};
  let tokens: TokenServer;
  let mail: StrictServer;
  let folder: string;
  let config: string;

  before(async () => {
    tokens = await TokenServer.listen();
    const capabilities = { auth: ["PLAIN", "OAUTHBEARER"] };
    mail = await listenMail({ recipients: ["ann@example.org"], tokens: accepted, capabilities, requireAuth: true });
    folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    config = join(folder, "remotes.toml");
    await writeFile(
      config,
      `[runtime]
hostname = "gw.example.org"
[remote.x]
address = "127.0.0.1"
port = ${mail.port}
protocol = "smtp"
lookup = true
tls = { implicit = false, starttls = "disable" }
[remote.x.auth]
username = "gateway"
allow-plaintext = true
oauth2 = { token-url = "${tokens.url}", client-id = "gw", client-secret = "${SECRET}", scope = "smtp" }
`,
      { mode: 0o600 },
    );
  });

  after(async () => {
    await mail.close();
    await tokens[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  beforeEach(() => {
    tokens.orders.length = 0;
    tokens.onToken = (token) => {
      accepted.gateway = token;
    };
  });

  const run = async (...args: string[]): Promise<Ran> => {
    const [verb = "", ...others] = args;
    const ran = await relaypost([verb, config, ...others], "Subject: hi\n\nhi\n");
    assert.doesNotMatch(`${ran.stdout}${ran.stderr}`, new RegExp(`${SECRET}|token-\\d`), "a secret is printed");
    return ran;
  };
  const relay = () => run("relay", "x", "--from", "gw@example.org", "--to", "ann@example.org", "-");

  it("is shown by check, which asks neither server", async () => {
    const asked = tokens.requests.length;
    const { code, stdout } = await run("check");
    assert.equal(code, 0);
    assert.match(stdout, /oauth2/);
    assert.equal(tokens.requests.length, asked);
  });

  it("is shown by probe beside what the host offers, without a token", async () => {
    const asked = tokens.requests.length;
    const { code, stdout } = await run("probe", "x");
    assert.equal(code, 0);
    assert.match(stdout, /OAUTHBEARER/);
    assert.ok(stdout.includes(`access tokens of ${tokens.host}`), stdout);
    assert.equal(tokens.requests.length, asked);
  });

  it("carries a message and a lookup, and the doctor has nothing against it", async () => {
    assert.equal((await relay()).code, 0);
    const { code, stdout } = await run("lookup", "x", "rcpt", "ann@example.org");
    assert.equal(code, 0, stdout);
    assert.doesNotMatch((await run("doctor", "x")).stdout, /auth\.oauth2|access token/);
  });

  it("that the token server refuses is the token server's doing", async () => {
    const refusal = answer(400, { error: "invalid_grant", error_description: "the account is gone" });
    tokens.orders.push(refusal, refusal, refusal);
    const { code, stdout, stderr } = await relay();
    assert.notEqual(code, 0);
    const said = `${stdout}${stderr}`;
    assert.ok(said.includes(tokens.host), said);
    assert.match(said, /invalid_grant/);
    tokens.orders.length = 0;
    tokens.orders.push(refusal, refusal, refusal);
    const examined = await run("doctor", "x");
    assert.equal(examined.code, 1);
    assert.match(examined.stdout, /auth\.oauth2[\s\S]*invalid_grant/);
  });

  it("that the host refuses is the host's doing", async () => {
    tokens.onToken = () => {
      accepted.gateway = "another";
    };
    const { code, stdout, stderr } = await relay();
    assert.notEqual(code, 0);
    const said = `${stdout}${stderr}`;
    assert.match(said, /The host refused the access token of remote\.x\.auth\.oauth2 \(status invalid_token/);
    assert.doesNotMatch(said, /token server/);
  });
});
