/** What deliveries teach the cache of recipients: a reader of replies without a host behind it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RecipientResult, Reply } from "../../../src/api.js";
import type { HostSettings } from "../../../src/config/settings.js";
import { encodeClient, NO_CLIENT } from "../../../src/messages/client.js";
import { AnswerCache } from "../../../workers/host/cache.js";
import { lookupKey } from "../../../workers/host/cache-keys.js";
import { Lessons } from "../../../workers/host/lessons.js";
import { cacheSettings } from "../../kit/cache-settings.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const ACCEPTED: Reply = { code: 250, enhanced: "2.0.0", text: "queued as 1" };
const UNKNOWN: Reply = { code: 550, enhanced: "5.1.1", text: "no such user" };
const ADDRESS = "anna@example.org";
const CACHE = cacheSettings({
  entries: 10,
  positiveTtlMs: 1_000,
  negativeTtlMs: 1_000,
  authTtlMs: 1,
  stateTtlMs: 100,
  learn: true,
});

function make(details: Partial<HostSettings> = {}) {
  const settings = smtpSettings({ cache: CACHE, ...details });
  const clock = new VirtualClock();
  const hmacKey = new Uint8Array(32);
  const cache = new AnswerCache({ settings: settings.cache, hostId: "host", clock, hmacKey });
  const lessons = new Lessons(settings);
  const relayed = (results: RecipientResult[], shared?: Reply, client = NO_CLIENT): void => {
    const recipients = results.map(({ address }) => address);
    lessons.learn(cache, { recipients, client }, results, shared, clock.now());
  };
  const known = (client = NO_CLIENT) =>
    cache.get(lookupKey("rcpt", ADDRESS) + cache.clientSuffix(client))?.answer ?? "nothing";
  return {
    clock,
    cache,
    lessons,
    known,
    relayed,
    accept: (client?: string) =>
      relayed([{ address: ADDRESS, status: "delivered", reply: ACCEPTED }], ACCEPTED, client),
    refuse: (reply: Reply, shared?: Reply) => relayed([{ address: ADDRESS, status: "refused", reply }], shared),
  };
}

describe("a delivery", () => {
  it("teaches that a recipient exists, whatever the case of its domain, and one that is refused does not", () => {
    const { known, relayed } = make();
    relayed([{ address: "anna@EXAMPLE.org", status: "delivered", reply: ACCEPTED }], ACCEPTED);
    assert.deepEqual(known(), { found: true, values: [], reply: ACCEPTED });
    relayed([{ address: "anna@example.ORG", status: "refused", reply: UNKNOWN }]);
    assert.deepEqual(known(), { found: false, values: [], reply: UNKNOWN });
  });

  it("teaches what a mailbox's state is, for as long as states are kept", () => {
    const { clock, known, refuse } = make();
    const reply = { code: 552, enhanced: "5.2.2", text: "over quota" };
    refuse(reply);
    assert.deepEqual(known(), { found: false, values: [], reply, mailbox: "full" });
    clock.advance(100);
    assert.equal(known(), "nothing");
  });

  it("teaches nothing by what is uncertain, deferred, or said of the transaction, the message or us", () => {
    const { known, relayed, refuse, lessons } = make();
    relayed([{ address: ADDRESS, status: "uncertain" }]);
    relayed([{ address: ADDRESS, status: "deferred", reply: { code: 450, enhanced: "4.2.0", text: "" } }]);
    relayed([{ address: ADDRESS, status: "deferred", reply: { code: 552, text: "too many recipients" } }]);
    refuse(UNKNOWN, UNKNOWN);
    refuse({ code: 550, enhanced: "5.7.1", text: "blocked" });
    refuse({ code: 554, enhanced: "5.6.0", text: "content" });
    refuse({ code: 552, enhanced: "5.2.3", text: "larger than it may be" });
    refuse({ code: 503, enhanced: "5.5.1", text: "sequence" });
    assert.equal(known(), "nothing");
    assert.deepEqual(lessons.counts, { found: 0, notFound: 0, contradicted: 0 });
  });

  it("drops an answer that it contradicts, and counts it", () => {
    const { known, accept, refuse, lessons } = make();
    accept();
    refuse(UNKNOWN);
    assert.notEqual(known(), "nothing");
    assert.deepEqual(lessons.counts, { found: 1, notFound: 1, contradicted: 1 });
  });

  it("only casts doubt where LMTP's bare code may speak of the content, or a bare 552 of the message's size", () => {
    for (const [protocol, reply] of [
      ["lmtp", { code: 550, text: "rejected" }],
      ["smtp", { code: 552, text: "too much" }],
    ] as const) {
      const { known, accept, refuse, lessons } = make({ protocol });
      accept();
      refuse(reply);
      assert.equal(known(), "nothing");
      assert.deepEqual(lessons.counts, { found: 1, notFound: 0, contradicted: 1 });
    }
  });

  it("leaves a young answer as it is, since copies of it live as long, and renews one of half its time", () => {
    const { clock, cache, accept, lessons } = make();
    accept();
    clock.advance(499);
    accept();
    assert.equal(cache.get(lookupKey("rcpt", ADDRESS))?.ageMs, 499);
    clock.advance(1);
    accept();
    assert.equal(cache.get(lookupKey("rcpt", ADDRESS))?.ageMs, 0);
    assert.equal(lessons.counts.found, 2);
  });

  it("teaches for the client alone where answers are kept apart", () => {
    const client = encodeClient({ address: "192.0.2.1" });
    const { known, accept } = make({ cache: { ...CACHE, byClient: true } });
    accept(client);
    assert.equal(known(), "nothing");
    assert.notEqual(known(client), "nothing");
  });

  it("teaches nothing of a host whose settings have changed since the message was begun", () => {
    const { clock, cache, lessons, known, accept } = make();
    const results: RecipientResult[] = [{ address: ADDRESS, status: "delivered", reply: ACCEPTED }];
    const begunMs = clock.now();
    clock.advance(1);
    lessons.reconfigure(smtpSettings({ cache: CACHE }), clock.now());
    lessons.learn(cache, { recipients: [ADDRESS], client: NO_CLIENT }, results, ACCEPTED, begunMs);
    assert.equal(known(), "nothing");
    clock.advance(1);
    accept();
    assert.notEqual(known(), "nothing");
  });

  it("teaches nothing where that is off", () => {
    const { learn: _, ...cache } = CACHE;
    const { known, accept } = make({ cache });
    accept();
    assert.equal(known(), "nothing");
  });
});

describe("a delivery to a host whose replies the site knows better", () => {
  it("is read by the site's rules: a refusal that means no such user, one that means nothing", () => {
    const { known, refuse } = make({
      replies: [
        { to: "rcpt", code: 550, enhanced: "5.7.1", meaning: "not-found" },
        { to: "rcpt", code: 550, enhanced: "5.1.1", meaning: "no-answer" },
      ],
    });
    refuse(UNKNOWN);
    assert.equal(known(), "nothing");
    refuse({ code: 550, enhanced: "5.7.1", text: "" });
    assert.notEqual(known(), "nothing");
  });

  it("teaches no recipient that exists where a rule may doubt the reply to RCPT, which the end of a message does not show", () => {
    const doubting = make({ replies: [{ to: "rcpt", text: "will try", meaning: "no-answer" }] });
    doubting.accept();
    assert.equal(doubting.known(), "nothing");
    const other = make({ replies: [{ to: "auth", text: "will try", meaning: "no-answer" }] });
    other.accept();
    assert.notEqual(other.known(), "nothing");
  });
});
