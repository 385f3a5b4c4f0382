/**
 * The whole house with all of it on at once: messages teach a cache that has a file, catch-alls are looked for, harvesters are suspected,
 * tenants and priorities take turns, clients are named, a rate is kept, one service has two addresses, and a shadow asks another host.
 * What holds without them holds with them.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  type ConfigInput,
  type LookupAnswer,
  type RemoteHost,
  RemoteHosts,
  type RequestOptions,
} from "../../src/index.js";
import { listenMail, type StrictServer } from "../../src/testing/index.js";
import { RecordedLog } from "../unit/kit/fake-hosts.js";
import { closeAfterEach } from "./kit/closing.js";

const CONCURRENCY = 3;
const ACCOUNT = "canary-account-7f3a9d";
const SECRET = "canary-anna-7f3a9d";
const WRONG = "canary-wrong-7f3a9d";
const TENANTS: readonly RequestOptions[] = [{}, { tenant: "large" }, { tenant: "small" }, { tenant: "other" }];
const PRIORITIES: readonly RequestOptions[] = [{}, { priority: "high" }, { priority: "bulk" }];
const CLIENTS: readonly RequestOptions[] = [
  {},
  { client: { address: "192.0.2.1" } },
  { client: { address: "192.0.2.2" } },
];
const known = (address: string): boolean => /^y\d+@example\.org$/.test(address) || address.endsWith("@all.example");

const closing = closeAfterEach();

/** The same numbers in each run. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    await new Promise(setImmediate);
  }
}

/** Strict servers of one service, and the most connections that they had between them. */
async function listen(protocol: "smtp" | "lmtp", count: number) {
  const servers: StrictServer[] = [];
  const seen = { most: 0 };
  const waitFor = async (): Promise<void> => {
    seen.most = Math.max(
      seen.most,
      servers.reduce((sum, { open }) => sum + open, 0),
    );
  };
  const users = { gateway: ACCOUNT, anna: SECRET, bob: SECRET, eve: SECRET };
  for (let index = 0; index < count; index++) {
    const overrides = [{ on: "greeting", waitFor }];
    const server = await listenMail({ protocol, recipients: known, users, requireAuth: true, overrides });
    closing.push(() => server.close());
    servers.push(server);
  }
  return { servers, seen };
}

function settingsOf(store: readonly StrictServer[], old: StrictServer, file: string): ConfigInput {
  const host = {
    lookup: true,
    concurrency: CONCURRENCY,
    tls: { implicit: false, starttls: "disable" },
    auth: { username: "gateway", secret: ACCOUNT, "allow-plaintext": true },
    limits: { errors: 100, requests: 1_000, rate: "3000/s", guesses: 0 },
  } as const;
  return {
    remote: {
      store: {
        ...host,
        protocol: "lmtp",
        address: store.map(({ address, port }) => ({ address, port })),
        cache: { learn: true, refresh: 0.5, file },
        lookups: { "catch-all": "detect", harvest: { unknown: 5, ratio: 0.2 } },
        shadow: { host: "old", share: 1, kinds: ["rcpt", "auth"] },
      },
      old: { ...host, protocol: "smtp", address: old.address, port: old.port },
    },
    tenant: { large: { weight: 3 }, small: { rate: "1000/s", queue: 500 } },
  };
}

/** Asks for a bit of everything, and holds each answer to what the servers know. */
class Traffic {
  /** By sender: how many recipients have it, as was told. Absent: not certain. */
  readonly delivered = new Map<string, number>();
  suspected = 0;
  private readonly random = randomFrom(4711);

  constructor(private readonly host: RemoteHost) {}

  async send(first: number, count: number): Promise<void> {
    const numbers = Array.from({ length: count }, (_, index) => first + index);
    await Promise.all(
      numbers.map((number) =>
        number % 3 === 0 ? this.relay(number) : number % 50 === 1 ? this.login() : this.lookup(),
      ),
    );
  }

  /** One after the other, so that the host has room for a shadow's questions, until each of these was compared. */
  async sendQuietly(): Promise<void> {
    const { host } = this;
    const compared = (kind: "rcpt" | "auth"): number => host.shadowReport().kinds[kind]?.agreed ?? 0;
    for (let number = 0; number < 10; number++) {
      const before = compared("rcpt");
      assert.equal((await host.verifyRecipient(`y${100 + number}@example.org`, TENANTS[1])).found, true);
      await until(() => compared("rcpt") > before);
    }
    assert.equal((await host.authenticate({ username: "bob", secret: WRONG })).found, false);
    assert.equal((await host.authenticate({ username: "eve", secret: SECRET })).found, true);
    await until(() => compared("auth") > 0);
  }

  private options(): RequestOptions {
    const { random } = this;
    return {
      ...TENANTS[random(TENANTS.length)],
      ...PRIORITIES[random(PRIORITIES.length)],
      ...CLIENTS[random(CLIENTS.length)],
      ...(random(20) === 0 ? { timeoutMs: 1 + random(20) } : {}),
    };
  }

  private async relay(number: number): Promise<void> {
    const { random, host, delivered } = this;
    const from = `m${number}@gateway.example`;
    const to = Array.from({ length: 1 + random(3) }, () => `${random(4) === 0 ? "n" : "y"}${random(20)}@example.org`);
    try {
      const content = `Subject: ${number}\r\n\r\nHello.\r\n`;
      const { recipients } = await host.relay({ from, to }, content, this.options());
      for (const { address, status } of recipients) {
        const isRight = status === (known(address) ? "delivered" : "refused");
        assert.ok(isRight || status === "uncertain", `${address} ${status}`);
      }
      if (recipients.every(({ status }) => status !== "uncertain")) {
        delivered.set(from, recipients.filter(({ status }) => status === "delivered").length);
      }
    } catch (error) {
      assert.equal((error as { code?: string }).code, "DEADLINE_EXCEEDED", String(error));
      delivered.set(from, 0);
    }
  }

  private async lookup(): Promise<void> {
    const { random } = this;
    const names = [`y${random(20)}@example.org`, `n${random(200)}@example.org`, `x${random(9)}@all.example`];
    const recipient = names[random(names.length)]!;
    let answer: LookupAnswer;
    try {
      answer = await this.host.verifyRecipient(recipient, this.options());
    } catch (error) {
      const { code } = error as { code?: string };
      assert.ok(code === "DEADLINE_EXCEEDED" || code === "HARVEST_SUSPECTED", String(error));
      this.suspected += code === "HARVEST_SUSPECTED" ? 1 : 0;
      return;
    }
    const { found, certainty } = answer;
    assert.equal(found, known(recipient), recipient);
    assert.ok(!found || certainty !== (recipient.endsWith("@all.example") ? "verified" : "accepts-all"), recipient);
  }

  private async login(): Promise<void> {
    const secret = this.random(2) === 0 ? SECRET : WRONG;
    const { found } = await this.host.authenticate({ username: "anna", secret }, { tenant: "large" });
    assert.equal(found, secret === SECRET);
  }
}

test("with all of it on, nobody is told what is not so, and no host is overrun", { timeout: 60_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), "relaypost-everything-"));
  closing.push(() => rm(directory, { recursive: true }));
  const [store, old] = [await listen("lmtp", 2), await listen("smtp", 1)];
  const settings = settingsOf(store.servers, old.servers[0]!, join(directory, "cache"));
  const log = new RecordedLog();
  const remotes = await RemoteHosts.open(settings, { logger: log.logger });
  closing.push(() => remotes.close({ drainMs: 0 }));
  const traffic = new Traffic(remotes.host("store"));
  // Who asks later is known by what was answered before.
  for (let first = 0; first < 1_500; first += 300) {
    await traffic.send(first, 300);
  }
  await traffic.sendQuietly();

  // Whoever was told that it has a message has it once, and nobody else has one.
  for (const [from, told] of traffic.delivered) {
    const arrived = store.servers.flatMap(({ ledger }) => ledger.deliveries).filter((each) => each.from === from);
    assert.equal(arrived.length, told, from);
  }
  assert.ok(store.seen.most <= CONCURRENCY && old.seen.most <= CONCURRENCY, `${store.seen.most}, ${old.seen.most}`);
  const servers = [...store.servers, ...old.servers];
  assert.deepEqual(
    servers.flatMap(({ ledger }) => ledger.violations),
    [],
  );

  const stats = (await remotes.stats()).hosts.store!;
  const { learned, catchAll, harvest, addresses = [], tenants = [], shadow, rate, failures } = stats;
  const shown = JSON.stringify(stats);
  assert.ok(learned.found > 0 && catchAll.asked === 2 && catchAll.acceptsAll === 1, shown);
  assert.ok(traffic.suspected > 0 && failures.HARVEST_SUSPECTED === traffic.suspected, shown);
  assert.ok(harvest.suspects === 2 && harvest.refused >= traffic.suspected, shown);
  assert.ok(addresses.length === 2 && addresses.every(({ opened }) => opened > 0) && rate !== undefined, shown);
  assert.deepEqual(tenants.map(({ name, pending }) => `${name}: ${pending}`).sort(), [
    ": 0",
    "large: 0",
    "other: 0",
    "small: 0",
  ]);
  const { rcpt, auth } = shadow!.kinds;
  assert.ok(rcpt!.agreed >= 10 && rcpt!.onlyHere === 0 && rcpt!.onlyThere === 0 && auth!.onlyHere === 0, shown);
  // A password that may be wrong is never tried at a second host.
  assert.ok(old.servers[0]!.ledger.connections.every(({ logins }) => logins.every(({ isAccepted }) => isAccepted)));

  await remotes.close();
  const told =
    JSON.stringify([log.records, stats, remotes.events()]) + (await readFile(join(directory, "cache"), "latin1"));
  assert.doesNotMatch(told, /canary-/);
  // What was learned outlives the gateway.
  const next = await RemoteHosts.open(settings, { logger: log.logger });
  closing.push(() => next.close({ drainMs: 0 }));
  await log.event("cache-loaded");
  const answer = await next.host("store").verifyRecipient("y1@example.org", { tenant: "large" });
  assert.deepEqual([answer.found, answer.source], [true, "cache"]);
});
