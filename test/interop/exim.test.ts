/** Relays and lookups against a real Exim as Debian's package configures it: what it counts, refuses and cuts is not taken for an answer. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { RemoteHosts } from "../../src/index.js";
import { RawClient } from "../kit/raw-client.js";
import { Exim, reasonWithoutExim } from "./kit/exim.js";
import { MESSAGES, openHosts, verdictOf } from "./kit/hosts.js";
import { EXIM_DOMAIN } from "./kit/packaged-exim.js";

const skip = reasonWithoutExim();
const ENVELOPE = { from: "me@elsewhere.example", to: `root@${EXIM_DOMAIN}` };

describe("Exim with its package's defaults", { skip, timeout: 120_000 }, () => {
  let exim: Exim;
  let hosts: RemoteHosts;

  before(async () => {
    exim = await Exim.startPackaged({ type: "local" });
    const local = { address: "127.0.0.1", port: exim.port, protocol: "smtp" } as const;
    const tls = { implicit: false, "allow-invalid-certs": true };
    hosts = await openHosts({
      tls: { ...local, tls },
      plain: { ...local, tls: { implicit: false, starttls: "disable" } },
      // Exim relays for 127.0.0.1, so that no recipient is unknown there.
      stranger: { ...local, tls, "source-address": "127.0.0.2" },
      "stranger-in-depth": { ...local, tls, "source-address": "127.0.0.2", limits: { errors: 1000 } },
    });
  });

  after(async () => {
    await hosts?.close({ drainMs: 0 });
    await exim?.stop();
  });

  for (const [name, content] of Object.entries(MESSAGES)) {
    for (const id of ["tls", "plain"]) {
      test(`${name} (${id})`, async () => {
        const { recipients } = await hosts.host(id).relay(ENVELOPE, content);
        const { status, reply } = recipients[0]!;
        if (name.startsWith("lines longer")) {
          assert.equal(status, "refused");
          assert.equal(reply?.text, "maximum allowed line length is 998 octets, got 5000");
          return;
        }
        assert.equal(status, "delivered");
        const [, queueId] = /^OK id=(\S+)$/.exec(reply!.text)!;
        const body = content.subarray(content.indexOf("\r\n\r\n") + 4).toString("latin1");
        assert.equal(exim.queue.get(queueId!)?.toString("latin1"), body.replaceAll("\r\n", "\n"));
      });
    }
  }

  for (const id of ["stranger", "stranger-in-depth"]) {
    test(`a message is refused for nobody but the unknown ones among its recipients, however many they are (${id})`, async () => {
      const names = [...Array.from({ length: 12 }, (_, at) => `nobody${at}`), "root"];
      const to = names.map((name) => `${name}@${EXIM_DOMAIN}`);
      const logged = exim.log.length;
      const { recipients } = await hosts
        .host(id)
        .relay({ from: "me@elsewhere.example", to }, "Subject: hi\r\n\r\nhi\r\n");
      assert.deepEqual(
        recipients.map(({ status }) => status),
        names.map((name) => (name === "root" ? "delivered" : "refused")),
      );
      assert.match(exim.log.slice(logged), /Rejected for too many bad recipients/);
    });

    test(`each of many recipients has its own verdict, though Exim gives up on a transaction with so many unknown ones (${id})`, async () => {
      const logged = exim.log.length;
      const names = Array.from({ length: 60 }, (_, at) => (at % 5 === 4 ? "root" : `nobody${at}`));
      const verdicts = await Promise.all(
        names.map((name, at) =>
          verdictOf(hosts.host(id).verifyRecipient(`${name}@${at % 2 ? EXIM_DOMAIN : "localhost"}`)),
        ),
      );
      assert.deepEqual(
        verdicts,
        names.map((name) => (name === "root" ? "found" : "not found")),
      );
      if (id === "stranger-in-depth") {
        assert.match(exim.log.slice(logged), /Rejected for too many bad recipients/);
      }
    });
  }
});

describe("Exim that bears few connections", { skip, timeout: 120_000 }, () => {
  const relays = async (port: number): Promise<string[]> => {
    await using hosts = await openHosts({
      exim: {
        address: "127.0.0.1",
        port,
        protocol: "smtp",
        concurrency: 30,
        tls: { implicit: false, starttls: "disable" },
      },
    });
    const one = () => hosts.host("exim").relay(ENVELOPE, "Subject: hi\r\n\r\nhi\r\n");
    const results = await Promise.all(Array.from({ length: 200 }, one));
    return results.flatMap(({ recipients }) => recipients.map(({ status }) => status));
  };

  test("takes every message on as many as it bears (smtp_accept_max, 20 by default)", async () => {
    await using exim = await Exim.startPackaged({ type: "local" });
    // Other clients of it.
    const others = await Promise.all(Array.from({ length: 17 }, () => RawClient.connect(exim.port)));
    await Promise.all(others.map((other) => other.replies(1)));
    assert.deepEqual(new Set(await relays(exim.port)), new Set(["delivered"]));
    await Promise.all(others.map((other) => other[Symbol.asyncDispose]()));
    assert.equal(exim.queue.size, 200);
    assert.match(exim.log, /Connection from \[127\.0\.0\.1\] refused: too many connections/);
  });

  test("and on as many as it bears of one client (smtp_accept_max_per_host)", async () => {
    await using exim = await Exim.startPackaged({ type: "local", more: "smtp_accept_max_per_host = 3\n" });
    assert.deepEqual(new Set(await relays(exim.port)), new Set(["delivered"]));
    assert.equal(exim.queue.size, 200);
    assert.match(exim.log, /Connection from \[127\.0\.0\.1\] refused: too many connections from that IP address/);
  });
});
