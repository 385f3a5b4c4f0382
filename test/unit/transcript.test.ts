/** The transcript kit itself: a replay that could not fail would make every protocol test worthless. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { Session, Wire } from "../../workers/wire/session.js";
import { replay, replayEverySplit, type Script } from "../kit/transcript.js";

/** Answers each whole line `word` with `<its number> word`. */
class Echo implements Session {
  readonly log: string[] = [];
  private unread = "";
  private count = 0;

  constructor(
    private readonly wire: Wire,
    private readonly fault: "none" | "needs-whole-lines" | "keeps-view" = "none",
  ) {}

  connected(): void {
    this.wire.expectWithin(1000);
  }

  received(bytes: Uint8Array): void {
    const text = Buffer.from(bytes).toString();
    this.unread = this.fault === "needs-whole-lines" ? text : this.unread + text;
    if (this.fault === "keeps-view") {
      setViews.push(bytes);
    }
    for (let end = this.unread.indexOf("\r\n"); end !== -1; end = this.unread.indexOf("\r\n")) {
      const word = this.unread.slice(0, end);
      this.unread = this.unread.slice(end + 2);
      if (word === "tls") {
        this.wire.startTls();
      } else if (word === "bye") {
        this.wire.end();
      } else {
        this.wire.write(`${++this.count} ${word}\r\n`);
      }
    }
  }

  secured(): void {
    this.log.push("secured");
  }
  timedOut(): void {
    this.log.push("timed out");
    this.wire.destroy();
  }
  drained(): void {}
  closed(): void {
    this.log.push("closed");
  }
}

const setViews: Uint8Array[] = [];
const script = (steps: Script<Echo>["steps"], fault?: "needs-whole-lines" | "keeps-view"): Script<Echo> => ({
  open: (wire) => new Echo(wire, fault),
  steps,
});

it("replays a right dialogue at every split", () => {
  let replays = 0;
  const steps = ["S: one", "S: two", "C: $n one", "C: 2 two", "S: $n", "C: 3 1", "S: tls", "TLS", "S: bye", "END"];
  replayEverySplit(
    () => script(steps),
    ({ session }) => {
      replays++;
      assert.deepEqual(session.log, ["secured", "closed"]);
    },
  );
  assert.equal(replays, 2 + 9 + 2 + 4 + 4);
});

it("finds a wrong line, a missing one and a surplus one", () => {
  assert.throws(() => replay(script(["S: one", "C: 1 two"])), /instead of/);
  assert.throws(() => replay(script(["S: one", "C: 1 one", "C: 2 two"])), /should have written/);
  assert.throws(() => replay(script(["S: one", "S: two", "C: 1 one"])), /no step expects/);
  assert.throws(() => replay(script(["S: one", "C: $n one", "S: two", "C: $n two"])), /instead of/);
});

it("finds a missing close, request for TLS or wait", () => {
  assert.throws(() => replay(script(["END"])), /should have ended/);
  assert.throws(() => replay(script(["DESTROY"])), /should have destroyed/);
  assert.throws(() => replay(script(["TLS"])), /should have asked for TLS/);
  assert.throws(() => replay(script(["TIMEOUT", "DESTROY", "TIMEOUT"])), /waiting for something/);
});

it("finds a session that depends on where bytes are cut, and spoils a buffer after its call", () => {
  assert.throws(() =>
    replayEverySplit(
      () => script(["S: one", "C: 1 one"], "needs-whole-lines"),
      () => {},
    ),
  );
  replay(script(["S: one", "C: 1 one"], "keeps-view"));
  assert.ok(setViews.every((view) => view.every((octet) => octet === 0xaa)));
});
