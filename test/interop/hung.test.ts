/** A real Dovecot that is stopped: it takes connections and says nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Dovecot } from "./kit/dovecot.js";
import { openHosts, verdictOf } from "./kit/hosts.js";
import { ACCOUNTS, reasonToSkip } from "./kit/sandbox.js";

const ANN = { username: "ann", secret: ACCOUNTS.ann! };

test("a Dovecot that is stopped is down, and is served again when it goes on", {
  skip: reasonToSkip("dovecot"),
}, async () => {
  await using dovecot = await Dovecot.start();
  await using hosts = await openHosts({
    imap: {
      address: "127.0.0.1",
      port: dovecot.ports.imap,
      protocol: "imap",
      tls: { implicit: false, starttls: "disable" },
      timeouts: { lookup: "2s" },
    },
  });
  const host = hosts.host("imap");
  const stateOf = async () => (await hosts.stats()).hosts.imap!.state;
  assert.equal(await verdictOf(host.authenticate(ANN)), "found");
  dovecot.signal("SIGSTOP");
  try {
    assert.notEqual(await verdictOf(host.authenticate(ANN)), "found", "it ends by timeouts.lookup, and has no answer");
    // Refused at once: such an answer needs no time of the host's, which would give none.
    assert.equal(await verdictOf(host.authenticate(ANN)), "HOST_UNAVAILABLE");
    assert.equal(await stateOf(), "down");
  } finally {
    dovecot.signal("SIGCONT");
  }
  while ((await stateOf()) !== "up") {
    await pause(50);
  }
  assert.equal(await verdictOf(host.authenticate(ANN)), "found");
});
