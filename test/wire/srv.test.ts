/** A service that SRV records name, whole: a DNS server and strict LMTP servers on loopback, and the commands that examine hosts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type HostInput, RemoteHosts } from "../../src/index.js";
import { listenMail, type StrictServer } from "../../src/testing/index.js";
import { DnsServer, replyTo, type Srv } from "../kit/dns-server.js";
import { RecordedLog } from "../unit/kit/fake-hosts.js";

const NAME = "_lmtp._tcp.example.org";

class Service implements AsyncDisposable {
  readonly log = new RecordedLog();

  private constructor(
    readonly dns: DnsServer,
    readonly servers: readonly StrictServer[],
    readonly remotes: RemoteHosts,
    log: RecordedLog,
  ) {
    this.log = log;
  }

  static async open(count: number, more: Partial<HostInput> = {}): Promise<Service> {
    const dns = await DnsServer.listen();
    const servers = await Promise.all(Array.from({ length: count }, () => listenMail({ protocol: "lmtp" })));
    const log = new RecordedLog();
    const tls = { implicit: false, starttls: "disable" } as const;
    const store: HostInput = { address: `srv:${NAME}`, protocol: "lmtp", lookup: true, tls, ...more };
    const config = { runtime: { "dns-servers": [dns.place] }, remote: { store } };
    return new Service(dns, servers, await RemoteHosts.open(config, { logger: log.logger }), log);
  }

  /** The record of a server. */
  at(number: number, more: Partial<Srv> = {}): Srv {
    return { target: "localhost", port: this.servers[number]!.port, ...more };
  }

  async send(): Promise<string> {
    const { recipients } = await this.remotes
      .host("store")
      .relay({ from: "a@example.org", to: "anna@example.org" }, "Subject: x\r\n\r\nx\r\n");
    return recipients[0]!.status;
  }

  get messages(): number[] {
    return this.servers.map(({ ledger }) => ledger.messageCount);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remotes.close({ drainMs: 0 });
    await Promise.all([...this.servers, { close: () => this.dns[Symbol.asyncDispose]() }].map((each) => each.close()));
  }
}

/** Each message goes over a connection of its own. */
const ONE_EACH = { limits: { requests: 1 }, concurrency: 1 } as const;

describe("a service that SRV records name", { timeout: 60_000 }, () => {
  it("gets messages by their priorities and weights, and asks no network before the first", async () => {
    await using service = await Service.open(3, ONE_EACH);
    const { dns } = service;
    dns.serve([service.at(0, { weight: 30 }), service.at(1, { weight: 10 }), service.at(2, { priority: 1 })]);
    assert.deepEqual(dns.asked, []);
    for (let sent = 0; sent < 20; sent++) {
      assert.equal(await service.send(), "delivered");
    }
    assert.deepEqual(service.messages, [15, 5, 0]);
    assert.deepEqual(dns.asked, [{ name: NAME, by: "udp" }]);
    const { address, port, addresses } = (await service.remotes.stats()).hosts.store!;
    assert.deepEqual([address, port], [`srv:${NAME}`, 0]);
    assert.deepEqual(
      addresses?.map((each) => [each.address, each.port, each.backup, each.state]),
      service.servers.map((server, at) => ["localhost", server.port, at === 2, "up"]),
    );
  });

  it("loses no message when the first priority is gone, and goes back to it", async () => {
    await using service = await Service.open(2, ONE_EACH);
    const [first] = service.servers;
    service.dns.serve([service.at(0), service.at(1, { priority: 1 })]);
    first!.refuse();
    assert.equal(await service.send(), "delivered");
    assert.deepEqual(service.messages, [0, 1]);
    await service.log.event("address-down");
    await first!.accept();
    while (service.messages[0] === 0) {
      assert.equal(await service.send(), "delivered");
    }
    assert.equal(await service.send(), "delivered");
    assert.deepEqual(service.messages[0], 2);
  });

  it("is a DNS failure where there are no records, no service or no answer, and never a verdict", async () => {
    await using service = await Service.open(1, { timeout: "1500ms" });
    const host = service.remotes.host("store");
    const told = [/there are no such records/, /not available/, /no reply in time/];
    const { dns } = service;
    const scripts = [
      () => dns.serve([]),
      () => dns.serve([{ target: ".", port: 0 }]),
      () => {
        dns.script = () => [];
      },
    ];
    for (const [at, script] of scripts.entries()) {
      script();
      const words = told[at]!;
      await assert.rejects(host.verifyRecipient("anna@example.org"), {
        code: "DNS_FAILED",
        retryable: true,
        message: words,
      });
    }
    dns.script = (query) => [replyTo(query, { rcode: 3 })];
    await host.reconnect();
    await assert.rejects(service.send(), { code: "DNS_FAILED" });
    const { cause, what, why } = await host.diagnosis();
    assert.equal(cause, "dns");
    assert.match(`${what} ${why}`, /srv:_lmtp\._tcp\.example\.org.*there are no such records/);
    dns.serve([service.at(0)]);
    await host.reconnect();
    assert.equal((await host.verifyRecipient("anna@example.org")).found, true);
  });
});
