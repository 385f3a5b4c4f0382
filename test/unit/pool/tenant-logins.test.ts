/** Logins are fair between tenants as lookups are: by turns, weights and rates; within a tenant between clients and users. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TenantSettings } from "../../../src/config/settings.js";
import { encodeClient } from "../../../src/messages/client.js";
import { encodeTag } from "../../../src/messages/tenant.js";
import { HostRig } from "../../kit/host-rig.js";
import { friendly } from "../../kit/rig-peer.js";

const from = (address: string) => encodeClient({ address });

/** A host of one connection, and who was logged in there, in their order. */
function make(tenants: Readonly<Record<string, TenantSettings>> = {}, settings: Record<string, unknown> = {}) {
  const order: string[] = [];
  const rig = new HostRig({
    settings: { concurrency: 1, limits: { errors: 1_000, requests: 1_000 }, tenants, ...settings },
    answer: (line, peer) => {
      if (line.startsWith("AUTH")) {
        order.push(Buffer.from(line.split(" ")[2]!, "base64").toString().split("\0")[1]!);
      }
      return friendly(line, peer);
    },
  });
  const login = (name: string, tenant: string, client = ""): number =>
    rig.login(name, "good", client, Number.POSITIVE_INFINITY, encodeTag(tenant, "normal"));
  return { rig, order, login };
}

describe("logins of several tenants", () => {
  it("go in turns between tenants, however many users one of them has", () => {
    const { rig, order, login } = make();
    login("first", "large");
    for (let user = 1; user <= 4; user++) {
      login(`large${user}`, "large", from(`192.0.2.${user}`));
    }
    login("small1", "small");
    login("small2", "small");
    login("nobody", "");
    rig.run();
    assert.deepEqual(order, ["first", "small1", "nobody", "large1", "small2", "large2", "large3", "large4"]);
    rig.checkSettled();
  });

  it("go as often in a turn as their weights say, and between clients within a tenant", () => {
    const { rig, order, login } = make({ heavy: { weight: 3 } });
    login("first", "heavy");
    for (const user of ["a1", "a2", "a3"]) {
      login(user, "heavy", from("192.0.2.1"));
    }
    login("b1", "heavy", from("192.0.2.2"));
    login("light1", "light");
    login("light2", "light");
    rig.run();
    assert.deepEqual(order, ["first", "a1", "b1", "light1", "a2", "a3", "light2"]);
    rig.checkSettled();
  });

  it("wait for their tenant's rate, and nobody else does", () => {
    const { rig, order, login } = make({ slow: { weight: 1, rate: { intervalMs: 1_000, burst: 1 } } });
    for (const user of [1, 2, 3]) {
      login(`slow${user}`, "slow");
    }
    login("fast1", "fast");
    login("fast2", "fast");
    rig.advance(900);
    assert.deepEqual(order, ["slow1", "fast1", "fast2"]);
    assert.equal(rig.actor.stats().queued, 2);
    rig.advance(1_000);
    assert.deepEqual(order.slice(3), ["slow2"]);
    rig.advance(1_000);
    assert.deepEqual(order.slice(3), ["slow2", "slow3"]);
    rig.checkSettled();
  });

  it("of bulk priority are asked for as any other, and one that is joined goes where the joiner's would", () => {
    const { rig, order, login } = make();
    const bulk = (name: string): number =>
      rig.login(name, "good", "", Number.POSITIVE_INFINITY, encodeTag("large", "bulk"));
    login("first", "other");
    bulk("large1");
    bulk("large2");
    bulk("wanted");
    login("wanted", "small");
    rig.run();
    assert.deepEqual(order, ["first", "large1", "wanted", "large2"]);
    rig.checkSettled();
  });

  it("ask for no connection while all of them wait for their rate", () => {
    const { rig, login } = make({ slow: { weight: 1, rate: { intervalMs: 60_000, burst: 1 } } }, { concurrency: 5 });
    for (let user = 0; user < 5; user++) {
      login(`slow${user}`, "slow");
    }
    rig.advance(1_000);
    assert.equal(rig.mostOpen, 2, "that of the one that began, and one that stands by for the next login");
  });
});
