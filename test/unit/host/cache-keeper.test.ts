import assert from "node:assert/strict";
import { mkdtemp, open, readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { CacheSettings } from "../../../src/config/settings.js";
import type { Answer } from "../../../src/messages/contract.js";
import { AnswerCache } from "../../../workers/host/cache.js";
import { type CacheFiles, systemCacheFiles } from "../../../workers/host/cache-files.js";
import { CacheKeeper } from "../../../workers/host/cache-keeper.js";
import { lookupKey } from "../../../workers/host/cache-keys.js";
import { cacheSettings } from "../../kit/cache-settings.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const MINUTE = 60_000;
const YES: Answer = { found: true, values: ["Anna <anna@example.org>", 'a "b"\n'], reply: { code: 250, text: "ok" } };
const NO: Answer = { found: false, values: [], reply: { code: 550, enhanced: "5.1.1", text: "unknown\nuser" } };
const key = (name: string): string => lookupKey("rcpt", `${name}@example.org`);

/** Files in memory. */
class Files implements CacheFiles {
  readonly texts = new Map<string, string>();
  writes = 0;

  async read(path: string): Promise<AsyncIterable<string> | undefined> {
    const text = this.texts.get(path);
    if (text === undefined) {
      return undefined;
    }
    const lines = text.split("\n");
    // What follows the last newline is a line where it is not empty, as for a reader of real files.
    return (async function* () {
      yield* lines.at(-1) === "" ? lines.slice(0, -1) : lines;
    })();
  }

  async write(path: string, chunks: AsyncIterable<string>): Promise<void> {
    this.writes++;
    let text = "";
    for await (const chunk of chunks) {
      text += chunk;
    }
    this.texts.set(path, text);
  }
}

/** One life of a worker: a cache and its keeper. Lives share the files and the time. */
class Life {
  readonly cache: AnswerCache;
  readonly keeper: CacheKeeper;
  readonly logged: string[] = [];

  constructor(
    readonly clock: VirtualClock,
    files: CacheFiles,
    { path = "cache", settings = "digest", hostId = "store", cache = {} as Partial<CacheSettings> } = {},
  ) {
    this.cache = new AnswerCache({
      settings: cacheSettings({
        entries: 1000,
        positiveTtlMs: 60 * MINUTE,
        negativeTtlMs: 10 * MINUTE,
        authTtlMs: MINUTE,
        stateTtlMs: MINUTE,
        ...cache,
      }),
      hostId,
      clock,
      hmacKey: new Uint8Array(32),
    });
    const log = { write: (_level: string, event: string, message: string) => this.logged.push(`${event}: ${message}`) };
    const unixMs = () => 1_700_000_000_000 + clock.now();
    this.keeper = new CacheKeeper({ path, hostId, settings, most: 2000, clock, unixMs, files, log }, this.cache);
  }

  /** Runs what waits for a turn of the event loop, which the clock stands for. */
  async settled(work: Promise<void>): Promise<void> {
    let isDone = false;
    void work.then(() => {
      isDone = true;
    });
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      this.clock.advance(0);
    }
  }
}

async function saved(files: CacheFiles, clock = new VirtualClock()): Promise<VirtualClock> {
  const life = new Life(clock, files);
  await life.settled(life.keeper.load());
  life.cache.put(key("anna"), YES);
  life.cache.put(key("eve"), NO);
  await life.settled(life.keeper.close());
  return clock;
}

describe("a cache that outlives a restart", () => {
  test("knows what it knew, and how old that is", async () => {
    const files = new Files();
    const clock = await saved(files);
    clock.advance(5 * MINUTE);
    const life = new Life(clock, files);
    await life.settled(life.keeper.load());
    assert.deepEqual(life.cache.get(key("anna"))?.answer, YES);
    assert.deepEqual(life.cache.get(key("eve"))?.answer, NO);
    assert.equal(life.cache.get(key("eve"))?.ageMs, 5 * MINUTE);
    clock.advance(5 * MINUTE);
    assert.equal(life.cache.get(key("eve")), undefined);
    assert.equal(life.logged.length, 1);
    assert.match(life.logged[0]!, /^cache-loaded: .* 2 answers/);
  });

  test("knows nothing that is too old by then, or that was written in the future", async () => {
    const files = new Files();
    const clock = await saved(files);
    const later = new Life(clock, files);
    clock.advance(10 * MINUTE);
    await later.settled(later.keeper.load());
    assert.deepEqual(later.cache.sizes(), { positive: 1, negative: 0 });
    const earlier = new Life(new VirtualClock(), { ...files, read: (path) => files.read(path), write: async () => {} });
    files.texts.set("cache", files.texts.get("cache")!.replaceAll("1700000", "1700900"));
    await earlier.settled(earlier.keeper.load());
    assert.deepEqual(earlier.cache.sizes(), { positive: 0, negative: 0 });
  });

  test("never holds credentials", async () => {
    const files = new Files();
    const life = new Life(new VirtualClock(), files);
    await life.settled(life.keeper.load());
    for (const [answer, secret] of [
      [YES, "right"],
      [NO, "wrong"],
    ] as const) {
      const authKey = life.cache.authKey({ username: "anna", secret, isToken: false });
      life.cache.put(authKey, answer, { isAuth: true, username: "anna" });
    }
    life.cache.put(key("eve"), NO);
    await life.settled(life.keeper.close());
    assert.equal(files.texts.get("cache")!.split("\n").length, 4);
    assert.doesNotMatch(files.texts.get("cache")!, /auth:|"anna"/);
  });

  test("does not let an old answer replace one that was given while the file was read", async () => {
    const files = new Files();
    const clock = await saved(files);
    const life = new Life(clock, files);
    const loading = life.keeper.load();
    life.cache.put(key("anna"), NO);
    await life.settled(loading);
    assert.deepEqual(life.cache.get(key("anna"))?.answer, NO);
  });

  test("is not written over with less where the host is closed while the file is read", async () => {
    const files = new Files();
    const clock = await saved(files);
    const life = new Life(clock, files);
    const loading = life.keeper.load();
    life.cache.put(key("bo"), YES);
    await life.settled(life.keeper.close());
    await life.settled(loading);
    assert.match(files.texts.get("cache")!, /bo.*anna.*eve/s);
  });

  test("has what was learnt while there was no file to read", async () => {
    const files = new Files();
    const life = new Life(new VirtualClock(), files);
    const loading = life.keeper.load();
    life.cache.put(key("bo"), YES);
    await life.settled(loading);
    await life.settled(life.keeper.close());
    assert.match(files.texts.get("cache")!, /bo/);
  });

  test("gives nothing back, and loses it, that an operator threw away while the file was read", async () => {
    const files = new Files();
    const clock = await saved(files);
    const life = new Life(clock, files);
    const loading = life.keeper.load();
    life.cache.forget();
    life.keeper.forgotten();
    await life.settled(loading);
    assert.deepEqual(life.cache.sizes(), { positive: 0, negative: 0 });
    await life.settled(life.keeper.close());
    assert.doesNotMatch(files.texts.get("cache")!, /eve/);
  });

  test("fills no cache whose settings have changed while the file was read", async () => {
    const files = new Files();
    const clock = await saved(files);
    const life = new Life(clock, files);
    const loading = life.keeper.load();
    life.keeper.stop();
    await life.settled(loading);
    assert.deepEqual(life.cache.sizes(), { positive: 0, negative: 0 });
  });

  test("forgets what an operator threw away within a second, and does not bring it back", async () => {
    const files = new Files();
    const clock = await saved(files);
    const life = new Life(clock, files);
    await life.settled(life.keeper.load());
    life.cache.forget({ recipient: "eve@example.org" });
    life.keeper.forgotten();
    clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    assert.doesNotMatch(files.texts.get("cache")!, /eve/);
  });

  test("is written every five minutes where something changed, and not where nothing did", async () => {
    const files = new Files();
    const life = new Life(new VirtualClock(), files);
    await life.settled(life.keeper.load());
    const turn = async () => {
      life.clock.advance(5 * MINUTE);
      await new Promise((resolve) => setImmediate(resolve));
    };
    life.cache.put(key("anna"), YES);
    await turn();
    assert.equal(files.writes, 1);
    await turn();
    assert.equal(files.writes, 1);
    life.cache.put(key("bo"), YES);
    await turn();
    assert.equal(files.writes, 2);
  });

  test("takes in a hundred thousand answers without holding up anybody else for long", async () => {
    const files = new Files();
    const clock = new VirtualClock();
    const options = { cache: { entries: 100_000 } };
    const before = new Life(clock, files, options);
    for (let number = 0; number < 100_000; number++) {
      before.cache.put(key(`user${number}`), YES);
    }
    await before.settled(before.keeper.close());
    const life = new Life(clock, files, options);
    const keeper = new CacheKeeper({ ...optionsOf(life, files), most: 200_000 }, life.cache);
    let turns = 0;
    let isDone = false;
    void keeper.load().then(() => {
      isDone = true;
    });
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      life.clock.advance(0);
      turns++;
    }
    assert.equal(life.cache.sizes().positive, 100_000);
    assert.ok(turns >= 400, `${turns} turns of the event loop in between`);
  });
});

function optionsOf(life: Life, files: CacheFiles) {
  const { clock } = life;
  const log = { write: () => {} };
  const unixMs = () => 1_700_000_000_000 + clock.now();
  return { path: "cache", hostId: "store", settings: "digest", clock, unixMs, files, log };
}

describe("a cache file that is not wholly right is not used:", () => {
  const spoilt: Record<string, { spoil?: (text: string) => string; life?: object; why: RegExp }> = {
    "of another format": { spoil: () => '{"format":"something"}\n', why: /no cache of relaypost/ },
    "no JSON": { spoil: () => "From: me\n", why: /no JSON/ },
    "of a later version": { spoil: (text) => text.replace('"version":1', '"version":2'), why: /version 2/ },
    "of another host": { life: { hostId: "other" }, why: /belongs to remote\.store/ },
    "of other settings": { life: { settings: "other" }, why: /settings .* have changed/ },
    "with an answer that was changed": { spoil: (text) => text.replace("250", "251"), why: /digest does not fit/ },
    "with an answer of another shape": { spoil: (text) => text.replace("true", '"yes"'), why: /no answer/ },
    "with something behind its end": { spoil: (text) => `${text}[]\n`, why: /stands behind its end/ },
    "without its end": { spoil: (text) => text.replace(/\{"answers.*\n$/, ""), why: /its end is missing/ },
    empty: { spoil: () => "", why: /its end is missing/ },
  };
  for (const [what, { spoil = (text: string) => text, life: options = {}, why }] of Object.entries(spoilt)) {
    test(what, async () => {
      const files = new Files();
      const clock = await saved(files);
      files.texts.set("cache", spoil(files.texts.get("cache")!));
      const life = new Life(clock, files, options);
      await life.settled(life.keeper.load());
      assert.deepEqual(life.cache.sizes(), { positive: 0, negative: 0 });
      assert.equal(life.logged.length, 1);
      assert.match(life.logged[0]!, /^cache-ignored: /);
      assert.match(life.logged[0]!, why);
    });
  }

  test("torn anywhere", async () => {
    const files = new Files();
    const clock = await saved(files);
    const whole = files.texts.get("cache")!;
    // Without its last newline it is whole all the same.
    for (let length = 0; length < whole.length - 1; length++) {
      files.texts.set("cache", whole.slice(0, length));
      const life = new Life(clock, files);
      await life.settled(life.keeper.load());
      assert.deepEqual(life.cache.sizes(), { positive: 0, negative: 0 }, `${length} octets`);
    }
  });
});

describe("cache files on disk", () => {
  test("are replaced whole, for nobody else to read, in a folder that is made for them", async (context) => {
    const folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    context.after(() => rm(folder, { recursive: true }));
    const path = join(folder, "new/store.cache");
    assert.equal(await systemCacheFiles.read(path), undefined);
    await systemCacheFiles.write(path, chunksOf("old\n"));
    const failing = async function* () {
      yield "half";
      throw new Error("no more");
    };
    await assert.rejects(systemCacheFiles.write(path, failing()), /no more/);
    assert.equal(await readFile(path, "utf8"), "old\n");
    await systemCacheFiles.write(path, chunksOf("a\n", "b\n"));
    const lines: string[] = [];
    for await (const line of (await systemCacheFiles.read(path))!) {
      lines.push(line);
    }
    assert.deepEqual(lines, ["a", "b"]);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(join(folder, "new")), ["store.cache"]);
  });

  test("are let go of where they are not read to their end", async (context) => {
    const folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    context.after(() => rm(folder, { recursive: true }));
    const path = join(folder, "store.cache");
    await systemCacheFiles.write(path, chunksOf("a\n".repeat(100_000)));
    const openAt = async (): Promise<string[]> => {
      const names = await readdir("/proc/self/fd");
      return (await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => "")))).filter(
        (target) => target === path,
      );
    };
    const handle = await open(path);
    assert.equal((await openAt()).length, 1);
    await handle.close();
    for await (const line of (await systemCacheFiles.read(path))!) {
      assert.equal(line, "a");
      break;
    }
    assert.deepEqual(await openAt(), []);
  });

  test("that cannot be written are a word in the log, and the cache goes on", async () => {
    const life = new Life(new VirtualClock(), systemCacheFiles, { path: "/dev/null/store.cache" });
    life.cache.put(key("anna"), YES);
    await life.settled(life.keeper.close());
    assert.match(life.logged[0]!, /^cache-not-saved: .*(ENOTDIR|EEXIST)/);
    assert.ok(life.cache.get(key("anna")));
  });
});

async function* chunksOf(...chunks: string[]): AsyncGenerator<string> {
  yield* chunks;
}
