/** The secrets of users and of the gateway's own account, which hosts repeat in their replies, stand in nothing that an operator's commands print. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { netstring } from "../../src/serve/netstring.js";
import { relaypost } from "../cli/command-line.js";
import { ACCOUNT_SECRET, assertClean, assertCleanWords, SECRET } from "./kit/canary.js";
import { House } from "./serve/kit/house.js";

const LISTENERS = `
[serve.map]
protocol = "socketmap"
listen = "unix:FOLDER/map"

[serve.sasl]
protocol = "dovecot-auth"
listen = "unix:FOLDER/sasl"
host = "lmtp"

[serve.control]
protocol = "control"
listen = "unix:FOLDER/control"
addresses = true
`;
const IDS = ["lmtp", "account", "refused"];

describe("what an operator's commands print", { timeout: 120_000 }, () => {
  let house: House;
  const printed: { readonly where: string; readonly text: string }[] = [];

  const ask = async (verb: string, asked: object): Promise<string> => {
    const outgoing = request({ socketPath: join(house.folder, "control"), method: "POST", path: `/${verb}` });
    outgoing.end(JSON.stringify(asked));
    const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
    return await text(incoming);
  };

  before(async () => {
    const repeated = Buffer.from(ACCOUNT_SECRET).toString("base64");
    house = await House.open(LISTENERS, {
      users: { ann: SECRET, gateway: ACCOUNT_SECRET },
      overrides: [
        { on: "login", match: /^ann$/, reply: `235 2.7.0 welcome, ${SECRET}` },
        { on: "login", match: /^stranger$/, reply: `535 5.7.8 not ${ACCOUNT_SECRET}, nor ${repeated}` },
        { on: "login", match: /^eve$/, reply: `535 5.7.8 ${SECRET} is wrong` },
      ],
    });
    const account = (id: string, username: string) => `
[remote.${id}]
address = "127.0.0.1"
port = ${house.lmtp.port}
protocol = "lmtp"
lookup = true
tls = { implicit = false, starttls = "disable" }
auth = { username = "${username}", secret = "${ACCOUNT_SECRET}", allow-plaintext = true }
`;
    house.write(`${LISTENERS}${account("account", "gateway")}${account("refused", "stranger")}`);
    assert.equal(await house.daemon.reload(), true);
    const traces = IDS.map((id) => ask("trace", { id, forMs: 3_000 }));
    await house.event("host-traced");
    using sasl = house.connect("sasl");
    sasl.say("VERSION\t1\t1\nCPID\t7\n");
    await sasl.until(/DONE\n/);
    for (const [number, user] of ["ann", "eve"].entries()) {
      const resp = Buffer.from(`\0${user}\0${SECRET}`).toString("base64");
      await sasl.say(`AUTH\t${number + 1}\tPLAIN\tservice=smtp\tsecured\tresp=${resp}\n`).until(/(?:OK|FAIL)\t\d.*\n/);
    }
    using map = house.connect("map");
    for (const id of ["account", "refused"]) {
      await map.say(netstring(`${id}-rcpt ann@example.org`)).until(/,$/);
    }
    for (const [at, trace] of traces.entries()) {
      printed.push({ where: `trace ${IDS[at]}`, text: await trace });
    }
    printed.push({ where: "hosts", text: await ask("hosts", {}) });
    for (const id of IDS) {
      printed.push({ where: `why ${id}`, text: await ask("why", { id }) });
      printed.push({ where: `connections ${id}`, text: await ask("connections", { id }) });
    }
    for (const words of [[], ["--json"]]) {
      const { stdout, stderr } = await relaypost(["doctor", house.file, ...words]);
      printed.push({ where: `doctor ${words.join(" ")}`, text: stdout + stderr });
    }
  });

  after(() => house?.[Symbol.asyncDispose]());

  const of = (where: string) => printed.find((each) => each.where === where)!.text;

  test("is about hosts that were given the secrets, and have repeated them", () => {
    const logins = house.lmtp.ledger.connections.flatMap((connection) => connection.logins);
    for (const username of ["ann", "eve", "gateway", "stranger"]) {
      assert.ok(
        logins.some((login) => login.username === username),
        username,
      );
    }
    assert.match(of("trace lmtp"), /AUTH PLAIN ‹credentials›/);
    assert.match(of("trace account"), /AUTH PLAIN ‹credentials›/);
    assert.match(of("why refused"), /refuses our account/);
    assert.match(of("doctor "), /refuses the account of auth: 535/);
    assert.match(of("doctor --json"), /refuses the account of auth: 535/);
  });

  test("has no secret in it, in no form", () => {
    assert.equal(printed.length, 12);
    for (const { where, text: output } of printed) {
      // The refused account has no connection.
      assert.ok(output.length > 0 || where === "connections refused", where);
      assertClean(output, where);
      assertCleanWords(output, where);
    }
  });
});
