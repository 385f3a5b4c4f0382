/** A real Exim, as Debian's package configures it for a smarthost, sends through smtp-server with relaypost's handlers. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { SMTPServer } from "smtp-server";
import { answerToTheEnd, smtpServerHandlers } from "../../src/adapters/smtp-server.js";
import { listenMail } from "../../src/testing/index.js";
import { reasonWithoutExim } from "./kit/exim.js";
import { EximClient, SMARTHOST } from "./kit/exim-client.js";
import { openHosts } from "./kit/hosts.js";

test("Exim hears from smtp-server what became of its messages", {
  skip: reasonWithoutExim(),
  timeout: 60_000,
}, async () => {
  await using store = await listenMail({
    protocol: "lmtp",
    recipients: (address) => !address.startsWith("nobody@"),
    overrides: [{ on: "delivery", match: /^full@/, reply: "452 4.2.2 mailbox full" }],
  });
  await using hosts = await openHosts({
    store: {
      address: store.address,
      port: store.port,
      protocol: "lmtp",
      tls: { implicit: false, starttls: "disable" },
    },
  });
  const host = hosts.host("store");
  const gateway = answerToTheEnd(
    new SMTPServer({
      ...smtpServerHandlers({ recipients: host, relay: host }),
      allowHalfOpen: true,
      hideSTARTTLS: true,
      authOptional: true,
      disableReverseLookup: true,
    }),
  );
  gateway.listen(0, SMARTHOST);
  await once(gateway.server, "listening");
  const exim = new EximClient((gateway.server.address() as AddressInfo).port);
  try {
    const log = await exim.send("two", "ann@example.test", "nobody@example.test");
    assert.match(log, / => ann@example\.test R=smarthost .*C="250 /);
    assert.match(log, /\*\* nobody@example\.test R=smarthost .*550 5\.1\.1/);
    assert.match(await exim.send("full", "full@example.test"), / == full@example\.test R=smarthost .*451 4\.2\.2/);
    assert.deepEqual(
      store.ledger.deliveries.map(({ address }) => address).filter((address) => address.endsWith("@example.test")),
      ["ann@example.test"],
    );
  } finally {
    exim.remove();
    await new Promise<void>((resolve) => gateway.close(resolve));
  }
});
