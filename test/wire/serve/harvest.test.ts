/** Clients that try out addresses through a whole daemon: what Postfix and the gateway's clients are told. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { House } from "./kit/house.js";

const TABLES = `
[remote.lmtp.lookups]
harvest = { unknown = 1 }

[serve.policy]
protocol = "policy"
listen = "127.0.0.1:0"
host = "lmtp"

[serve.ruled]
protocol = "policy"
listen = "127.0.0.1:0"
action = [ { if = "rcpt", in-list = "remote/lmtp", then = "OK" }, { else = "DUNNO" } ]

[serve.gateway]
protocol = "smtp"
listen = "127.0.0.1:0"
host = "lmtp"
`;

describe("a client of the daemon that tries out addresses", { timeout: 30_000 }, () => {
  let house: House;

  before(async () => {
    house = await House.open(TABLES);
  });

  after(() => house[Symbol.asyncDispose]());

  const policy = async (name: string, recipient: string, client_address: string): Promise<string> => {
    using client = house.connect(name);
    const attributes = { request: "smtpd_access_policy", recipient, client_address, client_port: "1025" };
    const lines = Object.entries(attributes).map((pair) => pair.join("="));
    return await client.say(`${lines.join("\n")}\n\n`).until(/\n\n$/);
  };

  // The second answer comes late, by the shield.
  it("has 450 4.7.1 from the policy listener, whether it asks a host or rules, and known recipients go on", async () => {
    const client = "192.0.2.9";
    assert.match(await policy("policy", "x1@example.org", client), /^action=REJECT 5\.1\.1 /);
    assert.match(await policy("policy", "x2@example.org", client), /^action=REJECT 5\.1\.1 /);
    assert.match(await policy("policy", "x3@example.org", client), /^action=450 4\.7\.1 Too many/);
    assert.match(await policy("ruled", "x3@example.org", client), /^action=450 4\.7\.1 Too many/);
    assert.match(await policy("policy", "ann@example.org", client), /^action=450 4\.7\.1 Too many/);
    assert.equal(await policy("policy", "ann@example.org", "192.0.2.10"), "action=DUNNO\n\n");
    assert.equal(await policy("policy", "ann@example.org", client), "action=DUNNO\n\n");
    assert.equal(await policy("ruled", "ann@example.org", client), "action=OK\n\n");
  });

  it("has 450 4.7.1 from the gateway", async () => {
    using client = house.connect("gateway");
    await client.until(/\r\n/);
    const say = async (line: string): Promise<string> => await client.say(`${line}\r\n`).until(/^\d{3} .*\r\n$/m);
    await say("EHLO client.example.net");
    await say("MAIL FROM:<me@example.net>");
    assert.match(await say("RCPT TO:<y1@example.org>"), /^550 5\.1\.1 /);
    assert.match(await say("RCPT TO:<y2@example.org>"), /^550 5\.1\.1 /);
    assert.match(await say("RCPT TO:<y3@example.org>"), /^450 4\.7\.1 Too many/);
  });
});
