/** A message can be followed: its id stands in the trace line, in the reply, in the log and in the traces, and its record has all that is known. */
import assert from "node:assert/strict";
import { tracingChannel } from "node:diagnostics_channel";
import { after, before, beforeEach, describe, it } from "node:test";
import type { RelayTrace } from "../../../src/index.js";
import { House } from "./kit/house.js";

const TABLES = `
[serve.in]
protocol = "smtp"
listen = "127.0.0.1:0"
host = [ { if = "rcpt", eq = "never@example.org", then = "550 5.7.1 never" }, { else = "lmtp" } ]
timeout = "2s"
auth = { host = "imap", allow-plaintext = true }
[serve.unix]
protocol = "lmtp"
listen = "unix:FOLDER/lmtp"
host = "lmtp"
[serve.map]
protocol = "socketmap"
listen = "unix:FOLDER/map"
`;
const MESSAGE = "Subject: x\r\nMessage-ID: <1@example.net>\r\n\r\nbody\r\n.";

describe("a message through the gateway", { timeout: 30_000 }, () => {
  let house: House;

  before(async () => {
    house = await House.open(TABLES);
  });

  after(() => house[Symbol.asyncDispose]());

  beforeEach(() => {
    house.records.length = 0;
    house.lmtp.ledger.transactions.length = 0;
  });

  /** Sends one message to recipients; the reply to its end. */
  const send = async (name: string, ...recipients: readonly string[]): Promise<string> => {
    using client = await house.greet(name, name === "unix" ? "LHLO" : "EHLO");
    await client.ask("MAIL FROM:<me@example.net>");
    for (const recipient of recipients) {
      await client.ask(`RCPT TO:<${recipient}>`);
    }
    await client.ask("DATA");
    return await client.ask(MESSAGE);
  };

  it("has one id in its trace line, its reply, its record and its trace", async () => {
    const traced: (string | undefined)[] = [];
    const subscribers = { start: (message: unknown) => traced.push((message as RelayTrace).id) } as never;
    tracingChannel("relaypost:relay").subscribe(subscribers);
    const reply = await send("in", "ann@example.org");
    tracingChannel("relaypost:relay").unsubscribe(subscribers);
    const { id, ...record } = await house.event("serve-relayed");
    assert.match(String(id), /^[A-Z0-9]{10,16}$/);
    assert.match(reply, new RegExp(`^250 2\\.\\d\\.\\d .* \\(id ${id}\\)$`));
    assert.deepEqual(traced, [id]);
    const content = house.lmtp.ledger.deliveries.at(-1)!.content.toString();
    assert.match(content, new RegExp(` with ESMTP id ${id}\\r\\n\\tfor <ann@example\\.org>;\\r\\n`));
    assert.deepEqual(
      { ...record, level: 0, queueMs: 0, relayMs: 0, totalMs: 0, connection: 0, msg: "", time: 0, replies: [] },
      {
        level: 0,
        time: 0,
        event: "serve-relayed",
        hostId: "lmtp",
        listener: "in",
        client: "127.0.0.1",
        sender: "me@example.net",
        recipients: [
          { recipient: "ann@example.org", status: "delivered", reply: "250 2.0.0 stored <ann@example.org>" },
        ],
        octets: MESSAGE.length - 1,
        messageId: "<1@example.net>",
        queueMs: 0,
        relayMs: 0,
        totalMs: 0,
        connection: 0,
        tls: "none",
        replies: [],
        msg: "",
      },
    );
    assert.ok(Number(record.totalMs) >= Number(record.relayMs) && Number(record.relayMs) >= 0);
    assert.ok(Number(record.connection) >= 1);
  });

  it("tells none of several recipients of the others, and has another id each time", async () => {
    await send("in", "ann@example.org", "bob@example.org");
    await send("in", "ann@example.org", "bob@example.org");
    const [first, second] = house.records.filter(({ event }) => event === "serve-relayed");
    assert.notEqual(first!.id, second!.id);
    const content = house.lmtp.ledger.deliveries.at(-1)!.content.toString();
    assert.match(content, new RegExp(` with ESMTP id ${second!.id};\\r\\n`));
    assert.doesNotMatch(content.slice(0, content.indexOf("Subject")), / for |bob@|ann@/);
  });

  it("is recorded by what was worst in it for the sender, with each recipient's status and reply", async () => {
    const full = house.lmtp.order({ on: "delivery", match: /^bob@/, reply: "552 5.2.2 full" });
    await send("unix", "ann@example.org", "bob@example.org");
    full();
    const refused = await house.event("serve-refused");
    assert.equal(refused.client, `unix:${house.folder}/lmtp`);
    const recipients = refused.recipients as Record<string, string>[];
    assert.deepEqual(
      recipients.map(({ recipient, status }) => `${recipient} ${status}`),
      ["ann@example.org delivered", "bob@example.org refused"],
    );
    assert.match(recipients[1]!.reply!, /^552 5\.2\.2 full/);

    const later = house.lmtp.order({ on: "delivery", match: /^bob@/, reply: "452 4.2.2 later" });
    await send("in", "bob@example.org");
    later();
    assert.match(String(((await house.event("serve-deferred")).replies as string[])[0]), /^452 4\.2\.2 later/);

    const lost = house.lmtp.order({ on: "terminator", afterwards: "close" });
    await send("in", "ann@example.org");
    lost();
    const uncertain = await house.event("serve-uncertain");
    assert.equal(uncertain.level, 40);
    assert.match(String(uncertain.id), /^[A-Z0-9]+$/);
  });

  it("is recorded with its cause where nobody has it", async () => {
    const withdraw = house.lmtp.order({ on: "MAIL", afterwards: "close" });
    const reply = await send("in", "ann@example.org");
    withdraw();
    const deferred = await house.event("serve-deferred");
    assert.match(reply, new RegExp(`^451 4\\.4\\.1 .* \\(id ${deferred.id}\\)$`));
    assert.equal(deferred.code, "REMOTE_CLOSED");
    assert.deepEqual(deferred.recipients, [{ recipient: "ann@example.org" }]);
  });

  it("has a record of bounded length without control characters, whatever stands in it", async () => {
    const hostile = `<\x1b[2J\x07${"x".repeat(50_000)}\u0085>`;
    using client = house.connect("in");
    await client.until(/^220 .*\r\n/m);
    await client.ask("EHLO \u202eclient.test");
    await client.ask(`MAIL FROM:<"a\u200bb\\"c"@example.net>`);
    await client.ask("MAIL FROM:<me@example.net>");
    await client.ask("RCPT TO:<ann@example.org>");
    await client.ask("DATA");
    await client.ask(`Message-ID: ${hostile}\r\n\r\nx\r\n.`);
    const line = JSON.stringify(await house.event("serve-relayed"));
    assert.ok(line.length < 2_000);
    assert.match(line, /^[ -~]+$/);
    assert.match(line, /"messageId":"<\\\\x1b\[2J/);
  });

  it("is followed step by step where the log's level is debug", async () => {
    using client = await house.greet("in");
    await client.ask(`AUTH PLAIN ${Buffer.from("\0ann\0right").toString("base64")}`);
    await client.ask("MAIL FROM:<me@example.net>");
    await client.ask("RCPT TO:<never@example.org>");
    await client.ask("RCPT TO:<ann@example.org>");
    const steps = house.records.filter(({ event }) => event === "serve-recipient");
    assert.deepEqual(
      steps.map(({ recipient, reply }) => `${recipient} ${reply}`),
      ["never@example.org 550 5.7.1 never", "ann@example.org 250"],
    );
    assert.equal(steps[0]!.id, steps[1]!.id);
    assert.equal((await house.event("serve-auth-accepted")).user, "ann");
    using map = house.connect("map");
    await map.say("25:lmtp-rcpt ann@example.org,").until(/OK,/);
    const answer = await house.event("serve-answer");
    assert.deepEqual(
      [answer.listener, answer.question, answer.key, answer.reply],
      ["map", "lmtp-rcpt", "ann@example.org", "found"],
    );
  });

  it("leaves no address in any record where none may be kept", async () => {
    house.write(`[serve]\nlog = { level = "debug", addresses = "none" }\n${TABLES}`);
    await house.restart();
    await send("in", "ann@example.org", "nobody@example.org");
    await house.event("serve-relayed");
    assert.doesNotMatch(JSON.stringify(house.records), /ann@|nobody|me@|example\.(org|net)/);
  });
});
