/** Which connection serves whom, and what becomes of those it served when it is gone: what the simulation has shown to go wrong. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ActorStage, type StagedConnection } from "../../kit/actor-stage.js";
import { HostRig } from "../../kit/host-rig.js";
import { imapSettings } from "../../kit/imap-dialogue.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";

const EHLO = "EHLO gw.example.org\r\n";

function greets(connection: StagedConnection, keywords: readonly string[] = ["PIPELINING"]): void {
  connection.connects().says("220 ready\r\n");
  connection.wrote(EHLO);
  connection.says(
    ["server", ...keywords].map((word, at) => `250${at < keywords.length ? "-" : " "}${word}\r\n`).join(""),
  );
}

describe("a connection whose request nothing could be sent for", () => {
  function rested(): ActorStage {
    const stage = new ActorStage(smtpSettings({ concurrency: 1 }));
    stage.lookup(1, "vrfy", "ann");
    greets(stage.connection(0));
    stage.connection(0).wrote("VRFY ann\r\n");
    stage.connection(0).says("250 <ann@example.net>\r\n");
    stage.lookup(2, "vrfy", "jörg");
    assert.deepEqual(stage.answers, { 1: "found, remote", 2: "MISSING_EXTENSION" });
    return stage;
  }

  it("serves the next one at once", () => {
    const stage = rested();
    stage.lookup(3, "vrfy", "bob");
    stage.connection(0).wrote("VRFY bob\r\n");
  });

  it("is closed when the host is closed, without waiting", async () => {
    const stage = rested();
    const closed = stage.actor.close(60_000);
    stage.connection(0).wrote("QUIT\r\n");
    stage.connection(0).closes();
    await closed;
  });
});

describe("a connection with limits", () => {
  it("has no more requests at work than refusals are left to it, and none behind its last", () => {
    const stage = new ActorStage(smtpSettings({ concurrency: 1, limits: { errors: 3, requests: 4 } }));
    stage.lookup(1, "rcpt", "a@example.net");
    stage.lookup(2, "rcpt", "b@example.net");
    greets(stage.connection(0));
    const [first] = stage.connections;
    first!.wrote("MAIL FROM:<>\r\nRCPT TO:<a@example.net>\r\nRCPT TO:<b@example.net>\r\n");
    stage.lookup(3, "rcpt", "c@example.net");
    first!.wrote("RCPT TO:<c@example.net>\r\n");
    stage.lookup(4, "rcpt", "d@example.net");
    first!.wrote("");
    first!.says("250 ok\r\n550 no\r\n");
    first!.wrote("");
    first!.says("250 ok\r\n");
    first!.wrote("RCPT TO:<d@example.net>\r\n");
    stage.lookup(5, "rcpt", "e@example.net");
    first!.wrote("");
    first!.says("250 ok\r\n250 ok\r\n");
    first!.wrote("QUIT\r\n");
    assert.deepEqual(Object.keys(stage.answers), ["1", "2", "3", "4"]);
  });

  for (const limits of [{ requests: 1 }, { errors: 1 }]) {
    it(`sends no envelope behind a terminator past ${JSON.stringify(limits)}`, () => {
      const stage = new ActorStage(smtpSettings({ concurrency: 1, limits }));
      stage.relay(1);
      stage.relay(2);
      greets(stage.connection(0));
      const [first] = stage.connections;
      first!.wrote("MAIL FROM:<1@example.org>\r\nRCPT TO:<u@example.net>\r\nDATA\r\n");
      first!.says("250 ok\r\n250 ok\r\n354 go\r\n");
      first!.wrote("hi\r\n.\r\n");
    });
  }
});

describe("a connection on which MAIL is deferred", () => {
  it("is replaced after three times in a row, and not before", () => {
    const stage = new ActorStage(smtpSettings({ concurrency: 1 }));
    const relay = (slot: number, reply: string): void => {
      stage.relay(slot);
      stage.connections[0]!.wire.takeText(`MAIL FROM:<${slot}@example.org>\r\nRCPT TO:<u@example.net>\r\nDATA\r\n`);
      stage.connections[0]!.says(`${reply}\r\n503 no\r\n503 no\r\n`);
    };
    stage.relay(0);
    greets(stage.connection(0));
    stage.connection(0).wrote("MAIL FROM:<0@example.org>\r\nRCPT TO:<u@example.net>\r\nDATA\r\n");
    stage.connection(0).says("450 later\r\n503 no\r\n503 no\r\n");
    relay(1, "450 later");
    relay(2, "550 no");
    relay(3, "450 later");
    relay(4, "451 later");
    stage.connection(0).wrote("");
    relay(5, "450 later");
    stage.connection(0).wrote("QUIT\r\n");
    stage.connection(0).closes();
    stage.relay(6);
    greets(stage.connection(1));
    stage.connection(1).wrote("MAIL FROM:<6@example.org>\r\nRCPT TO:<u@example.net>\r\nDATA\r\n");
  });
});

describe("a connection that has served its last request", () => {
  function served(): ActorStage {
    const stage = new ActorStage(smtpSettings({ concurrency: 1, limits: { requests: 1 } }));
    stage.lookup(1, "vrfy", "ann");
    greets(stage.connection(0));
    stage.connection(0).wrote("VRFY ann\r\n");
    return stage;
  }

  it("waits for the host's goodbye while nobody needs its slot, and no longer", () => {
    const stage = served();
    const [first] = stage.connections;
    first!.says("250 <ann@example.net>\r\n");
    first!.wrote("QUIT\r\n");
    assert.equal(first!.wire.state, "open");
    stage.lookup(2, "vrfy", "bob");
    assert.equal(first!.wire.state, "ending");
    first!.closes();
    greets(stage.connection(1));
    stage.connection(1).wrote("VRFY bob\r\n");
  });

  it("does not wait where somebody needs its slot already", () => {
    const stage = served();
    stage.lookup(2, "vrfy", "bob");
    const [first] = stage.connections;
    first!.says("250 <ann@example.net>\r\n");
    first!.wrote("QUIT\r\n");
    assert.equal(first!.wire.state, "ending");
  });
});

describe("a connection that rests", () => {
  it("is not lent to a login after its IMAP server has said BYE", () => {
    const stage = new ActorStage(imapSettings("disable", { allowPlaintextAuth: true, concurrency: 1 }));
    stage.login(1, "ann");
    const first = stage.connection(0).connects();
    first.says("* OK [CAPABILITY IMAP4rev2 LOGINDISABLED] ready\r\n");
    assert.deepEqual(stage.answers, { 1: "MISSING_AUTH" });
    // The session knows, the pool will hear of it when the socket is closed: in between comes a login.
    first.session.received(Buffer.from("* BYE idle\r\n"));
    stage.login(2, "bob");
    assert.equal(stage.connections.length, 2);
  });
});

describe("a request that is cut off", () => {
  it("has its second try on a connection that nobody has used", () => {
    const stage = new ActorStage(smtpSettings({ concurrency: 3 }));
    stage.lookup(1, "vrfy", "ann");
    stage.lookup(2, "vrfy", "bob");
    for (const number of [0, 1]) {
      greets(stage.connection(number));
    }
    for (const number of [0, 1]) {
      stage.connection(number).says("250 <u@example.net>\r\n");
    }
    assert.deepEqual(stage.answers, { 1: "found, remote", 2: "found, remote" });
    stage.relay(3);
    const used = stage.connections.find(({ wire }) => wire.describe().includes("MAIL"));
    used!.closes();
    greets(stage.connection(2));
    stage.connection(2).wrote("MAIL FROM:<3@example.org>\r\nRCPT TO:<u@example.net>\r\nDATA\r\n");
  });

  it("is not tried again when its connection had served nobody", () => {
    const stage = new ActorStage(smtpSettings({ concurrency: 1 }));
    stage.lookup(1, "vrfy", "ann");
    stage.lookup(2, "rcpt", "u@example.net");
    greets(stage.connection(0));
    stage.connection(0).closes();
    assert.equal(Object.keys(stage.answers).length, 1);
  });

  it("is not tried again either when nothing could be sent for the one before it", () => {
    const stage = new ActorStage(smtpSettings({ concurrency: 1 }));
    stage.lookup(1, "vrfy", "jörg");
    stage.relay(2);
    greets(stage.connection(0));
    assert.deepEqual(stage.answers, { 1: "MISSING_EXTENSION" });
    stage.connection(0).wrote("MAIL FROM:<2@example.org>\r\nRCPT TO:<u@example.net>\r\nDATA\r\n");
    stage.connection(0).closes();
    assert.deepEqual(Object.values(stage.answers), ["MISSING_EXTENSION", "REMOTE_CLOSED"]);
  });

  it("is a login over IMAP that goes again, where the server has seen nothing of the password", () => {
    const stage = new ActorStage(imapSettings("disable", { allowPlaintextAuth: true }));
    stage.login(1, "ann");
    const first = stage.connection(0).connects();
    first.says("* OK [CAPABILITY IMAP4rev2 AUTH=PLAIN] ready\r\n");
    const tag = first.wire.takeLine("AUTHENTICATE").split(" ")[0];
    first.says("+ \r\n");
    first.wire.takeLine("the response");
    first.says(`${tag} NO [AUTHENTICATIONFAILED] wrong\r\n`);
    assert.deepEqual(stage.answers, { 1: "not found, remote" });
    stage.login(2, "bob");
    first.closes();
    stage.connection(1).connects().says("* OK [CAPABILITY IMAP4rev2 AUTH=PLAIN] ready\r\n");
    assert.match(stage.connection(1).wire.takeLine("AUTHENTICATE"), /AUTHENTICATE PLAIN$/);
  });

  it("is not sent again after the time to drain", () => {
    const stage = new ActorStage(smtpSettings({ concurrency: 1 }));
    stage.lookup(1, "vrfy", "ann");
    greets(stage.connection(0));
    stage.connection(0).says("250 <u@example.net>\r\n");
    stage.relay(2);
    void stage.actor.close(0);
    stage.settle();
    assert.equal(stage.answers[2], "MAILBOX_CLOSED");
    assert.equal(stage.connections.length, 1);
  });
});

describe("new settings", () => {
  const settings = smtpSettings({ concurrency: 1, address: "192.0.2.1" });
  const changed = smtpSettings({ concurrency: 1, address: "192.0.2.2" });

  it("take back a connection that is still on its way, and fail nobody for it", () => {
    const stage = new ActorStage(settings);
    stage.relay(1);
    stage.connection(0);
    stage.actor.reconfigure(changed);
    assert.equal(stage.connection(1).address, "192.0.2.2");
    assert.deepEqual(stage.answers, {});
  });

  it("try the host at once although the former one could not be reached", () => {
    const stage = new ActorStage(settings);
    for (const slot of [0, 1, 2]) {
      stage.relay(slot);
      stage.connection(slot).closes();
    }
    stage.relay(3);
    assert.equal(stage.answers[3], "HOST_UNAVAILABLE");
    stage.actor.reconfigure(changed);
    stage.relay(4);
    assert.equal(stage.connection(3).address, "192.0.2.2");
  });

  it("give nobody an answer of the former host who asks after the change", () => {
    const kept = { ...settings.cache, entries: 10, positiveTtlMs: 60_000 };
    const stage = new ActorStage({ ...settings, cache: kept });
    stage.lookup(1, "vrfy", "ann");
    greets(stage.connection(0));
    stage.actor.reconfigure({ ...changed, cache: kept });
    stage.lookup(2, "vrfy", "ann");
    stage.connection(0).says("250 <u@example.net>\r\n");
    assert.deepEqual(stage.answers, { 1: "found, remote" });
    stage.lookup(3, "vrfy", "ann");
    assert.deepEqual(stage.answers, { 1: "found, remote" });
  });
});

describe("a host that an operator paused", () => {
  it("sends nothing of what waits when it is closed, and lets nobody wait for that", async () => {
    const rig = new HostRig();
    rig.relay("before");
    rig.run();
    rig.actor.operate("pause");
    rig.relay("message");
    rig.rcpt("lookup");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["before: delivered on 1"]);
    const done = rig.actor.close(60_000);
    rig.run();
    assert.deepEqual(rig.outcomes().sort(), ["lookup: MAILBOX_CLOSED", "message: MAILBOX_CLOSED"]);
    await done;
    assert.equal(rig.peers.length, 1);
    rig.checkSettled();
  });
});
