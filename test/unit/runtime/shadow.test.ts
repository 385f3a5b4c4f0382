/** What a shadow asks of the other host, when it asks nothing, and what it makes of the answers: against two hosts that are no more than functions. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LookupAnswer } from "../../../src/api.js";
import type { HostSettings, ShadowSettings } from "../../../src/config/settings.js";
import { RelaypostError } from "../../../src/errors.js";
import { type Question, Shadow, type ShadowedHost } from "../../../src/runtime/shadow.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const NOTHING = { agreed: 0, onlyHere: 0, onlyThere: 0, unsure: 0, failed: 0, dropped: 0 };
const DAY_MS = 86_400_000;

class Other implements ShadowedHost {
  isBusy = false;
  detectsCatchAll = false;
  readonly asked: Question[] = [];
  readonly forgotten: unknown[] = [];
  answer: () => Promise<LookupAnswer> | LookupAnswer = () => said(true);

  async ask(question: Question): Promise<LookupAnswer> {
    this.asked.push(question);
    return this.answer();
  }

  async forget(filter: { recipient?: string }): Promise<number> {
    this.forgotten.push(filter);
    return 1;
  }
}

function said(found: boolean, more: Partial<LookupAnswer> = {}): LookupAnswer {
  const reply = found ? { code: 250, text: "ok" } : { code: 550, enhanced: "5.1.1", text: "no anna@example.org here" };
  return { found, values: [], source: "remote", ageMs: 0, certainty: "verified", reply, ...more };
}

class Stage {
  readonly clock = new VirtualClock();
  readonly own = new Other();
  readonly other = new Other();
  readonly records: { event: string; message: string; fields: Readonly<Record<string, unknown>> | undefined }[] = [];
  random = 0;
  shadow: Shadow;

  constructor(settings: Partial<ShadowSettings> = {}) {
    this.shadow = this.with(settings, undefined)!;
  }

  with(settings: Partial<ShadowSettings>, former: Shadow | undefined): Shadow | undefined {
    const shadow = { host: "old", share: 0.1, kinds: ["rcpt", "auth"] as const, addresses: false, ...settings };
    const context = {
      clock: this.clock,
      random: () => this.random,
      log: (_level: string, event: string, _host: string | undefined, message: string, fields?: object) =>
        void this.records.push({ event, message, fields: fields as Readonly<Record<string, unknown>> }),
      find: (id: string) => (id === "old" ? this.other : this.own),
    };
    return Shadow.of({ id: "new", shadow } as HostSettings, context, former);
  }

  /** A lookup with this answer, and all that comes of it. */
  async rcpt(value: string, here: LookupAnswer): Promise<void> {
    this.shadow.follow({ kind: "rcpt", value }, undefined, Promise.resolve(here));
    await settled();
  }

  async login(username: string, here: LookupAnswer): Promise<void> {
    const credentials = { username, secret: "secret", isToken: false };
    this.shadow.follow({ kind: "auth", credentials }, undefined, Promise.resolve(here));
    await settled();
  }

  counts(kind: "rcpt" | "auth") {
    return this.shadow.stats().kinds[kind]!;
  }
}

/** Answers are compared in the next turn, and the other host answers within it. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a shadow", () => {
  it("asks the other host for its share of the lookups, and only for its kinds", async () => {
    const stage = new Stage({ kinds: ["rcpt"] });
    for (const random of [0, 0.05, 0.0999, 0.1, 0.5, 0.9999]) {
      stage.random = random;
      await stage.rcpt("anna@example.org", said(true));
    }
    stage.random = 0;
    await stage.login("anna", said(true));
    assert.deepEqual(
      stage.other.asked.map(({ kind }) => kind),
      ["rcpt", "rcpt", "rcpt"],
    );
    assert.deepEqual(stage.counts("rcpt"), { agreed: 3, onlyHere: 0, onlyThere: 0, unsure: 0, failed: 0, dropped: 0 });
  });

  it("asks nothing where the host itself gave no new answer", async () => {
    const stage = new Stage();
    await stage.rcpt("anna@example.org", said(true, { source: "cache" }));
    await stage.rcpt("anna@example.org", said(true, { source: "shared" }));
    stage.shadow.follow({ kind: "rcpt", value: "x" }, undefined, Promise.reject(new Error("no answer")));
    await settled();
    assert.equal(stage.other.asked.length, 0);
  });

  it("begins when the caller has its answer", async () => {
    const stage = new Stage();
    const order: string[] = [];
    stage.other.answer = () => {
      order.push("other");
      return said(true);
    };
    const answer = Promise.resolve(said(true));
    stage.shadow.follow({ kind: "rcpt", value: "anna@example.org" }, undefined, answer);
    void answer.then(() => order.push("caller"));
    assert.equal(stage.other.asked.length, 0);
    await settled();
    assert.deepEqual(order, ["caller", "other"]);
  });

  it("counts contradictions by who knows the recipient, and takes a full mailbox for one that exists", async () => {
    const stage = new Stage();
    stage.other.answer = () => said(false);
    await stage.rcpt("anna@example.org", said(true));
    await stage.rcpt("eve@example.org", said(false));
    stage.other.answer = () => said(true);
    await stage.rcpt("bob@example.org", said(false));
    await stage.rcpt("full@example.org", said(false, { mailbox: "full" }));
    assert.deepEqual(stage.counts("rcpt"), { agreed: 2, onlyHere: 1, onlyThere: 1, unsure: 0, failed: 0, dropped: 0 });
    const { differences, share } = stage.shadow.report();
    assert.equal(share, 0.1);
    assert.deepEqual(
      differences.map(({ subject, differs }) => [subject, differs]),
      [
        ["anna@example.org", "only-here"],
        ["bob@example.org", "only-there"],
      ],
    );
  });

  it("makes nothing of what a host accepts that accepts everybody, or may do so", async () => {
    const stage = new Stage();
    const acceptsAll = said(true, { certainty: "accepts-all" });
    await stage.rcpt("anna@example.org", acceptsAll);
    assert.equal(stage.other.asked.length, 0, "whatever the other host says would mean nothing");
    stage.other.answer = () => acceptsAll;
    await stage.rcpt("anna@example.org", said(true));
    await stage.rcpt("bob@example.org", said(false));
    assert.deepEqual(stage.counts("rcpt"), { ...NOTHING, unsure: 3 });
    const unknown = said(true, { certainty: "unknown" });
    stage.other.answer = () => unknown;
    await stage.rcpt("bob@example.org", said(false));
    assert.deepEqual(stage.counts("rcpt"), { ...NOTHING, unsure: 3, onlyThere: 1 }, "nobody finds out");
    stage.other.detectsCatchAll = true;
    await stage.rcpt("bob@example.org", said(false));
    stage.own.detectsCatchAll = true;
    await stage.rcpt("anna@example.org", unknown);
    stage.other.answer = () => said(false);
    await stage.rcpt("bob@example.org", said(false));
    assert.deepEqual(stage.counts("rcpt"), { ...NOTHING, unsure: 5, onlyThere: 1, agreed: 1 });
    assert.equal(stage.records.length, 1);
  });

  it("asks anew before an old answer of the other host counts as a contradiction", async () => {
    const stage = new Stage();
    stage.other.answer = () => said(stage.other.forgotten.length > 0, { source: "cache" });
    await stage.rcpt("anna@example.org", said(true));
    assert.deepEqual(stage.other.forgotten, [{ recipient: "anna@example.org" }]);
    assert.equal(stage.counts("rcpt").agreed, 1);
  });

  it("counts an other host without an answer, and goes on", async () => {
    const stage = new Stage();
    stage.other.answer = () => Promise.reject(new RelaypostError("HOST_UNAVAILABLE", "down"));
    await stage.rcpt("anna@example.org", said(true));
    stage.other.answer = () => said(true);
    await stage.rcpt("anna@example.org", said(true));
    assert.deepEqual(stage.counts("rcpt"), { agreed: 1, onlyHere: 0, onlyThere: 0, unsure: 0, failed: 1, dropped: 0 });
  });

  it("is what an overload costs first: nothing is asked while either host is busy, nor beyond 64 questions", async () => {
    const stage = new Stage();
    stage.own.isBusy = true;
    await stage.rcpt("anna@example.org", said(true));
    stage.own.isBusy = false;
    stage.other.isBusy = true;
    await stage.rcpt("anna@example.org", said(true));
    stage.other.isBusy = false;
    assert.equal(stage.other.asked.length, 0);
    const releases: (() => void)[] = [];
    stage.other.answer = () => new Promise((resolve) => releases.push(() => resolve(said(true))));
    for (let number = 0; number < 100; number++) {
      await stage.rcpt(`user${number}@example.org`, said(true));
    }
    assert.equal(stage.other.asked.length, 64);
    assert.equal(stage.counts("rcpt").dropped, 38);
    for (const release of releases) {
      release();
    }
    await settled();
    stage.other.answer = () => said(true);
    await stage.rcpt("anna@example.org", said(true));
    assert.equal(stage.counts("rcpt").agreed, 65);
  });

  it("asks nothing after its end", async () => {
    const stage = new Stage();
    stage.shadow.stop();
    await stage.rcpt("anna@example.org", said(true));
    assert.equal(stage.other.asked.length, 0);
  });

  it("keeps what it counted over a reload, unless the other host is another one", () => {
    const stage = new Stage();
    assert.equal(stage.with({ share: 0.5 }, stage.shadow), stage.shadow);
    assert.equal(stage.shadow.report().share, 0.5);
    assert.notEqual(stage.with({ host: "older" }, stage.shadow), stage.shadow);
    assert.equal(Shadow.of({ id: "new" } as HostSettings, {} as never, stage.shadow), undefined);
  });
});

describe("a shadow of logins", () => {
  it("tries no password that is wrong here", async () => {
    const stage = new Stage();
    await stage.login("anna", said(false));
    assert.equal(stage.other.asked.length, 0);
  });

  it("leaves a user alone for a day whose password was wrong there, in upper case too", async () => {
    const stage = new Stage();
    stage.other.answer = () => said(false);
    await stage.login("anna", said(true));
    await stage.login("anna", said(true));
    await stage.login("ANNA", said(true));
    assert.equal(stage.other.asked.length, 1);
    assert.deepEqual(stage.counts("auth"), { agreed: 0, onlyHere: 1, onlyThere: 0, unsure: 0, failed: 0, dropped: 2 });
    stage.clock.advance(DAY_MS - 1);
    await stage.login("anna", said(true));
    assert.equal(stage.other.asked.length, 1);
    stage.clock.advance(1);
    await stage.login("anna", said(true));
    assert.equal(stage.other.asked.length, 2);
  });

  it("tries one user's password once at a time, and again when it was right", async () => {
    const stage = new Stage();
    let release: (answer: LookupAnswer) => void = () => {};
    stage.other.answer = () =>
      new Promise((resolve) => {
        release = resolve;
      });
    await stage.login("anna", said(true));
    await stage.login("anna", said(true));
    assert.equal(stage.other.asked.length, 1);
    release(said(true));
    await settled();
    await stage.login("anna", said(true));
    assert.equal(stage.other.asked.length, 2);
  });

  it("tries again after a failure before which nothing was sent, and not after another one", async () => {
    const stage = new Stage();
    stage.other.answer = () => Promise.reject(new RelaypostError("CONNECT_FAILED", "refused"));
    await stage.login("anna", said(true));
    await stage.login("anna", said(true));
    assert.equal(stage.other.asked.length, 2);
    stage.other.answer = () => Promise.reject(new RelaypostError("COMMAND_TIMEOUT", "silent"));
    await stage.login("bob", said(true));
    await stage.login("bob", said(true));
    assert.equal(stage.other.asked.length, 3);
  });

  it("remembers ten thousand users, and tries no further ones rather than forget one", async () => {
    const stage = new Stage();
    stage.other.answer = () => said(false);
    for (let number = 0; number < 10_050; number++) {
      const credentials = { username: `user${number}`, secret: "secret", isToken: false };
      stage.shadow.follow({ kind: "auth", credentials }, undefined, Promise.resolve(said(true)));
      if (number % 50 === 0) {
        await settled();
      }
    }
    await settled();
    assert.equal(stage.other.asked.length, 10_000);
  });
});

describe("a difference in the log", () => {
  it("names nobody, has the codes of both replies, and comes once a minute with what was left out", async () => {
    const stage = new Stage();
    stage.other.answer = () => said(false);
    for (const name of ["anna", "bob", "cy"]) {
      await stage.rcpt(`${name}@example.org`, said(true));
    }
    assert.equal(stage.records.length, 1);
    const [first] = stage.records;
    assert.equal(first?.event, "shadow-differs");
    assert.equal(first?.message, "A recipient exists at new, and does not at old.");
    const codes = { here: "250", there: "550 5.1.1" };
    assert.deepEqual(first?.fields, { shadow: "old", kind: "rcpt", differs: "only-here", count: 1, ...codes });
    stage.clock.advance(60_000);
    await stage.rcpt("dan@example.org", said(true));
    assert.equal(stage.records[1]?.fields?.count, 3);
    assert.ok(!JSON.stringify(stage.records).includes("@"));
  });

  it("is told of each kind and direction apart", async () => {
    const stage = new Stage();
    stage.other.answer = () => said(false);
    await stage.rcpt("anna@example.org", said(true));
    await stage.login("anna", said(true));
    stage.other.answer = () => said(true);
    await stage.rcpt("bob@example.org", said(false));
    assert.deepEqual(
      stage.records.map(({ message }) => message),
      [
        "A recipient exists at new, and does not at old.",
        "A password is right at new, and is wrong at old.",
        "A recipient exists at old, and does not at new.",
      ],
    );
  });

  it("names the recipient or user with the operator's consent", async () => {
    const stage = new Stage({ addresses: true });
    stage.other.answer = () => said(false);
    await stage.rcpt("anna@example.org", said(true));
    await stage.login("bob", said(true));
    assert.deepEqual(
      stage.records.map(({ fields }) => fields?.recipient ?? fields?.user),
      ["anna@example.org", "bob"],
    );
  });
});
