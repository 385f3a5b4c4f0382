/** One service at three addresses, each a strict LMTP server: who gets how much, and what one that is killed, stopped or slow costs. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type HostInput, RemoteHosts } from "../../src/index.js";
import { listenMail, type StrictServer } from "../../src/testing/index.js";
import { RecordedLog } from "../unit/kit/fake-hosts.js";

type Entries = Exclude<HostInput["address"], string>;

class Service implements AsyncDisposable {
  private constructor(
    readonly servers: readonly StrictServer[],
    readonly remotes: RemoteHosts,
    readonly log: RecordedLog,
    readonly settings: HostInput,
  ) {}

  /** @param entries what is said of each address beside where it is */
  static async open(entries: readonly Partial<Entries[number]>[], more: Partial<HostInput> = {}): Promise<Service> {
    const servers = await Promise.all(entries.map(() => listenMail({ protocol: "lmtp" })));
    const address = servers.map(({ address, port }, index) => ({ address, port, ...entries[index] }));
    const tls = { implicit: false, starttls: "disable" } as const;
    const settings: HostInput = { address, protocol: "lmtp", lookup: true, tls, cache: { entries: 0 }, ...more };
    const log = new RecordedLog();
    const remotes = await RemoteHosts.open({ remote: { store: settings } }, { logger: log.logger });
    return new Service(servers, remotes, log, settings);
  }

  get host() {
    return this.remotes.host("store");
  }

  /** One message, and its recipient's status. */
  async send(to = "anna@example.org"): Promise<string> {
    const { recipients } = await this.host.relay({ from: "a@example.org", to }, "Subject: x\r\n\r\nx\r\n");
    return recipients[0]!.status;
  }

  async sendAll(count: number): Promise<void> {
    for (let sent = 0; sent < count; sent++) {
      assert.equal(await this.send(), "delivered");
    }
  }

  /** How many messages each server has. */
  get messages(): number[] {
    return this.servers.map(({ ledger }) => ledger.messageCount);
  }

  async stats() {
    return (await this.remotes.stats()).hosts.store!;
  }

  async states(): Promise<string[]> {
    return (await this.stats()).addresses!.map(({ state }) => state);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remotes.close({ drainMs: 0 });
    await Promise.all(this.servers.map((server) => server.close()));
  }
}

/** Every connection of a server breaks, and it takes no others. */
async function kill(server: StrictServer): Promise<void> {
  server.refuse();
  for (let number = 1; number <= server.accepted; number++) {
    (await server.connection(number)).reset();
  }
}

/** Each message goes over a connection of its own, so that each server's share is that of the connections. */
const ONE_EACH = { limits: { requests: 1 }, concurrency: 1 } as const;

describe("a service at several addresses", { timeout: 60_000 }, () => {
  it("gives each its share by weight, and a backup nothing", async () => {
    await using service = await Service.open([{ weight: 2 }, {}, {}, { backup: true }], ONE_EACH);
    await service.sendAll(40);
    assert.deepEqual(service.messages, [20, 10, 10, 0]);
    const { addresses, opened } = await service.stats();
    assert.deepEqual(
      addresses?.map((each) => [each.state, each.backup, each.opened]),
      [
        ["up", false, 20],
        ["up", false, 10],
        ["up", false, 10],
        ["up", true, 0],
      ],
    );
    assert.equal(opened, 40);
  });

  it("loses no message when one server is killed, says so, and uses it again when it is back", async () => {
    await using service = await Service.open([{}, {}, {}], ONE_EACH);
    const [, second] = service.servers;
    await service.sendAll(6);
    await kill(second!);
    await service.sendAll(12);
    assert.deepEqual(service.messages[1], 2);
    const { state, addresses } = await service.stats();
    assert.equal(state, "up", "the host is");
    assert.deepEqual(
      addresses?.map((each) => each.state === "up"),
      [true, false, true],
    );
    assert.equal(addresses?.[1]?.lastFailure?.code, "CONNECT_FAILED");
    const down = await service.log.event("address-down");
    assert.deepEqual([down.port, down.code, down.hostId], [second!.port, "CONNECT_FAILED", "store"]);
    await second!.accept();
    while (service.messages[1] === 2) {
      await service.sendAll(1);
    }
    await service.log.event("address-up");
    assert.deepEqual(await service.states(), ["up", "up", "up"]);
    const events = service.log.records.map(({ event }) => event);
    assert.ok(!events.includes("host-down"));
  });

  it("asks others when one server stops in the middle, and leaves it alone", async () => {
    const more = { timeouts: { lookup: "1500ms" }, limits: { errors: 1000, pipeline: 1 }, concurrency: 3 };
    await using service = await Service.open([{}, {}, {}], more);
    const [first] = service.servers;
    let asked = 0;
    const askThree = () =>
      Promise.allSettled([0, 1, 2].map(() => service.host.verifyRecipient(`user${asked++}@example.org`)));
    const isInUse = ({ ledger }: StrictServer) => ledger.commands.some((line) => line.startsWith("RCPT"));
    while (!service.servers.every(isInUse)) {
      await askThree();
    }
    for (const on of ["greeting", "RCPT", "LHLO", "QUIT"]) {
      first!.order({ on, reply: [] });
    }
    const results = [];
    while (!service.log.records.some(({ event }) => event === "address-down")) {
      results.push(...(await askThree()));
    }
    const failed = results.filter(({ status }) => status === "rejected");
    assert.ok(failed.length <= 1, "but for the one that the server had, nobody noticed");
    assert.deepEqual(await service.states(), ["down", "up", "up"]);
    for (let round = 0; round < 10; round++) {
      const { length } = (await askThree()).filter(({ status }) => status === "fulfilled");
      assert.equal(length, 3);
    }
    assert.equal((await service.stats()).state, "up", "the host is");
  });

  it("gives each recipient a server of its own, for messages and lookups, and another while that one is away", async () => {
    const more = { sticky: "recipient", limits: { requests: 1000, errors: 1000 } } as const;
    await using service = await Service.open([{}, {}, {}], more);
    const people = Array.from({ length: 60 }, (_, number) => `user${number}@example.org`);
    const isKnownTo = (person: string) => (server: StrictServer) =>
      server.ledger.commands.some((line) => line.startsWith(`RCPT TO:<${person}>`));
    const placesOf = () => people.map((person) => service.servers.filter(isKnownTo(person)));
    for (let round = 0; round < 3; round++) {
      await Promise.all(people.flatMap((person) => [service.send(person), service.host.verifyRecipient(person)]));
    }
    const places = placesOf();
    assert.ok(places.every(({ length }) => length === 1));
    assert.equal(new Set(places.flat()).size, 3);
    const [lost] = places[0]!;
    await kill(lost!);
    for (const person of people) {
      assert.equal(await service.send(person), "delivered");
    }
    for (const [at, after] of placesOf().entries()) {
      assert.equal(after.length, places[at]![0] === lost ? 2 : 1);
    }
  });

  it("does not wait for a slow server while others are free", async () => {
    await using service = await Service.open([{}, {}, {}], { concurrency: 3, limits: { requests: 1 } });
    let release = (): void => {};
    const waitFor = new Promise<void>((resolve) => {
      release = resolve;
    });
    service.servers[0]!.order({ on: "terminator", waitFor });
    const slow = [service.send(), service.send(), service.send()];
    await service.servers[0]!.ledger.until(({ transactions }) => transactions.some(({ isTerminated }) => isTerminated));
    await service.sendAll(10);
    assert.deepEqual(await service.states(), ["up", "up", "up"]);
    release();
    assert.deepEqual(await Promise.all(slow), ["delivered", "delivered", "delivered"]);
  });

  it("uses a backup while the rest is down, and leaves it when one of them is back", async () => {
    await using service = await Service.open([{}, { backup: true }], { concurrency: 2 });
    const [first, backup] = service.servers;
    await service.sendAll(3);
    await kill(first!);
    await service.sendAll(5);
    assert.deepEqual(service.messages, [3, 5]);
    await first!.accept();
    while (service.messages[0] === 3) {
      await Promise.all([service.send(), service.send(), service.send()]);
    }
    await backup!.ledger.until(({ connections }) => connections.every(({ saidGoodbye }) => saidGoodbye));
    const before = service.messages[1];
    await service.sendAll(5);
    assert.equal(service.messages[1], before);
  });

  it("never has more connections to one address, nor to all, than it may", async () => {
    const bounds = { concurrency: 5, "concurrency-per-address": 2, limits: { requests: 3 } };
    await using service = await Service.open([{ weight: 9 }, {}, {}], bounds);
    await Promise.all(Array.from({ length: 60 }, () => service.send()));
    assert.ok(service.servers.every(({ peak }) => peak > 0 && peak <= 2));
    const { connections } = await service.stats();
    assert.ok(Object.values(connections).reduce((sum, each) => sum + each, 0) <= 5);
    assert.deepEqual(
      service.servers.flatMap(({ ledger }) => ledger.violations),
      [],
    );
  });

  it("lowers the limit of the one address that refuses one more connection", async () => {
    await using service = await Service.open([{}, {}], { concurrency: 8, limits: { requests: 1 } });
    const [first] = service.servers;
    let release = (): void => {};
    const waitFor = new Promise<void>((resolve) => {
      release = resolve;
    });
    first!.order({ on: "terminator", waitFor, times: 1 });
    const held = [service.send(), service.send()];
    await first!.ledger.until(({ transactions }) => transactions.some(({ isTerminated }) => isTerminated));
    first!.order({ on: "greeting", reply: "421 4.7.0 too many connections", afterwards: "close" });
    await Promise.all(Array.from({ length: 30 }, () => service.send()));
    assert.deepEqual(await service.states(), ["up", "up"]);
    const [one, two] = service.servers;
    assert.ok(one!.accepted <= 5, `${one!.accepted} attempts at the one that refuses`);
    assert.ok(two!.peak >= 4, `${two!.peak} connections to the other`);
    release();
    await Promise.all(held);
  });

  it("is down when all addresses are, and refuses at once", async () => {
    await using service = await Service.open([{}, {}], { concurrency: 2 });
    await service.sendAll(2);
    await Promise.all(service.servers.map(kill));
    let failure: { code?: string } = {};
    while (failure.code !== "HOST_UNAVAILABLE") {
      failure = await service.send().then(
        () => ({}),
        (error: { code: string }) => error,
      );
    }
    assert.equal((await service.stats()).state, "down");
    await service.log.event("host-down");
    await Promise.all(service.servers.map((server) => server.accept()));
    while (
      !(await service.send().then(
        () => true,
        () => false,
      ))
    ) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await service.log.event("host-up");
  });

  it("follows a reload to other addresses, and loses nothing", async () => {
    await using service = await Service.open([{}, {}, {}], { concurrency: 3 });
    await service.sendAll(6);
    const [one, two, three] = service.settings.address as Entries;
    await service.remotes.reload({ remote: { store: { ...service.settings, address: [one!, two!] } } });
    const before = service.messages[2];
    await service.sendAll(6);
    assert.equal(service.messages[2], before);
    const { address, port } = three!;
    await service.remotes.reload({ remote: { store: { ...service.settings, address, port: port! } } });
    await service.sendAll(2);
    assert.equal(service.messages[2], before! + 2);
    assert.equal((await service.stats()).addresses, undefined);
  });
});
