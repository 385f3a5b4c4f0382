/** The cache of answers: how long, how many, for whom, and under which key. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeClient } from "../../../src/messages/client.js";
import type { Answer } from "../../../src/messages/contract.js";
import { lookupKey } from "../../../workers/host/cache-keys.js";
import { HOUR, key, MINUTE, make, no, yes } from "../kit/answer-cache.js";

describe("the cache of answers", () => {
  it("answers until the TTL of that outcome has passed, with the age", () => {
    const { clock, cache } = make();
    cache.put(key("a"), yes);
    cache.put(key("b"), no);
    clock.advance(HOUR - 1);
    assert.equal(cache.get(key("a"))?.answer, yes);
    assert.equal(cache.get(key("b"))?.answer, no);
    assert.equal(cache.get(key("b"))?.ageMs, HOUR - 1);
    clock.advance(1);
    assert.equal(cache.get(key("b")), undefined);
    clock.advance(23 * HOUR - 1);
    assert.equal(cache.get(key("a"))?.ageMs, 24 * HOUR - 1);
    clock.advance(1);
    assert.equal(cache.get(key("a")), undefined);
  });

  it("keeps clients apart where the host's verdict depends on them, and forgets a recipient for all of them", () => {
    const [one, other] = ["192.0.2.1", "192.0.2.2"].map((address) => encodeClient({ address, port: 1025 }));
    const { cache } = make({ byClient: true });
    const keys = [key("a"), key("a") + cache.clientSuffix(one!), key("a") + cache.clientSuffix(other!)];
    assert.equal(new Set(keys).size, 3);
    assert.equal(cache.clientSuffix(one!), cache.clientSuffix(encodeClient({ address: "192.0.2.1" })));
    cache.put(keys[0]!, yes);
    cache.put(keys[1]!, no);
    cache.put(keys[2]!, yes);
    cache.put(key("b") + cache.clientSuffix(one!), yes);
    assert.deepEqual(
      keys.map((each) => cache.get(each)?.answer),
      [yes, no, yes],
    );
    assert.equal(cache.forget({ recipient: "a@example.org" }), 3);
    assert.equal(make().cache.clientSuffix(one!), "", "else they are one");
  });

  it("lets a positive AUTH answer live for the shorter of ttl.auth and ttl.positive, a negative one for ttl.negative", () => {
    for (const [settings, lifeMs] of [
      [{}, 5 * MINUTE],
      [{ positiveTtlMs: MINUTE }, MINUTE],
      [{ authTtlMs: 48 * HOUR }, 24 * HOUR],
    ] as const) {
      const { clock, cache } = make(settings);
      cache.put("auth:x", yes, { isAuth: true });
      clock.advance(lifeMs - 1);
      assert.ok(cache.get("auth:x"));
      clock.advance(1);
      assert.equal(cache.get("auth:x"), undefined);
    }
    const { clock, cache } = make();
    cache.put("auth:x", no, { isAuth: true });
    clock.advance(HOUR - 1);
    assert.equal(cache.get("auth:x")?.answer, no);
  });

  it("lets the state of a mailbox that exists live for the shorter of ttl.state and ttl.negative", () => {
    for (const [settings, lifeMs] of [
      [{}, MINUTE],
      [{ negativeTtlMs: 1000 }, 1000],
    ] as const) {
      const { clock, cache } = make(settings);
      cache.put(key("full"), { ...no, mailbox: "full" });
      clock.advance(lifeMs - 1);
      assert.equal(cache.get(key("full"))?.answer.mailbox, "full");
      assert.deepEqual(cache.sizes(), { positive: 0, negative: 1 });
      clock.advance(1);
      assert.equal(cache.get(key("full")), undefined);
      assert.deepEqual(cache.sizes(), { positive: 0, negative: 0 });
    }
  });

  it("lets one outcome evict its opposite", () => {
    const { cache } = make();
    cache.put(key("a"), yes);
    cache.put(key("a"), no);
    assert.equal(cache.get(key("a"))?.answer, no);
    assert.deepEqual(cache.sizes(), { positive: 0, negative: 1 });
    cache.put(key("a"), yes);
    assert.equal(cache.get(key("a"))?.answer, yes);
    assert.deepEqual(cache.sizes(), { positive: 1, negative: 0 });
  });

  it("keeps positives through a flood of negatives, and evicts the least recently used of its own", () => {
    const { cache } = make();
    for (const name of ["a", "b", "c", "d"]) {
      cache.put(key(name), yes);
    }
    for (let i = 0; i < 1000; i++) {
      cache.put(key(`guess${i}`), no);
    }
    assert.ok(cache.get(key("a")));
    cache.put(key("e"), yes);
    assert.deepEqual(
      ["a", "b", "c", "d", "e"].map((name) => cache.get(key(name)) !== undefined),
      [true, false, true, true, true],
    );
    assert.deepEqual(cache.sizes(), { positive: 4, negative: 4 });
  });

  it("keeps nothing with entries = 0", () => {
    const { clock, cache } = make({ entries: 0 });
    cache.put(key("a"), yes);
    cache.put(key("b"), no);
    assert.equal(cache.get(key("a")), undefined);
    assert.deepEqual(cache.sizes(), { positive: 0, negative: 0 });
    assert.equal(clock.pending, 0);
  });

  it("serves a stale positive only when asked for one, only for stale-if-error, and never a negative", () => {
    const { clock, cache } = make({ staleIfErrorMs: HOUR });
    cache.put(key("a"), yes);
    cache.put(key("b"), no);
    cache.put("auth:x", yes, { isAuth: true });
    clock.advance(HOUR);
    assert.equal(cache.stale("auth:x"), undefined, "AUTH is never stale");
    assert.equal(cache.stale(key("b")), undefined);
    assert.ok(cache.stale(key("a")), "a live one serves too");
    clock.advance(24 * HOUR - 1);
    assert.equal(cache.get(key("a")), undefined);
    assert.equal(cache.stale(key("a"))?.ageMs, 25 * HOUR - 1);
    clock.advance(1);
    assert.equal(cache.stale(key("a")), undefined);
  });

  it("serves a stale AUTH answer with stale-auth", () => {
    const { clock, cache } = make({ staleIfErrorMs: HOUR, staleAuth: true, byClient: false });
    cache.put("auth:x", yes, { isAuth: true });
    clock.advance(5 * MINUTE);
    assert.equal(cache.get("auth:x"), undefined);
    assert.equal(cache.stale("auth:x")?.answer, yes);
  });

  it("asks for a refresh in the last fraction of a positive's TTL, and not at every hit", () => {
    const { clock, cache } = make({ refresh: 0.25 });
    cache.put(key("a"), yes);
    clock.advance(18 * HOUR - 1);
    assert.equal(cache.get(key("a"))?.shouldRefresh, false);
    clock.advance(1);
    assert.equal(cache.get(key("a"))?.shouldRefresh, true);
    assert.equal(cache.get(key("a"))?.shouldRefresh, false, "asked already");
    clock.advance(0.6 * HOUR);
    assert.equal(cache.get(key("a"))?.shouldRefresh, true, "and nothing came");
    cache.put(key("a"), yes);
    assert.equal(cache.get(key("a"))?.shouldRefresh, false);
    assert.equal(cache.get(key("a"))?.ageMs, 0);
  });

  it("drops what has expired although nobody asks, and has a timer only while there is something to drop", () => {
    const { clock, cache } = make({ entries: 5000 });
    assert.equal(clock.pending, 0);
    for (let i = 0; i < 2500; i++) {
      cache.put(key(`n${i}`), no);
    }
    cache.put(key("a"), yes);
    assert.equal(clock.pending, 1);
    clock.advance(HOUR + MINUTE);
    // Looks inside: `sizes` would drop them itself.
    const inside = cache as unknown as { negative: { size: number }; positive: { size: number } };
    assert.equal(inside.negative.size, 0);
    assert.equal(inside.positive.size, 1);
    assert.equal(clock.pending, 1);
    clock.advance(24 * HOUR);
    assert.equal(inside.positive.size, 0);
    assert.equal(clock.pending, 0);
  });

  it("is bounded in octets too: long lists push each other out, and one that is too long is not kept", () => {
    const { cache } = make({ entries: 1000 });
    const long: Answer = { found: true, values: ["x".repeat(1_500_000)], reply: { code: 250, text: "" } };
    for (const name of ["a", "b", "c"]) {
      cache.put(key(name), long);
    }
    assert.deepEqual(cache.sizes(), { positive: 2, negative: 0 });
    cache.put(key("c"), { ...long, values: ["x".repeat(5_000_000)] });
    assert.equal(cache.get(key("c")), undefined, "the old one is not left in its place");
    assert.ok(cache.get(key("b")));
  });

  it("forgets a recipient under every kind of lookup, whatever the case of its domain", () => {
    const { cache } = make();
    for (const kind of ["rcpt", "vrfy", "expn"] as const) {
      cache.put(lookupKey(kind, "a@example.org"), yes);
    }
    cache.put(key("b"), no);
    assert.equal(cache.forget({ recipient: "a@EXAMPLE.org" }), 3);
    assert.equal(cache.forget({ recipient: "A@example.org" }), 0);
    assert.equal(cache.get(key("a")), undefined);
    assert.ok(cache.get(key("b")));
  });

  it("forgets a username, right and wrong passwords, or everything", () => {
    const { clock, cache } = make();
    cache.put("auth:1", yes, { isAuth: true, username: "u" });
    cache.put("auth:2", no, { isAuth: true, username: "u" });
    cache.put("auth:3", yes, { isAuth: true, username: "U" });
    cache.put(key("a"), yes);
    assert.equal(cache.forget({ username: "u" }), 2);
    assert.ok(cache.get("auth:3"));
    assert.equal(cache.forget(), 2);
    assert.deepEqual(cache.sizes(), { positive: 0, negative: 0 });
    assert.equal(clock.pending, 0);
  });

  it("compares the domain without regard to case and the local part to the letter", () => {
    assert.equal(lookupKey("rcpt", "User@Example.ORG"), lookupKey("rcpt", "User@example.org"));
    assert.notEqual(lookupKey("rcpt", "User@example.org"), lookupKey("rcpt", "user@example.org"));
    assert.equal(lookupKey("rcpt", '"a@B"@EXAMPLE.org'), 'rcpt:"a@B"@example.org');
    assert.equal(lookupKey("expn", "Staff"), "expn:Staff");
    assert.notEqual(lookupKey("vrfy", "a@b"), lookupKey("rcpt", "a@b"));
    // UTS 46 makes the Kelvin sign a k: the two are one domain. In a local part it is another letter.
    assert.equal(lookupKey("rcpt", "a@\u212A.example"), lookupKey("rcpt", "a@k.example"));
    assert.notEqual(lookupKey("rcpt", "\u212A@k.example"), lookupKey("rcpt", "k@k.example"));
    assert.equal(lookupKey("rcpt", "A@BÜCHER.example"), lookupKey("rcpt", "A@xn--Bcher-KVA.example"));
    assert.equal(lookupKey("rcpt", "ö@bücher.example"), lookupKey("rcpt", "ö@xn--bcher-kva.example"));
    assert.notEqual(lookupKey("rcpt", "a@\u200e.Example"), lookupKey("rcpt", "a@\u200e.other"));
  });

  it("keys credentials by a hash in which nothing of them can be read, and no two are one", () => {
    const { cache } = make();
    const other = make({}, 1).cache;
    const keys = [
      cache.authKey({ username: "user", secret: "secret", isToken: false }),
      cache.authKey({ username: "User", secret: "secret", isToken: false }),
      cache.authKey({ username: "user", secret: "Secret", isToken: false }),
      cache.authKey({ username: "user", secret: "secret", isToken: true }),
      cache.authKey({ username: "user", secret: "secret", isToken: false }, "admin"),
      cache.authKey({ username: "users", secret: "ecret", isToken: false }),
      cache.authKey({ username: "user,6:secret", secret: "", isToken: false }),
      other.authKey({ username: "user", secret: "secret", isToken: false }),
    ];
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(keys[0], cache.authKey({ username: "user", secret: "secret", isToken: false }));
    for (const text of keys) {
      assert.match(text, /^auth:[A-Za-z0-9+/]{43}=$/);
    }
  });
});
