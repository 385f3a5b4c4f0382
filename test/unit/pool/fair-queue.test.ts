/** Fairness between tenants and priorities: whose turn it is, in octets and in requests, under a clock that the test moves. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TenantSettings } from "../../../src/config/settings.js";
import { encodeTag } from "../../../src/messages/tenant.js";
import { TimerWheel } from "../../../src/timer-wheel.js";
import { BY_CLIENT } from "../../../workers/pool/bindings.js";
import { costOf, FairQueue } from "../../../workers/pool/fair-queue.js";
import { RequestQueue } from "../../../workers/pool/request-queue.js";
import type { Task } from "../../../workers/pool/task.js";
import { Queued, TaskQueue } from "../../../workers/pool/task-queue.js";
import { Tenants } from "../../../workers/pool/tenants.js";
import type { World } from "../../../workers/world.js";
import { VirtualClock } from "../kit/virtual-clock.js";

type Priority = "high" | "normal" | "bulk";

/** Enough of a task for a queue. */
class Waiting extends Queued {
  readonly isRefresh = false;
  readonly client = "";
  readonly deadlineMs = Number.POSITIVE_INFINITY;
  readonly job: unknown;

  constructor(
    readonly kind: "relay" | "rcpt",
    readonly tag: string,
    readonly enqueuedMs: number,
    readonly octets = 0,
  ) {
    super();
    this.job = { content: null, sizeOctets: octets };
  }
}

function make(table: Record<string, TenantSettings> = {}) {
  const clock = new VirtualClock();
  const state = { pumped: 0 };
  const world = { clock, wheel: new TimerWheel(clock) } as unknown as World;
  const tenants = new Tenants(
    world,
    () => table,
    () => state.pumped++,
  );
  const queue = new FairQueue(tenants);
  const add = (tenant: string, octets = 0, priority: Priority = "normal"): Task => {
    const task = new Waiting("relay", encodeTag(tenant, priority), clock.now(), octets) as unknown as Task;
    queue.push(task);
    return task;
  };
  const ask = (tenant: string, priority: Priority = "normal"): void => {
    queue.push(new Waiting("rcpt", encodeTag(tenant, priority), clock.now()) as unknown as Task);
  };
  /** Serves the next one, and says whose it was. */
  const serve = (): Task | undefined => {
    const task = queue.head;
    if (task !== undefined) {
      queue.take(task);
      (task.queue as TaskQueue<Task>).remove(task);
    }
    return task;
  };
  const names = (count: number): string[] => Array.from({ length: count }, () => serve()?.tag.slice(1) ?? "-");
  return { clock, queue, tenants, add, ask, serve, names, state };
}

describe("a queue between tenants", () => {
  it("serves lookups in turns, one of each", () => {
    const { ask, names, queue } = make();
    for (let count = 0; count < 4; count++) {
      ask("a");
    }
    ask("b");
    ask("b");
    ask("");
    assert.equal(queue.length, 7);
    assert.deepEqual(names(7).join(), "a,b,,a,b,a,a");
    assert.deepEqual([queue.length, queue.tenantCount, queue.head], [0, 0, undefined]);
  });

  it("serves messages by their octets, so that large ones take no more than small ones", () => {
    const { add, serve } = make();
    for (let count = 0; count < 2_000; count++) {
      add("large", 200_000);
      add("small", 1_000);
    }
    const served: Record<string, number> = { large: 0, small: 0 };
    while (served.small! < 2_000_000) {
      const task = serve()!;
      served[task.tag.slice(1)]! += costOf(task);
    }
    assert.ok(Math.abs(served.large! - served.small!) <= 201_024 + 8 * 1024, `${served.large} ${served.small}`);
  });

  it("gives each tenant the part that its weight says", () => {
    const { add, names } = make({ heavy: { weight: 3 } });
    for (let count = 0; count < 200; count++) {
      add("heavy", 10_000);
      add("light", 10_000);
    }
    const served = names(100);
    const heavy = served.filter((name) => name === "heavy").length;
    assert.ok(heavy >= 74 && heavy <= 76, `${heavy}`);
  });

  it("lets one with a lone request wait for one turn, however much another has waiting", () => {
    const { add, names } = make();
    for (let count = 0; count < 10_000; count++) {
      add("bulk", 4_096);
    }
    names(100);
    add("lone", 4_096);
    assert.ok(names(3).includes("lone"));
  });

  it("names the same one until that has left, and lets anyone leave", () => {
    const { add, queue } = make();
    const first = add("a", 1);
    const second = add("a", 1);
    add("b", 1);
    assert.equal(queue.head, queue.head);
    (first.queue as TaskQueue<Task>).remove(first);
    (second.queue as TaskQueue<Task>).remove(second);
    assert.equal(queue.head?.tag, "1b");
    assert.equal(queue.length, 1);
  });

  it("knows when the one that waits longest came", () => {
    const { clock, add, queue, serve } = make();
    const firstMs = clock.now();
    add("a", 1);
    clock.advance(10);
    add("b", 1);
    assert.equal(queue.oldestMs, firstMs);
    serve();
    assert.equal(queue.oldestMs, firstMs + 10);
    serve();
    assert.equal(queue.oldestMs, Number.POSITIVE_INFINITY);
  });

  it("serves the priorities of a tenant 8:4:1", () => {
    const { ask, serve } = make();
    for (let count = 0; count < 200; count++) {
      for (const priority of ["high", "normal", "bulk"] as const) {
        ask("a", priority);
      }
    }
    const served = [0, 0, 0];
    for (let count = 0; count < 130; count++) {
      served[Number(serve()!.tag[0])]!++;
    }
    assert.deepEqual(served, [80, 40, 10]);
  });

  it("gives one tenant's high priority no part of another's share", () => {
    const { ask, names } = make();
    for (let count = 0; count < 100; count++) {
      ask("a", "high");
      ask("b", "bulk");
    }
    const served = names(100);
    assert.equal(served.filter((name) => name === "b").length, 50);
  });

  it("lets whoever has waited for ten times as many as came before it go first", () => {
    const { ask, serve } = make();
    for (let count = 0; count < 10; count++) {
      ask("a", "bulk");
    }
    for (let count = 0; count < 200; count++) {
      ask("a", "high");
      ask("a", "normal");
    }
    // By 8:4:1 the tenth would be served after 120 others.
    for (let bulk = 1, others = 0; bulk <= 10; others++) {
      if (serve()!.tag === "2a") {
        assert.ok(others <= 10 * bulk, `number ${bulk} was served after ${others} others`);
        bulk++;
      }
    }
  });

  it("counts no time in which the host serves nobody", () => {
    const { clock, ask, serve } = make();
    ask("a", "bulk");
    ask("a", "high");
    clock.advance(3_600_000);
    assert.equal(serve()!.tag, "0a");
  });

  it("holds a tenant to its rate, while others go on, and is looked at again in time", () => {
    const { clock, ask, names, queue, state } = make({ slow: { weight: 1, rate: { intervalMs: 1_000, burst: 1 } } });
    for (let count = 0; count < 3; count++) {
      ask("slow");
      ask("fast");
    }
    assert.deepEqual(names(5), ["slow", "fast", "fast", "fast", "-"]);
    assert.equal(queue.head, undefined);
    assert.equal(state.pumped, 0);
    clock.advance(1_100);
    assert.equal(state.pumped, 1);
    assert.deepEqual(names(2), ["slow", "-"]);
  });

  it("is looked at again in time, though another queue of the host has longer to wait", () => {
    const { clock, ask, names, queue, state, tenants } = make({
      soon: { weight: 1, rate: { intervalMs: 1_000, burst: 1 } },
      late: { weight: 1, rate: { intervalMs: 60_000, burst: 1 } },
    });
    const other = new FairQueue(tenants);
    tenants.began("late");
    other.push(new Waiting("relay", encodeTag("late", "normal"), clock.now()) as unknown as Task);
    ask("soon");
    ask("soon");
    assert.deepEqual(names(2), ["soon", "-"]);
    assert.deepEqual([other.head], [undefined]);
    clock.advance(1_100);
    assert.equal(state.pumped, 1);
    assert.deepEqual([queue.head?.tag, other.head?.tag], ["1soon", undefined]);
    clock.advance(60_000);
    assert.equal(state.pumped, 2);
    assert.equal(other.head?.tag, "1late");
  });

  it("keeps a thousand tenants that have nothing waiting, were there a million", () => {
    const { ask, names, queue } = make();
    for (let count = 0; count < 100_000; count++) {
      ask(`tenant ${count}`, count % 2 === 0 ? "normal" : "bulk");
      names(1);
    }
    assert.deepEqual([queue.tenantCount, queue.knownCount], [0, 1_000]);
    const sizes = Object.values(queue).map((value) => (value instanceof Map ? value.size : 0));
    assert.ok(
      sizes.every((size) => size <= 1_000),
      sizes.join(),
    );
  });

  it("forgets no tenant that has something waiting, and whoever rested for the longest time first", () => {
    const { ask, names, queue, serve } = make();
    ask("waiting", "bulk");
    ask("waiting", "high");
    assert.equal(serve()!.tag, "0waiting");
    for (let count = 0; count < 2_000; count++) {
      ask(`tenant ${count}`);
    }
    names(2_000);
    assert.deepEqual([queue.tenantCount, queue.knownCount], [1, 1_001]);
    ask("waiting", "high");
    ask("tenant 0");
    const served = [serve()!.tag, serve()!.tag, serve()!.tag].toSorted();
    assert.deepEqual(served, ["0waiting", "1tenant 0", "2waiting"]);
    assert.deepEqual([queue.tenantCount, queue.knownCount, queue.length], [0, 1_000, 0]);
  });

  it("forgets what a tenant was owed when nothing of it waits", () => {
    const { add, names } = make();
    add("a", 1);
    names(1);
    add("b", 12_000);
    add("a", 12_000);
    // Both need two rounds. With what was left of the former one, the second would need one.
    assert.deepEqual(names(2), ["b", "a"]);
  });

  it("asks for a tenant's weight again when something of it waits again", () => {
    const table: Record<string, TenantSettings> = { a: { weight: 3 } };
    const { ask, names } = make(table);
    ask("a");
    names(1);
    table.a = { weight: 1 };
    for (let count = 0; count < 4; count++) {
      ask("a");
      ask("b");
    }
    assert.deepEqual(names(4), ["a", "b", "a", "b"]);
  });
});

/** Full queues, and a host that serves so many octets a second on several connections. */
describe("over any second", () => {
  for (const [count, octetsPerSecond] of [
    [2, 4_000_000],
    [10, 4_000_000],
    [50, 20_000_000],
  ] as const) {
    it(`no tenant of ${count} with equal weights and a full queue is served less than 0.9 of its share`, () => {
      const { clock, add, serve } = make();
      let seed = 1;
      const random = (): number => {
        seed = (seed * 48_271) % 2_147_483_647;
        return seed / 2_147_483_647;
      };
      /** Each tenant has messages of its own size. */
      const sizes = Array.from({ length: count }, () => Math.floor(500 + random() ** 3 * 20_000));
      const fill = (tenant: number): void => {
        add(`${tenant}`, Math.floor(sizes[tenant]! * (0.5 + random())));
      };
      for (let tenant = 0; tenant < count; tenant++) {
        for (let waiting = 0; waiting < 50; waiting++) {
          fill(tenant);
        }
      }
      const served: { tenant: number; octets: number; atMs: number }[] = [];
      while (clock.now() < 11_000) {
        const task = serve()!;
        const tenant = Number(task.tag.slice(1));
        served.push({ tenant, octets: costOf(task), atMs: clock.now() });
        fill(tenant);
        clock.advance((costOf(task) / octetsPerSecond) * 1_000);
      }
      for (let startMs = 1_000; startMs <= 10_000; startMs += 50) {
        const shares = new Array<number>(count).fill(0);
        for (const { tenant, octets, atMs } of served) {
          shares[tenant]! += atMs >= startMs && atMs < startMs + 1_000 ? octets : 0;
        }
        const fair = shares.reduce((sum, each) => sum + each, 0) / count;
        const least = Math.min(...shares);
        assert.ok(least >= 0.9 * fair, `${least} of ${fair} octets in the second from ${startMs}`);
      }
    });
  }
});

describe("the queue of a pool", () => {
  const queueOf = (): RequestQueue => {
    const { tenants } = make();
    return new RequestQueue(tenants);
  };
  const relay = (tag: string, enqueuedMs = 1_000): Task => new Waiting("relay", tag, enqueuedMs, 4_096) as never;

  it("is a plain one until a tenant or a priority comes, and those who wait keep their places", () => {
    const queue = queueOf();
    const [one, two] = [relay(""), relay("")];
    queue.push(one);
    queue.push(two);
    assert.equal(one.queue instanceof TaskQueue && one.queue.constructor === TaskQueue, true);
    queue.push(relay("1tenant"));
    assert.deepEqual([queue.length, queue.next(1_000)], [3, one]);
    queue.take(one);
    queue.take(queue.next(1_000)!);
    assert.equal(queue.length, 1);
  });

  it("goes back to clients' own queues where connections belong to them", () => {
    const queue = queueOf();
    queue.push(relay("1tenant"));
    queue.bindClients(BY_CLIENT);
    const other = relay("1other");
    queue.push(other);
    assert.equal(queue.length, 2);
    assert.equal(queue.nextOf("", true, 1_000)?.tag, "1tenant");
  });
});
