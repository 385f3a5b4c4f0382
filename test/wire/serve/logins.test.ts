/** Refused logins through a whole daemon: the same record on every listener that knows passwords, whatever the names are. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { House } from "./kit/house.js";

const TABLES = `
[serve.sasl]
protocol = "dovecot-auth"
listen = "unix:FOLDER/sasl"
host = "imap"
limits = { request = "1MiB" }
[serve.in]
protocol = "smtp"
listen = "127.0.0.1:0"
host = "lmtp"
auth = { host = "imap", allow-plaintext = true }
limits = { line = "1MiB" }
`;

const base64 = (text: string) => Buffer.from(text).toString("base64");

describe("a refused login", { timeout: 30_000 }, () => {
  let house: House;

  before(async () => {
    house = await House.open(TABLES);
  });

  after(() => house[Symbol.asyncDispose]());

  beforeEach(() => {
    house.records.length = 0;
  });

  const refusals = () => house.records.filter(({ event }) => event === "serve-auth-refused");

  it("has its record, with the host's words", async () => {
    using mta = house.connect("sasl");
    await mta.until(/DONE\n/);
    await mta.say(`AUTH\t1\tPLAIN\trip=198.51.100.7\tresp=${base64("\0ann\0wrong")}\n`).until(/FAIL\t1/);
    using client = await house.greet("in");
    await client.say(`AUTH PLAIN ${base64("\0bob\0wrong")}\r\n`).until(/^535 .*\r\n/m);
    const [first, second] = refusals();
    assert.deepEqual(pick(first), {
      hostId: "imap",
      listener: "sasl",
      client: "198.51.100.7",
      user: "ann",
      mechanism: "PLAIN",
    });
    assert.deepEqual(pick(second), {
      hostId: "imap",
      listener: "in",
      client: "127.0.0.1",
      user: "bob",
      mechanism: "PLAIN",
    });
    for (const record of [first, second]) {
      assert.match(String(record?.reason), /^NO (?:\[AUTHENTICATIONFAILED\] )?\S/);
    }
  });

  it("has one each, also where the same user is tried a hundred times in a second", async () => {
    using mta = house.connect("sasl");
    await mta.until(/DONE\n/);
    for (let id = 0; id < 90; id++) {
      mta.say(`AUTH\t${id}\tPLAIN\tresp=${base64(`\0ann\0wrong ${id}`)}\n`);
    }
    await mta.until(/FAIL\t89/);
    assert.equal(refusals().length, 90);
    assert.equal(refusals()[0]!.client, `unix:${house.folder}/sasl`);
  });

  it("leaves no secret in any record, whatever the host repeats", async () => {
    const secret = "Canary/7+Secret~With%Signs";
    const withdraw = [
      house.imap.order({ on: "login", match: /later/, reply: `{tag} NO [UNAVAILABLE] not now, ${secret}` }),
      house.imap.order({ on: "login", reply: `{tag} NO [AUTHENTICATIONFAILED] ${secret} is wrong` }),
    ];
    using mta = house.connect("sasl");
    await mta.until(/DONE\n/);
    await mta.say(`AUTH\t1\tPLAIN\tresp=${base64(`\0ann\0${secret}`)}\n`).until(/FAIL\t1/);
    await mta.say(`AUTH\t2\tLOGIN\tresp=${base64("ann")}\nCONT\t2\t${base64(secret)}\n`).until(/FAIL\t2/);
    using client = await house.greet("in");
    await client.say(`AUTH PLAIN ${base64(`bob\0ann\0${secret}`)}\r\n`).until(/^535 .*\r\n/m);
    await client.say(`AUTH PLAIN ${base64(`\0later\0${secret}`)}\r\n`).until(/^(?:535|454) .*\r\n/m);
    for (const cancel of withdraw) {
      cancel();
    }
    assert.equal(refusals().length >= 3, true);
    const log = JSON.stringify(house.records);
    for (const form of [secret, base64(secret), base64(`\0ann\0${secret}`), encodeURIComponent(secret)]) {
      assert.equal(log.includes(form), false, form);
    }
  });

  it("stands in one line of bounded length, whatever the user is called", async () => {
    const names = [
      "a\r\nb",
      "\x1b[2J\x1b[H",
      `x${"y".repeat(700_000)}`,
      '","event":"serve-ready","x":"',
      "\u202eevil\u0085",
    ];
    for (const [id, name] of names.entries()) {
      using mta = house.connect("sasl");
      await mta.until(/DONE\n/);
      await mta.say(`AUTH\t${id}\tPLAIN\tresp=${base64(`\0${name}\0wrong`)}\n`).until(/FAIL\t/);
    }
    assert.equal(refusals().length, names.length);
    for (const { user } of refusals()) {
      assert.match(String(user), /^[ -~]{1,400}$/);
    }
  });
});

function pick(record: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> {
  const { hostId, listener, client, user, mechanism } = record ?? {};
  return { hostId, listener, client, user, mechanism };
}
