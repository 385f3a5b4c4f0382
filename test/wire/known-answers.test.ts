/** The whole house on loopback when the same things are asked again and again: what is known is answered without the worker, and only for as long as the worker knows it. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Logger, pino } from "pino";
import { type HostInput, type RemoteHost, RemoteHosts } from "../../src/index.js";
import { listenMail, type MailSessionOptions, type StrictServer } from "../../src/testing/index.js";
import { closeAfterEach } from "./kit/closing.js";

const closing = closeAfterEach();

interface House {
  readonly server: StrictServer;
  readonly remotes: RemoteHosts;
  readonly host: RemoteHost;
  readonly settings: HostInput;
}

async function openHouse(options: MailSessionOptions = {}): Promise<House> {
  const server = await listenMail({ protocol: "lmtp", recipients: ["anna@example.org"], ...options });
  closing.push(() => server.close());
  const { address, port } = server;
  const tls = { implicit: false, starttls: "disable" } as const;
  const settings: HostInput = { address, port, protocol: "lmtp", lookup: true, tls, auth: { "allow-plaintext": true } };
  const remotes = await RemoteHosts.open({ remote: { store: settings } }, { logger: pino({ level: "silent" }) });
  closing.push(() => remotes.close({ drainMs: 0 }));
  return { server, remotes, host: remotes.host("store"), settings };
}

/** Asks until a copy answers: once of the peer, once of the worker's cache. */
async function learn(ask: () => Promise<unknown>): Promise<void> {
  for (let times = 0; times < 3; times++) {
    await ask();
  }
}

/** Whether the answer came without a way through the event loop, as only one on the caller's own thread can. */
async function isAnsweredHere(ask: () => Promise<unknown>): Promise<boolean> {
  let isHere = true;
  const turn = setImmediate(() => {
    isHere = false;
  });
  await ask();
  clearImmediate(turn);
  return isHere;
}

async function cachedOf({ remotes }: House): Promise<number> {
  return (await remotes.stats()).hosts.store!.lookups.cached;
}

describe("a known answer", () => {
  const questions: Record<string, (host: RemoteHost) => Promise<unknown>> = {
    "about a recipient that exists": (host) => host.verifyRecipient("anna@example.org"),
    "about a recipient that does not": (host) => host.verifyRecipient("eve@example.org"),
    "about right credentials": (host) => host.authenticate({ username: "anna", secret: "right" }),
    "about wrong credentials": (host) => host.authenticate({ username: "anna", secret: "wrong" }),
  };
  for (const [what, ask] of Object.entries(questions)) {
    test(`${what} is given on the caller's thread, and counted once`, async () => {
      const house = await openHouse({ users: { anna: "right" } });
      await learn(() => ask(house.host));
      assert.equal(await isAnsweredHere(() => ask(house.host)), true);
      assert.equal(await cachedOf(house), 3);
      const asked = house.server.ledger.commands.filter((line) => /^(RCPT|AUTH)/.test(line)).length;
      assert.equal(asked, 1);
    });
  }

  test("is asked of the host again once it is forgotten", async () => {
    const house = await openHouse();
    const ask = () => house.host.verifyRecipient("anna@example.org");
    await learn(ask);
    await house.host.forget({ recipient: "anna@example.org" });
    assert.equal((await ask()).source, "remote");
  });

  test("is asked again of a host whose settings changed, and what was counted is not lost", async () => {
    const house = await openHouse();
    const ask = () => house.host.verifyRecipient("anna@example.org");
    await learn(ask);
    await house.remotes.reload({ remote: { store: { ...house.settings, concurrency: 3 } } });
    assert.equal((await ask()).source, "remote");
    assert.equal(await cachedOf(house), 2);
  });

  test("is not given for a host that was removed, that is closed, or to whom gave up already", async () => {
    const house = await openHouse();
    const ask = (signal?: AbortSignal) =>
      house.host.verifyRecipient("anna@example.org", signal === undefined ? {} : { signal });
    await learn(ask);
    await assert.rejects(ask(AbortSignal.abort()), { code: "ABORTED" });
    await house.remotes.reload({ remote: {} });
    await assert.rejects(ask(), { code: "MAILBOX_CLOSED" });
  });
});

describe("a cache with a file", () => {
  test("is there again after a restart, without what was said of passwords", async () => {
    const folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    closing.push(() => rm(folder, { recursive: true }));
    const house = await openHouse({ users: { anna: "right" } });
    const file = join(folder, "store.cache");
    const remote = { store: { ...house.settings, cache: { file } } };
    /** @param isLoaded whether there is a file to wait for */
    const life = async (isLoaded: boolean) => {
      const { logger, event } = watchedLog("cache-loaded");
      const remotes = await RemoteHosts.open({ remote }, { logger });
      if (isLoaded) {
        await event;
      }
      const host = remotes.host("store");
      const { source, found } = await host.verifyRecipient("eve@example.org");
      const login = await host.authenticate({ username: "anna", secret: "right" });
      await remotes.close();
      return [source, found, login.source];
    };
    assert.deepEqual(await life(false), ["remote", false, "remote"]);
    const text = await readFile(file, "utf8");
    assert.match(text, /eve@example\.org/);
    assert.doesNotMatch(text, /right|auth:/);
    assert.deepEqual(await life(true), ["cache", false, "remote"]);
  });
});

/** A log, and a promise of its first record of that event. */
function watchedLog(name: string): { logger: Logger; event: Promise<void> } {
  let seen!: () => void;
  const event = new Promise<void>((resolve) => {
    seen = resolve;
  });
  const logger = pino(
    { level: "info" },
    { write: (line: string) => (line.includes(`"${name}"`) ? seen() : undefined) },
  );
  return { logger, event };
}
