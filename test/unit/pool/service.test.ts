/** A host whose addresses are in SRV records: RFC 2782's order, when they are asked for, and what becomes of it when nobody answers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Failure, isFailure } from "../../../src/errors.js";
import { endpointsOf } from "../../../workers/pool/srv-endpoints.js";
import type { SrvRecord } from "../../../workers/wire/dns/srv-message.js";
import { ActorStage, type StagedConnection } from "../../kit/actor-stage.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";

const SETTINGS = smtpSettings({
  address: "srv:_smtp._tcp.example.org",
  port: 0,
  service: { name: "_smtp._tcp.example.org" },
  concurrency: 4,
  limits: { pipeline: 1, idleMs: 3_600_000, lifetimeMs: 3_600_000 },
});

function record(target: string, priority = 0, weight = 0, port = 25): SrvRecord {
  return { target, priority, weight, port };
}

function orderOf(records: readonly SrvRecord[]): string[] {
  const places = endpointsOf(records, SETTINGS);
  assert.ok(!isFailure(places), JSON.stringify(places));
  return places.endpoints.map(
    ({ address, port, weight, tier, backup }) => `${address} ${port} ${weight} ${tier} ${backup}`,
  );
}

function refusalOf(records: readonly SrvRecord[]): string {
  const places = endpointsOf(records, SETTINGS);
  assert.ok(isFailure(places) && places.code === "DNS_FAILED", JSON.stringify(places));
  return places.message;
}

describe("the order of SRV records (RFC 2782)", () => {
  it("takes priorities for tiers, and weights for shares within one", () => {
    assert.deepEqual(orderOf([record("c", 20, 7), record("A", 10, 60), record("b", 10, 20, 2525)]), [
      "a 25 60 0 false",
      "b 2525 20 0 false",
      "c 25 7 1 true",
    ]);
  });

  it("lets a weight of 0 have little beside others, and an equal share among its like", () => {
    assert.deepEqual(orderOf([record("a", 1, 0), record("b", 1, 10), record("c", 2, 0), record("d", 2, 0)]), [
      "a 25 0.01 0 false",
      "b 25 10 0 false",
      "c 25 1 1 true",
      "d 25 1 1 true",
    ]);
  });

  it("uses no more than 32, of the lowest priorities, and no place twice", () => {
    const many = Array.from({ length: 500 }, (_, at) => record(`n${at}`, 500 - at));
    const places = endpointsOf([...many, record("N499", 1)], SETTINGS);
    assert.ok(!isFailure(places));
    assert.deepEqual([places.endpoints.length, places.endpoints[0]!.address, places.left], [32, "n499", 469]);
  });

  it("makes no address of what names no host", () => {
    for (const target of ["a b", "-a", "192.0.2.1", "a..b", "x".repeat(64), "é.example"]) {
      assert.match(refusalOf([record(target)]), /none of them names a host/);
    }
    assert.match(refusalOf([record("a", 0, 0, 0)]), /none of them names a host/);
  });

  it("says that there is no service, where there is none", () => {
    assert.match(refusalOf([]), /_smtp\._tcp\.example\.org has no service: there are no such records/);
    assert.match(refusalOf([record("")]), /the service is not available \(target "\."\)/);
  });
});

function greets(connection: StagedConnection): void {
  connection.connects().says("220 ready\r\n");
  connection.wrote("EHLO gw.example.org\r\n");
  connection.says("250-server\r\n250 PIPELINING\r\n");
}

class Service {
  readonly stage = new ActorStage(SETTINGS);
  private slot = 0;

  constructor(...records: SrvRecord[]) {
    this.say(60, ...records);
  }

  say(ttlSeconds: number, ...records: SrvRecord[]): void {
    this.stage.service = { records, ttlMs: ttlSeconds * 1000 };
  }

  /** A question, and where it went; what the gateway is told where it went nowhere. */
  ask(): string {
    const { stage } = this;
    const slot = ++this.slot;
    const before = stage.connections.length;
    stage.lookup(slot, "vrfy", `u${slot}`);
    stage.settle();
    const dialled = stage.connections[before];
    if (dialled !== undefined) {
      greets(dialled);
    }
    const asked = stage.connections.findLast((each) => each.wire.untaken.includes(`VRFY u${slot}\r\n`));
    if (asked === undefined) {
      return stage.answers[slot] ?? "waits";
    }
    asked.wrote(`VRFY u${slot}\r\n`);
    asked.says("250 <u@example.net>\r\n");
    return asked.address;
  }
}

describe("a host whose addresses are in SRV records", () => {
  it("asks for them when the first connection is wanted, and not again while they are good", () => {
    const service = new Service(record("a.example"));
    assert.equal(service.stage.servicesAsked, 0);
    assert.equal(service.ask(), "a.example");
    service.stage.advance(59_000);
    assert.equal(service.ask(), "a.example");
    assert.equal(service.stage.servicesAsked, 1);
  });

  it("follows them when their time is over: connections to what is named no more end, those to the others stay", () => {
    const service = new Service(record("a.example"));
    service.ask();
    service.say(60, record("b.example"));
    service.stage.advance(61_000);
    assert.equal(service.ask(), "b.example");
    assert.deepEqual(addressesOf(service), ["b.example"]);
    service.say(60, record("b.example", 5, 9), record("c.example", 5, 1));
    service.stage.advance(61_000);
    assert.equal(service.ask(), "b.example");
    assert.deepEqual(addressesOf(service), ["b.example", "c.example"]);
  });

  it("goes on with what was known last while nobody answers, and follows the next answer", () => {
    const service = new Service(record("a.example"));
    service.ask();
    service.stage.service = { code: "DNS_FAILED", message: "no server replied" };
    service.stage.advance(61_000);
    assert.equal(service.ask(), "a.example");
    assert.equal(service.stage.servicesAsked, 2);
    service.say(60, record("b.example"));
    service.stage.advance(31_000);
    service.ask();
    assert.equal(service.ask(), "b.example");
  });

  it("is down, and gives no verdict, while there is no record, no service or no answer", () => {
    const failures: Failure[] = [{ code: "DNS_FAILED", message: "no server replied" }];
    for (const said of [{ records: [], ttlMs: 0 }, { records: [record("")], ttlMs: 60_000 }, ...failures]) {
      const service = new Service();
      service.stage.service = said;
      assert.deepEqual([service.ask(), service.ask(), service.ask()], ["DNS_FAILED", "DNS_FAILED", "DNS_FAILED"]);
      assert.equal(service.ask(), "HOST_UNAVAILABLE", "its circuit is open");
      assert.equal(service.stage.servicesAsked, 3);
      service.say(60, record("a.example"));
      service.stage.advance(1_100);
      assert.equal(service.ask(), "a.example");
    }
  });

  it("asks no more often than every five seconds, whatever the records say", () => {
    const service = new Service();
    service.say(0, record("a.example"));
    service.ask();
    service.stage.advance(4_900);
    service.ask();
    assert.equal(service.stage.servicesAsked, 1);
    service.stage.advance(5_000);
    service.ask();
    assert.equal(service.stage.servicesAsked, 2);
  });

  it("uses a later priority only while all of an earlier one are down, and comes back", () => {
    const service = new Service(record("a.example", 1), record("b.example", 2), record("c.example", 3));
    const { stage } = service;
    stage.lookup(101, "vrfy", "x");
    stage.connection(0).closes();
    stage.connection(1).closes();
    greets(stage.connection(2));
    assert.deepEqual(
      stage.connections.map(({ address }) => address),
      ["a.example", "b.example", "c.example"],
    );
    assert.equal(stage.answers[101], undefined);
    stage.connection(2).says("250 <u@example.net>\r\n");
    assert.equal(stage.answers[101], "found, remote");
  });
});

function addressesOf({ stage }: Service): string[] {
  return stage.actor.stats().addresses!.map(({ address }) => address);
}
