/** Accounts by OAuth 2.0 from end to end: a token server, strict mail servers that take its tokens, and whole workers between them. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import type { Worker } from "node:worker_threads";
import { pino } from "pino";
import { type HostInput, type RelaypostError, type RelayResult, RemoteHosts } from "../../src/index.js";
import { listenMail, type StrictServer } from "../../src/testing/index.js";
import { answer, TokenServer } from "../kit/token-server.js";

const SECRET = "kanarienvogel-c4e1";
const ENVELOPE = { from: "gw@example.org", to: "ann@example.org" };

/** Everything that one test needs, and what it left in the log. */
interface House extends AsyncDisposable {
  readonly tokens: TokenServer;
  /** What the mail server takes as a token of the user `gateway`. */
  readonly accepted: Record<string, string>;
  readonly mail: StrictServer;
  readonly hosts: RemoteHosts;
  readonly log: string[];
  readonly host: HostInput;
}

async function open(mechanism: string, further: Partial<HostInput> = {}): Promise<House> {
  const tokens = await TokenServer.listen();
  const accepted: Record<string, string> = {};
  tokens.onToken = (token) => {
    accepted.gateway = token;
  };
  const capabilities = { auth: ["PLAIN", mechanism] };
  const mail = await listenMail({ tokens: accepted, capabilities, requireAuth: true });
  const host: HostInput = {
    address: "127.0.0.1",
    port: mail.port,
    protocol: "smtp",
    tls: { implicit: false, starttls: "disable" },
    auth: {
      username: "gateway",
      "allow-plaintext": true,
      oauth2: { "token-url": tokens.url, "client-id": "gw", "client-secret": SECRET, scope: "smtp" },
    },
    ...further,
  };
  const log: string[] = [];
  const logger = pino({ level: "debug" }, { write: (line: string) => void log.push(line) });
  const hosts = await RemoteHosts.open(
    { runtime: { hostname: "gw.example.org", start: "eager" }, remote: { x: host } },
    { logger },
  );
  return {
    ...{ tokens, accepted, mail, hosts, log, host },
    async [Symbol.asyncDispose]() {
      await hosts.close({ drainMs: 0 });
      await mail.close();
      await tokens[Symbol.asyncDispose]();
    },
  };
}

function relay({ hosts }: House, count = 1): Promise<RelayResult[]> {
  const one = (): Promise<RelayResult> =>
    hosts.host("x").relay(ENVELOPE, "Subject: hi\r\n\r\nhi\r\n", { timeoutMs: 20_000 });
  return Promise.all(Array.from({ length: count }, one));
}

function areDelivered(results: readonly RelayResult[]): boolean {
  return results.every(({ recipients }) => recipients.every(({ status }) => status === "delivered"));
}

async function failureOf(promise: Promise<unknown>): Promise<RelaypostError> {
  try {
    await promise;
  } catch (error) {
    return error as RelaypostError;
  }
  throw new Error("it did not fail");
}

function eventsOf({ log }: House, event: string): { msg: string }[] {
  return log.map((line) => JSON.parse(line) as { event: string; msg: string }).filter((each) => each.event === event);
}

async function betraysNothing(house: House, ...shown: unknown[]): Promise<void> {
  const all = inspect([house.log, await house.hosts.stats(), await house.hosts.reports(), ...shown], { depth: 20 });
  assert.ok(!all.includes(SECRET), "the client's secret");
  assert.doesNotMatch(all, /token-\d/, "a token");
}

for (const mechanism of ["OAUTHBEARER", "XOAUTH2"]) {
  describe(`an account that logs in with ${mechanism}`, () => {
    test("fetches one token for all connections", async () => {
      await using house = await open(mechanism);
      assert.ok(areDelivered(await relay(house, 40)));
      assert.ok(house.mail.ledger.connections.length > 1);
      assert.equal(house.tokens.requests.length, 1);
      assert.equal(eventsOf(house, "token-fetched").length, 1);
      await betraysNothing(house);
    });

    test("tries another token where the host refuses one, and no message is rejected for it", async () => {
      await using house = await open(mechanism, { concurrency: 4, limits: { requests: 1 } });
      assert.ok(areDelivered(await relay(house)));
      house.accepted.gateway = "revoked";
      assert.ok(areDelivered(await relay(house, 12)));
      assert.equal(house.tokens.requests.length, 2);
      const [refused] = eventsOf(house, "token-refused");
      assert.match(refused!.msg, /the access token of remote\.x\.auth\.oauth2 \(status invalid_token, scope mail\)\.$/);
      await betraysNothing(house);
    });

    test("says what the mail server said, where it takes no token at all", async () => {
      await using house = await open(mechanism);
      house.tokens.onToken = () => {};
      const failure = await failureOf(relay(house));
      assert.equal(failure.code, "AUTH_FAILED");
      assert.match(failure.message, /^The host refused the access token of .* \(status invalid_token, scope mail\)\.$/);
      assert.equal(failure.reply?.code, 535);
      assert.equal(house.tokens.requests.length, 2);
      await betraysNothing(house, failure);
    });

    test("says what the token server said, where it has no token, and leaves the mail server alone", async () => {
      await using house = await open(mechanism);
      house.tokens.orders.push(answer(400, { error: "invalid_client", error_description: `not ${SECRET}` }));
      const failure = await failureOf(relay(house));
      assert.equal(failure.code, "TOKEN_FAILED");
      assert.match(failure.message, /^The token server 127\.0\.0\.1:\d+ refused: \(withheld: .*the host was not asked/);
      assert.equal(house.mail.ledger.connections.length, 0);
      const [report] = await house.hosts.reports();
      assert.equal(report?.diagnosis.cause, "token-server");
      await betraysNothing(house, failure);
    });
  });
}

describe("an account by OAuth 2.0", () => {
  test("keeps its token when the worker is lost, and across a reload that does not concern it", async () => {
    const workers: Worker[] = [];
    const note = (worker: Worker): void => void workers.push(worker);
    process.on("worker", note);
    await using house = await open("XOAUTH2");
    process.off("worker", note);
    assert.ok(areDelivered(await relay(house)));
    await workers[0]!.terminate();
    assert.ok(areDelivered(await retried(() => relay(house))));
    await house.hosts.reload({ remote: { x: { ...house.host, concurrency: 3 } } });
    assert.ok(areDelivered(await relay(house)));
    assert.equal(house.tokens.requests.length, 1);
  });

  test("with other settings fetches another token", async () => {
    await using house = await open("XOAUTH2");
    assert.ok(areDelivered(await relay(house)));
    const oauth2 = house.host.auth!.oauth2!;
    await house.hosts.reload({
      remote: { x: { ...house.host, auth: { ...house.host.auth, oauth2: { ...oauth2, scope: "other" } } } },
    });
    assert.ok(areDelivered(await relay(house)));
    assert.deepEqual(
      house.tokens.requests.map((request) => request.get("scope")),
      ["smtp", "other"],
    );
  });

  test("writes a rotated refresh token to its file, and a reload changes nothing by that", async (context) => {
    const folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    context.after(() => rm(folder, { recursive: true }));
    const file = join(folder, "refresh");
    await writeFile(file, "first\n", { mode: 0o600 });
    await using house = await open("XOAUTH2");
    const { "client-secret": _, ...others } = house.host.auth!.oauth2!;
    const oauth2 = { ...others, grant: "refresh-token", "refresh-token-file": file } as const;
    const config = { remote: { x: { ...house.host, auth: { ...house.host.auth, oauth2 } } } };
    assert.deepEqual((await house.hosts.reload(config)).changed, ["x"]);
    house.tokens.orders.push({ refresh_token: "second" });
    assert.ok(areDelivered(await relay(house)));
    assert.equal(house.tokens.requests[0]!.get("refresh_token"), "first");
    assert.deepEqual((await house.hosts.reload(config)).unchanged, ["x"]);
  });

  test("ends a request to a silent token server when it is closed", async () => {
    const house = await open("XOAUTH2");
    const asked = new Promise<void>((resolve) => house.tokens.orders.push(() => resolve()));
    const relayed = failureOf(relay(house));
    await asked;
    await house[Symbol.asyncDispose]();
    assert.equal((await relayed).code, "MAILBOX_CLOSED");
  });
});

/** The request that the loss of the worker hits is rejected: nobody received it. */
async function retried(run: () => Promise<RelayResult[]>): Promise<RelayResult[]> {
  for (;;) {
    try {
      return await run();
    } catch (error) {
      assert.equal((error as RelaypostError).code, "WORKER_LOST");
    }
  }
}
