/** The whole house on loopback: messages teach which recipients exist, and lookups are answered by what they taught. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pino } from "pino";
import { type HostInput, type RemoteHost, RemoteHosts } from "../../src/index.js";
import { collectMetrics } from "../../src/metrics.js";
import { listenMail, type MailSessionOptions, type StrictServer } from "../../src/testing/index.js";
import { closeAfterEach } from "./kit/closing.js";

const [ANNA, EVE] = ["anna@example.org", "eve@example.org"] as const;
const MAIL = "Subject: hi\r\n\r\nHello.\r\n";

const closing = closeAfterEach();

interface House {
  readonly server: StrictServer;
  readonly remotes: RemoteHosts;
  readonly host: RemoteHost;
}

async function openHouse(options: MailSessionOptions, details: Partial<HostInput> = {}): Promise<House> {
  const server = await listenMail(options);
  closing.push(() => server.close());
  const { address, port } = server;
  const { protocol = "smtp" } = options;
  const settings: HostInput = {
    address,
    port,
    protocol,
    lookup: true,
    tls: { implicit: false, starttls: "disable" },
    ...details,
  };
  const remotes = await RemoteHosts.open({ remote: { store: settings } }, { logger: pino({ level: "silent" }) });
  closing.push(() => remotes.close({ drainMs: 0 }));
  return { server, remotes, host: remotes.host("store") };
}

function probes({ server }: House): number {
  return server.ledger.commands.filter((line) => line === "MAIL FROM:<>").length;
}

async function learned({ remotes }: House) {
  return (await remotes.stats()).hosts.store!.learned;
}

for (const protocol of ["smtp", "lmtp"] as const) {
  describe(`a message by ${protocol}`, () => {
    test("answers the lookups that follow, without a question to the host", async () => {
      const house = await openHouse({ protocol, recipients: [ANNA] });
      await house.host.relay({ from: "me@example.org", to: [ANNA, EVE] }, MAIL);
      const answers = [await house.host.verifyRecipient(ANNA), await house.host.verifyRecipient(EVE)];
      assert.deepEqual(
        answers.map(({ found, source }) => [found, source]),
        [
          [true, "cache"],
          [false, "cache"],
        ],
      );
      assert.equal(probes(house), 0);
      assert.deepEqual(await learned(house), { found: 1, notFound: 1, contradicted: 0 });
      const text = await collectMetrics(house.remotes);
      assert.match(text, /relaypost_recipients_learned_total\{host="store",answer="positive"\} 1\n/);
    });

    test("ends a cached answer that it contradicts, also the copies on the caller's thread", async () => {
      const known = new Set<string>([ANNA]);
      const house = await openHouse({ protocol, recipients: (address) => known.has(address) });
      for (let times = 0; times < 4; times++) {
        assert.equal((await house.host.verifyRecipient(ANNA)).found, true);
      }
      known.delete(ANNA);
      await house.host.relay({ from: "me@example.org", to: [ANNA] }, MAIL);
      const { found, source } = await house.host.verifyRecipient(ANNA);
      assert.deepEqual([found, source], [false, "cache"]);
      assert.deepEqual(await learned(house), { found: 0, notFound: 1, contradicted: 1 });
    });
  });
}

describe("a message to a host", () => {
  test("that may not be asked teaches nothing", async () => {
    const house = await openHouse({ recipients: [ANNA] }, { lookup: false });
    await house.host.relay({ from: "me@example.org", to: [ANNA] }, MAIL);
    assert.deepEqual(await learned(house), { found: 0, notFound: 0, contradicted: 0 });
  });

  test("teaches nothing where the settings say so", async () => {
    const house = await openHouse({ recipients: [ANNA] }, { cache: { learn: false } });
    await house.host.relay({ from: "me@example.org", to: [ANNA] }, MAIL);
    assert.equal((await house.host.verifyRecipient(ANNA)).source, "remote");
  });

  test("that is refused as a whole teaches nothing, though its recipients were accepted", async () => {
    const house = await openHouse({ recipients: [ANNA] });
    house.server.order({ on: "terminator", times: 1, reply: "550 5.1.1 not like this" });
    const { recipients } = await house.host.relay({ from: "me@example.org", to: [ANNA] }, MAIL);
    assert.equal(recipients[0]!.status, "refused");
    assert.equal((await house.host.verifyRecipient(ANNA)).source, "remote");
  });
});
