/** A canary: a secret goes through a thousand authentications of every kind and every outcome, and must be found nowhere afterwards. */
import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { BroadcastChannel, type Worker } from "node:worker_threads";
import { pino } from "pino";
import { loadSettings } from "../../src/config/load.js";
import { Frames } from "../../src/dashboard/frames.js";
import { type ConfigInput, type HostInput, RemoteHosts } from "../../src/index.js";
import type { TraceLine } from "../../src/messages/operating.js";
import { listenImap, listenMail, type Order, type StrictServer } from "../../src/testing/index.js";
import { ACCOUNT_SECRET, assertClean, assertCleanWords, SECRET } from "./kit/canary.js";
import { CONFESSIONS, QUESTIONS } from "./kit/confessing-worker.js";

const ACCOUNT_VARIABLE = "RELAYPOST_TEST_ACCOUNT";
const ROUNDS = 36;
const PROTOCOLS = ["smtp", "lmtp", "imap"] as const;
type Protocol = (typeof PROTOCOLS)[number];

/** Everything that a look at a value can show. */
function look(value: unknown): string {
  const shown = [inspect(value, { depth: 20, showHidden: true, maxArrayLength: null, maxStringLength: null })];
  if (value instanceof Error) {
    shown.push(String(value), value.stack ?? "", look(value.cause), JSON.stringify(value));
  } else if (typeof value !== "function") {
    shown.push(JSON.stringify(value) ?? "");
  }
  return shown.join("\n");
}

/** What a peer makes of logins, each on a server of its own. */
const MAIL_MOODS: Record<string, readonly Order[]> = {
  fair: [],
  "repeating refusals": [
    { on: "login", match: /^right/, reply: `235 2.7.0 welcome ${SECRET}` },
    { on: "login", reply: `535 5.7.8 ${SECRET} is wrong, ${Buffer.from(SECRET).toString("base64")} too` },
  ],
  "repeating errors": [
    { on: "login", reply: [`454-4.7.0 later, ${SECRET}`, `454 4.7.0 ${encodeURIComponent(SECRET)}`] },
  ],
  "repeating nonsense": [{ on: "login", reply: `${SECRET}` }],
  resetting: [{ on: "login", afterwards: "reset" }],
  "resetting early": [{ on: "AUTH", afterwards: "reset" }],
  closing: [{ on: "login", reply: `421 4.7.0 ${SECRET}`, afterwards: "close" }],
  silent: [{ on: "login", reply: [] }],
};
const IMAP_MOODS: Record<string, readonly Order[]> = {
  fair: [],
  "repeating refusals": [{ on: "login", reply: `{tag} NO [AUTHENTICATIONFAILED] not ${SECRET}` }],
  "repeating errors": [{ on: "login", reply: [`* OK [ALERT] ${SECRET}`, `{tag} NO [UNAVAILABLE] ${SECRET}`] }],
  "repeating nonsense": [{ on: "login", reply: `* ${SECRET}` }],
  bad: [{ on: "login", reply: `{tag} BAD ${SECRET}` }],
  resetting: [{ on: "login", afterwards: "reset" }],
  closing: [{ on: "login", reply: `* BYE ${SECRET}`, afterwards: "close" }],
  silent: [{ on: "login", reply: [] }],
};
/** SASL mechanisms, one server's after the other's. */
const OFFERS = [["PLAIN"], ["LOGIN"], ["CRAM-MD5", "XOAUTH2"], ["SCRAM-SHA-1"], ["SCRAM-SHA-256", "OAUTHBEARER"]];

/** Accounts whose passwords are right. */
const RIGHT = Object.fromEntries(Array.from({ length: ROUNDS }, (_, number) => [`right${number}`, SECRET]));

function listen(protocol: Protocol, overrides: readonly Order[], auth: readonly string[]): Promise<StrictServer> {
  const users = { ...RIGHT, gateway: ACCOUNT_SECRET };
  const tokens = { right0: SECRET };
  if (protocol === "imap") {
    return listenImap({ users, tokens, mechanisms: auth, overrides });
  }
  return listenMail({ protocol, users, tokens, overrides, keep: "nothing", capabilities: { auth } });
}

function hostOf(protocol: Protocol, port: number, host: Partial<HostInput> = {}): HostInput {
  const tls = { implicit: false, starttls: "disable" } as const;
  const timeouts = { command: "300ms" };
  return {
    address: "127.0.0.1",
    port,
    protocol,
    lookup: true,
    concurrency: 8,
    tls,
    timeouts,
    auth: { "allow-plaintext": true },
    ...host,
  };
}

describe("a secret used in a thousand authentications", { timeout: 120_000 }, () => {
  const servers: StrictServer[] = [];
  const workers: Worker[] = [];
  const logged: string[] = [];
  const seen: { where: string; text: string }[] = [];
  let hosts: RemoteHosts;
  let input: ConfigInput;
  let authentications = 0;
  let traced: TraceLine[] = [];

  const watch = (worker: Worker): unknown => workers.push(worker);

  async function authenticateAll(id: string, round: number): Promise<void> {
    const host = hosts.host(id);
    const right = `right${round}`;
    const controller = new AbortController();
    const requests = [
      host.authenticate({ username: right, secret: SECRET }),
      host.authenticate({ username: `wrong${round}`, secret: SECRET }),
      host.authenticate({ username: `other${round}`, secret: SECRET }, { timeoutMs: 5_000 }),
      host.authenticate({ username: "right0", accessToken: SECRET }, { signal: controller.signal }),
      host.authenticate({ username: `late${round}`, secret: SECRET }, { timeoutMs: 1 + round }),
    ];
    authentications += requests.length;
    seen.push({
      where: `${id} while it is asked`,
      text: [hosts, host, controller.signal, ...requests].map(look).join(),
    });
    if (round % 3 === 0) {
      controller.abort();
    }
    for (const result of await Promise.allSettled(requests)) {
      const value: unknown = result.status === "fulfilled" ? result.value : result.reason;
      seen.push({ where: `what ${id} answered`, text: look(value) });
    }
  }

  /** An operator listens to every host. */
  function traceAll(): () => Promise<TraceLine[][]> {
    const ended = new AbortController();
    const traces = hosts.ids.map(async (id) => {
      const lines: TraceLine[] = [];
      for await (const line of hosts.host(id).trace({ lines: 10_000, forMs: 600_000, signal: ended.signal })) {
        lines.push(line);
      }
      return lines;
    });
    return () => {
      ended.abort();
      return Promise.all(traces);
    };
  }

  before(async () => {
    process.on("worker", watch);
    const remote: Record<string, HostInput> = {};
    let made = 0;
    const add = async (id: string, protocol: Protocol, overrides: readonly Order[], host?: Partial<HostInput>) => {
      const server = await listen(protocol, overrides, OFFERS[made++ % OFFERS.length]!);
      servers.push(server);
      remote[id] = hostOf(protocol, server.port, host);
    };
    process.env[ACCOUNT_VARIABLE] = ACCOUNT_SECRET;
    for (const protocol of PROTOCOLS) {
      for (const [mood, overrides] of Object.entries(protocol === "imap" ? IMAP_MOODS : MAIL_MOODS)) {
        await add(`${protocol}-${mood.replaceAll(" ", "-")}`, protocol, overrides);
        if (protocol === "imap") {
          continue;
        }
        const auth = { username: "gateway", "secret-env": ACCOUNT_VARIABLE, "allow-plaintext": true };
        const repeated = overrides.map(
          (override) => JSON.parse(JSON.stringify(override).replaceAll(SECRET, ACCOUNT_SECRET)) as Order,
        );
        await add(`${protocol}-${mood.replaceAll(" ", "-")}-account`, protocol, repeated, { auth });
      }
    }
    // Asked by a shadow only: every password is wrong there.
    await add("other", "smtp", [{ on: "login", reply: `535 5.7.8 ${SECRET} is wrong` }]);
    const shadow = { host: "other", share: 1, kinds: ["auth" as const], addresses: true };
    remote["lmtp-fair"] = { ...remote["lmtp-fair"]!, shadow };
    const destination = new Writable({
      write(chunk, _encoding, done) {
        logged.push(String(chunk));
        done();
      },
    });
    input = { runtime: { threads: 4 }, remote };
    const logger = pino({ level: "trace" }, destination);
    const entry = new URL("./kit/confessing-worker.js", import.meta.url);
    hosts = await RemoteHosts.start(await loadSettings(input), { logger }, entry);
    const stopTraces = traceAll();
    const users = hosts.ids.filter((id) => !id.endsWith("-account") && id !== "other");
    const rounds = Math.ceil(1000 / (5 * users.length));
    for (let round = 0; round < rounds; round++) {
      await Promise.all(users.map((id) => authenticateAll(id, round)));
    }
    for (const id of hosts.ids.filter((each) => each.endsWith("-account"))) {
      const [result] = await Promise.allSettled([hosts.host(id).verifyRecipient("someone@b.example")]);
      seen.push({
        where: `what ${id} answered`,
        text: look(result.status === "fulfilled" ? result.value : result.reason),
      });
    }
    traced = (await stopTraces()).flat();
  });

  after(async () => {
    await hosts.close({ drainMs: 0 });
    for (const server of servers) {
      await server.close();
    }
    process.off("worker", watch);
  });

  test("was used so often, and reached its peers", () => {
    assert.ok(authentications >= 1000, `${authentications}`);
    const logins = servers.flatMap(({ ledger }) => ledger.connections.flatMap((connection) => connection.logins));
    assert.ok(logins.filter(({ isAccepted }) => isAccepted).length > 20, "some were right");
    assert.ok(logins.filter(({ isAccepted }) => !isAccepted).length > 100, "most were not");
    const mechanisms = new Set(logins.map(({ mechanism }) => mechanism));
    assert.ok(mechanisms.size >= 5, `by many mechanisms, not only ${[...mechanisms].join(", ")}`);
  });

  test("stands in no answer, error or public object, while it is used and afterwards", () => {
    assert.ok(seen.length > 1000);
    for (const { where, text } of seen) {
      assertClean(text, where);
    }
    assertClean(look(hosts), "the hosts");
    for (const id of hosts.ids) {
      assertClean(look(hosts.host(id)), `the host ${id}`);
    }
  });

  test("stands in no log", () => {
    assert.ok(logged.length > 10);
    assertClean(logged.join(""), "the log");
  });

  test("stands in no stats", async () => {
    const stats = await hosts.stats();
    assert.ok(Object.values(stats.hosts).some(({ lookups }) => lookups.remote > 0));
    assertClean(look(stats), "the stats");
  });

  test("stands in nothing that an operator sees: traces, diagnoses, events, the page", async () => {
    const lines = traced.map(({ text }) => text);
    assert.ok(lines.some((line) => /^AUTH \S+ ‹credentials›$/.test(line)));
    assert.ok(lines.some((line) => line === "535 ‹left out›"));
    assert.ok(lines.some((line) => / AUTHENTICATE \S+ ‹credentials›$/.test(line)));
    assertClean(lines.join("\n"), "the traces");
    for (const line of lines) {
      assertCleanWords(line, `a trace: ${line}`);
    }
    const reports = await hosts.reports({ addresses: true });
    assert.ok(reports.some(({ diagnosis }) => diagnosis.severity !== "healthy"));
    assertClean(look(reports), "the reports");
    const events = hosts.events({ addresses: true });
    assert.ok(events.length > 10);
    assertClean(look(events), "the events");
    const report = hosts.host("lmtp-fair").shadowReport({ addresses: true });
    assert.ok((report.kinds.auth?.onlyHere ?? 0) > 0, look(report));
    assert.ok(logged.some((line) => line.includes("shadow-differs")));
    assertClean(look(report), "the report of a shadow");
    const frames = new Frames(hosts.monitor, true);
    for (const id of hosts.ids) {
      assertClean(frames.host(id), `the page of ${id}`);
    }
    assertClean(frames.hosts(), "the page");
  });

  test("stands in no mistake of a configuration", async () => {
    const [id, host] = Object.entries(input.remote!).find(([each]) => each.endsWith("-account"))!;
    const bad = { ...host, auth: { username: "gateway", secret: [ACCOUNT_SECRET] }, port: ACCOUNT_SECRET };
    const [refusal] = await Promise.allSettled([hosts.reload({ remote: { [id]: bad } } as unknown as ConfigInput)]);
    assert.equal(refusal.status, "rejected");
    assertClean(look(refusal.status === "rejected" ? refusal.reason : ""), "the mistakes of a configuration");
  });

  test("stands in the environment and on the command line of no thread", async () => {
    const alive = workers.filter(({ threadId }) => threadId !== -1);
    const confessions: string[] = [];
    const ear = new BroadcastChannel(CONFESSIONS);
    const mouth = new BroadcastChannel(QUESTIONS);
    await new Promise<void>((resolve) => {
      ear.onmessage = (event: unknown) => {
        confessions.push((event as { data: string }).data);
        if (confessions.length === alive.length) {
          resolve();
        }
      };
      mouth.postMessage("confess");
    });
    ear.close();
    mouth.close();
    assert.match(confessions[0]!, /env: \{\}/);
    assertClean(confessions.join("\n"), "a thread");
    const { argv, execArgv, title } = process;
    // The test's own doing, and the only place.
    const { [ACCOUNT_VARIABLE]: given, ...env } = process.env;
    assert.equal(given, ACCOUNT_SECRET);
    assertClean(inspect({ env, argv, execArgv, title }), "this process");
    for (const worker of workers) {
      assertClean(inspect(worker, { depth: 4, showHidden: true }), "a thread's handle");
    }
  });
});
