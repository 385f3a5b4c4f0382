/** Maps, policies and passwords through a whole daemon, to a strict LMTP and a strict IMAP server. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { netstring } from "../../../src/serve/netstring.js";
import { House } from "./kit/house.js";

const TABLES = `
[serve.map]
protocol = "socketmap"
listen = "unix:FOLDER/map"
mode = "0600"

[serve.table]
protocol = "tcp-table"
listen = "127.0.0.1:0"
map = "lmtp-rcpt"

[serve.policy]
protocol = "policy"
listen = "127.0.0.1:0"
host = "lmtp"

[serve.ruled]
protocol = "policy"
listen = "127.0.0.1:0"
action = [ { if = "remote-ip", eq = "192.0.2.0/24", then = "REJECT 5.7.1 not from there" },
           { if = "rcpt", in-list = "remote/lmtp", then = "OK" }, { else = "DUNNO" } ]

[serve.named]
protocol = "policy"
listen = "127.0.0.1:0"
rule = "ours"
reject = "REJECT 5.1.2 not ours"

[rule.ours]
if = "rcpt-domain"
eq = "example.org"

[serve.sasl]
protocol = "dovecot-auth"
listen = "unix:FOLDER/sasl"
host = "imap"
`;

describe("the daemon's answers", { timeout: 30_000 }, () => {
  let house: House;

  before(async () => {
    house = await House.open(TABLES);
  });

  after(() => house[Symbol.asyncDispose]());

  const ask = async (name: string, request: string, end: RegExp): Promise<string> => {
    using client = house.connect(name);
    return await client.say(request).until(end);
  };

  it("are those of socketmap_table(5)", async () => {
    const map = (request: string) => ask("map", netstring(request), /,$/);
    assert.equal(await map("lmtp-rcpt ann@example.org"), netstring("OK OK"));
    assert.equal(await map("lmtp-rcpt nobody@example.org"), netstring("NOTFOUND "));
    assert.equal(await map("lmtp-rcpt @example.org"), netstring("NOTFOUND "));
    assert.match(await map("lmtp-rcpt later@example.org"), /:TEMP .*450/);
    assert.match(await map("lmtp-rcpt full@example.org"), /:TEMP 5\.2\.2 over quota/);
    assert.equal(await map("lmtp-rcpt off@example.org"), netstring("NOTFOUND "));
    assert.match(await map("lmtp-vrfy ann@example.org"), /:PERM .*252/);
    assert.match(await map("imap-rcpt ann@example.org"), /:PERM /);
    assert.match(await map("none-rcpt ann@example.org"), /:PERM /);
    assert.match(await map("lmtp ann@example.org"), /:PERM There is no such map/);
    assert.match(await map("nothing"), /:PERM /);
  });

  it("are given on a socket of the configured mode", () => {
    assert.equal(statSync(`${house.folder}/map`).mode & 0o777, 0o600);
  });

  it("are those of tcp_table(5)", async () => {
    const table = (request: string) => ask("table", request, /\n$/);
    assert.equal(await table("get ann@example.org\n"), "200 OK\n");
    assert.equal(await table("get ann%40example.org\r\n"), "200 OK\n");
    assert.equal(await table("get nobody@example.org\n"), "500 not%20found\n");
    assert.match(await table("get later@example.org\n"), /^400 \S+450\S+\n$/);
    assert.equal(await table("get full@example.org\n"), "400 5.2.2%20over%20quota\n");
    assert.equal(await table("get off@example.org\n"), "500 not%20found\n");
    assert.match(await table("put a b\n"), /^500 /);
    assert.match(await table("get\n"), /^400 /);
  });

  it("are policies by host, by rule and by action", async () => {
    const policy = (name: string, attributes: Record<string, string>) => {
      const lines = Object.entries({ request: "smtpd_access_policy", ...attributes }).map((pair) => pair.join("="));
      return ask(name, `${lines.join("\n")}\n\n`, /\n\n$/);
    };
    assert.equal(await policy("policy", { recipient: "ann@example.org" }), "action=DUNNO\n\n");
    assert.match(await policy("policy", { recipient: "nobody@example.org" }), /^action=REJECT 5\.1\.1 /);
    assert.match(await policy("policy", { recipient: "later@example.org" }), /^action=DEFER_IF_PERMIT 4\.4\.3 /);
    assert.equal(await policy("policy", { recipient: "full@example.org" }), "action=552 5.2.2 over quota\n\n");
    assert.equal(await policy("policy", { recipient: "off@example.org" }), "action=550 5.2.1 switched off\n\n");
    assert.equal(await policy("policy", { recipient: "" }), "action=DUNNO\n\n");
    const client_address = "192.0.2.1";
    assert.match(await policy("ruled", { recipient: "ann@example.org", client_address }), /^action=REJECT 5\.7\.1/);
    assert.equal(await policy("ruled", { recipient: "ann@example.org", client_address: "unknown" }), "action=OK\n\n");
    assert.match(await policy("ruled", { recipient: "later@example.org" }), /^action=DEFER_IF_PERMIT/);
    assert.equal(await policy("named", { recipient: "x@example.org" }), "action=DUNNO\n\n");
    assert.equal(await policy("named", { recipient: "x@example.net" }), "action=REJECT 5.1.2 not ours\n\n");
  });

  it("are passwords by Dovecot's protocol", async () => {
    using client = house.connect("sasl");
    const hello = await client.until(/DONE\n/);
    assert.match(
      hello,
      /^VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t\d+\nCUID\t\d+\nCOOKIE\t[0-9a-f]{32}\nDONE\n$/,
    );
    const plain = (user: string, secret: string) => Buffer.from(`\0${user}\0${secret}`).toString("base64");
    client.say(`VERSION\t1\t1\nCPID\t7\nAUTH\t1\tPLAIN\tservice=smtp\tresp=${plain("ann", "right")}\n`);
    assert.equal(await client.until(/.*\n/), "OK\t1\tuser=ann\n");
    client.say(`AUTH\t2\tPLAIN\tservice=smtp\tresp=${plain("ann", "wrong")}\n`);
    assert.equal(await client.until(/.*\n/), "FAIL\t2\tuser=ann\n");
    client.say("AUTH\t3\tLOGIN\tservice=smtp\n");
    assert.equal(await client.until(/.*\n/), "CONT\t3\tVXNlcm5hbWU6\n");
    client.say("CONT\t3\tYW5u\n");
    assert.equal(await client.until(/.*\n/), "CONT\t3\tUGFzc3dvcmQ6\n");
    client.say(`CONT\t3\t${Buffer.from("right").toString("base64")}\n`);
    assert.equal(await client.until(/.*\n/), "OK\t3\tuser=ann\n");
  });

  it("are a closed connection when nobody knows whether a password is right", async () => {
    using client = house.connect("sasl");
    await client.until(/DONE\n/);
    const withdraw = house.imap.order({ on: "login", reply: "NO [UNAVAILABLE] later" });
    const response = Buffer.from("\0ann\0other").toString("base64");
    client.say(`AUTH\t1\tPLAIN\tservice=smtp\tresp=${response}\n`);
    assert.equal(await client.rest(), "");
    withdraw();
    assert.equal((await house.event("serve-no-answer")).listener !== undefined, true);
  });
});
