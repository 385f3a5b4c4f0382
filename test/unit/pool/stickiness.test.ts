/** Recipients with an address of their own (`sticky = "recipient"`): who goes where, when an address goes and comes, and that nobody waits for long. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EndpointSettings } from "../../../src/config/settings.js";
import { ActorStage, type StagedConnection } from "../../kit/actor-stage.js";
import { HostRig } from "../../kit/host-rig.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";
import { names } from "../kit/pool-peers.js";

type Place = Partial<EndpointSettings> & { readonly address: string };

function greets(connection: StagedConnection): void {
  connection.connects().says("220 ready\r\n");
  connection.wrote("EHLO gw.example.org\r\n");
  connection.says("250-server\r\n250 PIPELINING\r\n");
}

class Store {
  readonly stage: ActorStage;
  /** Addresses that take no connection. */
  readonly down = new Set<string>();
  private slot = 0;
  private greeted = 0;

  constructor(places: readonly Place[], more: { concurrency?: number; concurrencyPerAddress?: number } = {}) {
    const endpoints = places.map((place) => ({
      port: 24,
      serverName: place.address,
      weight: 1,
      backup: false,
      ...place,
    }));
    const [first] = endpoints;
    this.stage = new ActorStage(
      smtpSettings({
        address: first!.address,
        endpoints,
        sticky: "recipient",
        concurrency: 8,
        limits: { pipeline: 1, requests: 1_000_000, idleMs: 3_600_000, lifetimeMs: 3_600_000 },
        ...more,
      }),
    );
  }

  /** Asks for a recipient, whose number it gives. */
  ask(value: string): number {
    this.stage.lookup(++this.slot, "vrfy", value);
    return this.slot;
  }

  /** All connections that were dialled meanwhile greet, or are refused. */
  settle(): void {
    const { stage } = this;
    stage.settle();
    for (; this.greeted < stage.connections.length; stage.settle()) {
      const connection = stage.connections[this.greeted++]!;
      if (this.down.has(connection.address)) {
        connection.closes();
      } else {
        greets(connection);
      }
    }
  }

  /** Which connection has a question. */
  holderOf(value: string): StagedConnection | undefined {
    this.settle();
    return this.stage.connections.find((each) => each.isOpen && each.wire.untaken.includes(`VRFY ${value}\r\n`));
  }

  /** Where a question goes; it is answered. */
  place(value: string): string {
    const slot = this.ask(value);
    const holder = this.holderOf(value);
    assert.ok(holder, `${value} waits: ${this.stage.answers[slot]}`);
    this.answer(value);
    return holder.address;
  }

  answer(value: string): void {
    const holder = this.holderOf(value)!;
    holder.wrote(`VRFY ${value}\r\n`);
    holder.says("250 <u@example.net>\r\n");
  }

  places(values: readonly string[]): string[] {
    return values.map((value) => this.place(value));
  }
}

const THREE = [{ address: "a.example" }, { address: "b.example" }, { address: "c.example" }];
const NAMES = Array.from({ length: 300 }, (_, number) => `user${number}@example.org`);

function shares(places: readonly string[]): number[] {
  return THREE.map(({ address }) => places.filter((place) => place === address).length);
}

/** Somebody whose address is this one. */
function userOf(address: string, but: readonly string[] = []): string {
  const places = new Store(THREE).places(NAMES);
  const name = NAMES.find((each, at) => places[at] === address && !but.includes(each));
  return name!;
}

describe("recipients with an address of their own", () => {
  it("go to it always, on every gateway, however their domain is spelled", () => {
    const places = new Store(THREE).places(NAMES);
    const again = new Store(THREE.toReversed());
    assert.deepEqual(again.places(NAMES), places);
    assert.deepEqual(again.places(NAMES), places);
    const upper = NAMES.map((name) => name.replace("example.org", "EXAMPLE.org"));
    assert.deepEqual(again.places(upper), places);
    for (const share of shares(places)) {
      assert.ok(share > 75 && share < 125, `${shares(places)}`);
    }
  });

  it("are as many as the weights say", () => {
    const [a, b, c] = shares(new Store([{ address: "a.example", weight: 4 }, ...THREE.slice(1)]).places(NAMES));
    assert.ok(a! > 170 && a! < 230 && b! > 30 && c! > 30, `${[a, b, c]}`);
  });

  it("move to the next of their ranking when it goes, alone, and back when it returns", () => {
    const before = new Store(THREE).places(NAMES);
    const store = new Store(THREE);
    store.down.add("b.example");
    const without = store.places(NAMES);
    assert.equal(shares(without)[1], 0);
    for (const [at, place] of before.entries()) {
      assert.ok(place === "b.example" || without[at] === place, "the others stay");
    }
    assert.deepEqual(without, new Store([THREE[0]!, THREE[2]!]).places(NAMES), "by the same ranking");
    store.down.clear();
    store.stage.advance(2_000);
    store.ask(NAMES[0]!);
    store.settle();
    store.answer(NAMES[0]!);
    store.stage.advance(2_000);
    store.settle();
    assert.deepEqual(store.places(NAMES), before);
  });

  it("use backups only while all others are down", () => {
    const store = new Store([{ address: "a.example" }, { address: "b.example", backup: true }]);
    assert.deepEqual(shares(store.places(NAMES.slice(0, 20))), [20, 0, 0]);
    const other = new Store([{ address: "a.example" }, { address: "b.example", backup: true }]);
    other.down.add("a.example");
    assert.deepEqual(shares(other.places(NAMES.slice(0, 20))), [0, 20, 0]);
  });

  it("do not wait for those of a busy address: each is served by a connection of its own address", () => {
    const store = new Store(THREE, { concurrencyPerAddress: 1 });
    const [busy, next] = [userOf("a.example"), userOf("a.example", [userOf("a.example")])];
    store.ask(busy);
    assert.equal(store.holderOf(busy)?.address, "a.example");
    const waiting = store.ask(next);
    for (const address of ["b.example", "c.example"]) {
      assert.equal(store.place(userOf(address)), address);
    }
    assert.equal(store.holderOf(next), undefined);
    store.answer(busy);
    assert.equal(store.holderOf(next)?.address, "a.example");
    store.answer(next);
    assert.equal(store.stage.answers[waiting], "found, remote");
  });

  it("wait for a busy address for a second, and then go to the next one", () => {
    const store = new Store(THREE, { concurrencyPerAddress: 1 });
    const [busy, next] = [userOf("a.example"), userOf("a.example", [userOf("a.example")])];
    store.ask(busy);
    store.settle();
    store.ask(next);
    store.stage.advance(900);
    assert.equal(store.holderOf(next), undefined);
    store.stage.advance(1_200);
    const holder = store.holderOf(next);
    assert.ok(holder !== undefined && holder.address !== "a.example");
    store.answer(next);
    store.answer(busy);
    assert.equal(store.place(next), "a.example", "and back");
  });

  it("have the slot of a login connection that rests at their address, where that is full", () => {
    const endpoints = ["192.0.2.1", "192.0.2.2"].map((address) => ({
      address,
      port: 24,
      serverName: address,
      weight: 1,
      backup: false,
    }));
    const rig = new HostRig({
      addresses: "own",
      settings: { endpoints, sticky: "recipient", concurrency: 4, concurrencyPerAddress: 1, limits: { errors: 100 } },
    });
    rig.login("user", "bad");
    rig.advance(100);
    const [login] = rig.peers;
    assert.deepEqual([login?.state, rig.actor.stats().connections.idle], ["open", 1]);
    const asked = names(20);
    for (const name of asked) {
      rig.rcpt(name);
    }
    rig.advance(100);
    assert.equal(rig.outcomes().length, 1 + asked.length);
    assert.equal(login?.state, "gone");
    rig.checkSettled();
  });

  it("never have more connections than concurrency, and take idle ones of other addresses away", () => {
    const store = new Store(THREE, { concurrency: 1 });
    for (const address of ["a.example", "b.example", "c.example", "a.example"]) {
      const name = userOf(address);
      store.ask(name);
      store.settle();
      for (const connection of store.stage.connections) {
        if (connection.wire.untaken.includes("QUIT")) {
          connection.closes();
        }
      }
      assert.equal(store.holderOf(name)?.address, address);
      assert.equal(store.stage.connections.filter(({ isOpen }) => isOpen).length, 1);
      store.answer(name);
    }
  });

  it("are the first of a message's: it is sent once", () => {
    const store = new Store(THREE);
    for (const address of ["a.example", "b.example", "c.example"]) {
      const [first, second] = [userOf(address), userOf(address === "a.example" ? "b.example" : "a.example")];
      const before = store.stage.connections.length;
      store.stage.relay(900 + before, [first, second]);
      store.settle();
      const holder = store.stage.connections.findLast((each) => each.wire.untaken.includes("MAIL FROM"));
      assert.equal(holder?.address, address);
    }
  });
});
