/** The whole house on loopback: domains that are not ASCII, and a host that does not offer SMTPUTF8. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { pino } from "pino";
import { type RemoteHost, RemoteHosts } from "../../src/index.js";
import { listenMail, type StrictServer } from "../../src/testing/index.js";

const ASCII = "anna@xn--bcher-kva.example";
const ANNA = "anna@bücher.example";

describe("a host without SMTPUTF8", () => {
  let server: StrictServer;
  let remotes: RemoteHosts;
  let host: RemoteHost;

  before(async () => {
    server = await listenMail({ recipients: [ASCII] });
    const { address, port } = server;
    const tls = { implicit: false, starttls: "disable" } as const;
    const config = { remote: { store: { address, port, protocol: "smtp", lookup: true, tls } } } as const;
    remotes = await RemoteHosts.open(config, { logger: pino({ level: "silent" }) });
    host = remotes.host("store");
  });
  after(async () => {
    await remotes?.close({ drainMs: 0 });
    await server?.close();
  });

  test("is told A-labels, the caller is told the address as it gave it, and both forms are one answer", async () => {
    assert.deepEqual(
      [(await host.verifyRecipient(ANNA)).found, server.ledger.commands.at(-1)],
      [true, `RCPT TO:<${ASCII}>`],
    );
    for (const address of [ASCII, ANNA, "anna@BÜCHER.example", ANNA, ANNA]) {
      const { found, source } = await host.verifyRecipient(address);
      assert.deepEqual([address, found, source], [address, true, "cache"]);
    }
    assert.equal(await host.forget({ recipient: ASCII }), 1);
    assert.equal((await host.verifyRecipient(ANNA)).source, "remote", "no copy of either form outlives it");
  });

  test("gets messages, and what it says of their recipients is known by both forms", async () => {
    await host.forget();
    const { recipients } = await host.relay(
      { from: "me@münchen.example", to: [ANNA] },
      "Subject: hi\r\n\r\nHello.\r\n",
    );
    assert.deepEqual(
      recipients.map(({ address, status }) => [address, status]),
      [[ANNA, "delivered"]],
    );
    assert.equal(server.ledger.transactions.find((one) => one.from !== "")?.from, "me@xn--mnchen-3ya.example");
    assert.equal((await host.verifyRecipient(ASCII)).source, "cache");
  });

  test("is not told of a local part that is not ASCII", async () => {
    const before = server.ledger.commands.length;
    await assert.rejects(host.verifyRecipient("jö@bücher.example"), { code: "MISSING_EXTENSION" });
    const envelope = { from: "me@example.org", to: ["jö@bücher.example"] };
    await assert.rejects(host.relay(envelope, "x"), { code: "MISSING_EXTENSION" });
    await assert.rejects(host.relay({ from: "me@example.org", to: [ANNA], smtputf8: true }, "x"), {
      code: "MISSING_EXTENSION",
    });
    assert.equal(server.ledger.commands.length, before);
  });
});
