/** A host that is tired of unknown recipients, as Debian's Exim is of more than ten of which most were unknown: it says so of known ones, too. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RemoteHosts } from "../../src/index.js";
import { listenMail, type StrictServer } from "../../src/testing/index.js";

const TIRED = "550 Rejected for too many bad recipients";
const UNKNOWN = Array.from({ length: 12 }, (_, at) => `nobody${at}@example.org`);

function open({ address, port }: StrictServer, protocol: "smtp" | "lmtp"): Promise<RemoteHosts> {
  const tls = { implicit: false, starttls: "disable" } as const;
  return RemoteHosts.open({ remote: { x: { address, port, protocol, lookup: true, tls } } });
}

for (const protocol of ["smtp", "lmtp"] as const) {
  test(`a known recipient behind too many unknown ones gets the message all the same (${protocol})`, async () => {
    await using server = await listenMail({
      protocol,
      recipients: (address) => {
        const asked = server.ledger.transactions.at(-1)!.recipients;
        const accepted = asked.filter(({ reply }) => reply.startsWith("250"));
        const isTired = asked.length >= 10 && accepted.length < asked.length / 2;
        return isTired ? TIRED : !address.startsWith("nobody");
      },
    });
    await using hosts = await open(server, protocol);
    const host = hosts.host("x");
    const to = [...UNKNOWN, "ann@example.org"];
    const { recipients } = await host.relay({ from: "me@example.org", to }, "Subject: hi\r\n\r\nhi\r\n");
    assert.deepEqual(
      recipients.map(({ status }) => status),
      [...UNKNOWN.map(() => "refused"), "delivered"],
    );
    assert.ok(
      recipients.every(({ reply }) => reply?.text !== TIRED.slice(4)),
      "of each its own verdict",
    );
    assert.deepEqual(
      server.ledger.deliveries.map(({ address }) => address),
      ["ann@example.org"],
    );
    assert.deepEqual(
      server.ledger.transactions.map(({ recipients }) => recipients.length),
      [13, 3],
    );
    assert.equal((await host.verifyRecipient("ann@example.org")).found, true);
    assert.deepEqual(server.ledger.violations, []);
  });
}

test("where it is tired from the first recipient on, that one is deferred and has no verdict", async () => {
  await using server = await listenMail({ recipients: () => TIRED });
  await using hosts = await open(server, "smtp");
  const to = ["ann@example.org", "bob@example.org"];
  const { recipients } = await hosts.host("x").relay({ from: "me@example.org", to }, "hi");
  assert.deepEqual(
    recipients.map(({ status, reply }) => [status, reply?.code]),
    [
      ["deferred", 550],
      ["deferred", 550],
    ],
  );
  await assert.rejects(hosts.host("x").verifyRecipient("ann@example.org"), { code: "REPLY_PERMANENT" });
});
