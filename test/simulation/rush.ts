/**
 * A phase of full queues at the end of a run: some tenants ask more than the host can do, and each has something waiting all the time.
 * Drawn apart, and later than all else that a run asks, so that what comes before stays as it was. Made by simulate.ts, judged by shares.ts.
 */
import { NO_CLIENT } from "../../src/messages/client.js";
import { encodeTag } from "../../src/messages/tenant.js";
import { PLAIN_HEAD } from "../kit/plain-head.js";
import type { Gateway } from "./gateway.js";
import type { Random } from "./random.js";
import { SimRequest, type Work } from "./requests.js";
import { calm, type Scenario } from "./scenario.js";
import type { Servers } from "./servers.js";
import type { VirtualTime } from "./virtual-time.js";
import type { Workload } from "./workload.js";

const LASTS_MS = 4_000;
/** In a run where nothing goes wrong: all that was asked before has its answer by then. */
const CALM_START_MS = 40_000;
/** After its last request a run goes on for so long at least. */
const REST_MS = 500;
/** Numbers of its requests: those of the workload are lower. */
const FIRST_NUMBER = 10_000;
const MOST_REQUESTS = 3_000;
/** Whoever failed asks again after so long: a host that refuses at once is not asked without end. */
const PAUSE_MS = 200;

export type RushKind = "relay" | "lookup";

/** One tenant's requests of one kind. */
export interface RushTenant {
  readonly name: string;
  readonly kind: RushKind;
  readonly weight: number;
  /** So many of its requests are on their way or wait, all the time. */
  readonly depth: number;
  readonly contentOctets: number;
  readonly requests: SimRequest[];
}

export class Rush {
  readonly tenants: readonly RushTenant[];
  readonly startMs: number;
  readonly endMs: number;
  private readonly priority: "high" | "normal" | "bulk";
  private readonly replyMs: number;
  /** Nothing more goes wrong of itself from its beginning on. */
  private readonly isClear: boolean;
  private readonly restart: { readonly afterMs: number; readonly downMs: number } | undefined;
  private count = 0;

  private constructor(
    random: Random,
    private readonly scenario: Scenario,
    private readonly workload: Workload,
    private readonly gateway: Gateway,
    private readonly time: VirtualTime,
    private readonly servers: Servers,
  ) {
    this.startMs = scenario.isCalm ? CALM_START_MS : workload.spanMs;
    this.endMs = this.startMs + LASTS_MS;
    this.priority = random.pick(["high", "normal", "bulk"]);
    // So slow that a run stays short, however many connections it has.
    this.replyMs = scenario.settings.concurrency * random.pick([2, 4]);
    const kinds = random.pick<readonly RushKind[]>([["relay"], ["relay"], ["lookup"], ["relay", "lookup"]]);
    const names = ["one", "two", "three", "four"].slice(0, random.between(2, 4));
    if (scenario.settings.tenants !== undefined && random.chance(0.3)) {
      names[0] = "large";
    }
    this.tenants = kinds.flatMap((kind) => {
      const least = mostAtWork(scenario, kind) + 3;
      const flooding = random.pick(names);
      return names.map((name) => ({
        name,
        kind,
        weight: scenario.settings.tenants?.[name]?.weight ?? 1,
        // First come, first served would serve them by that.
        depth: name === flooding ? 6 * least : random.between(least, 2 * least),
        contentOctets: random.pick([200, 2_000, 8_000]),
        requests: [],
      }));
    });
    this.isClear = random.chance(0.8);
    const isRestarted = !scenario.isCalm && random.chance(0.2);
    this.restart = isRestarted ? { afterMs: random.below(LASTS_MS), downMs: random.pick([1, 100, 300]) } : undefined;
  }

  /** `undefined`: none in this run, or tenants count for nothing there (docs/tenants.md). */
  static of(
    random: Random,
    scenario: Scenario,
    workload: Workload,
    gateway: Gateway,
    time: VirtualTime,
    servers: Servers,
  ): Rush | undefined {
    const { protocol, client, sticky, limits } = scenario.settings;
    const isFair = protocol !== "imap" && client === "none" && sticky === undefined;
    // A new connection for every other request would leave too few of them to tell.
    if (!isFair || limits.requests < 5) {
      return undefined;
    }
    const rush = new Rush(random, scenario, workload, gateway, time, servers);
    return workload.closeAtMs - rush.endMs < REST_MS ? undefined : rush;
  }

  begin(): void {
    const { servers, restart } = this;
    servers.pace.replyMs = this.replyMs;
    if (this.isClear) {
      calm(this.scenario);
    }
    // Whoever floods the host came first.
    for (const tenant of this.tenants.toSorted((one, other) => other.depth - one.depth)) {
      for (let waiting = 0; waiting < tenant.depth; waiting++) {
        this.ask(tenant);
      }
    }
    this.time.after(LASTS_MS, () => {
      servers.pace.replyMs = 0;
    });
    if (restart !== undefined) {
      this.time.after(restart.afterMs, () => servers.restart(restart.downMs));
    }
  }

  private ask(tenant: RushTenant): void {
    if (this.time.nowMs >= this.endMs || this.count >= MOST_REQUESTS) {
      return;
    }
    const number = FIRST_NUMBER + this.count++;
    const work = tenant.kind === "relay" ? this.message(number, tenant.contentOctets) : question(number);
    const tag = encodeTag(tenant.name, this.priority);
    const request = new SimRequest(number, work, Number.POSITIVE_INFINITY, NO_CLIENT, tag);
    request.whenSettled = () => {
      this.time.after(request.outcome?.kind === "failed" ? PAUSE_MS : 0, () => this.ask(tenant));
    };
    tenant.requests.push(request);
    this.gateway.issue(request);
  }

  private message(number: number, octets: number): Work {
    const text = `Subject: ${number}\r\n\r\n${`${"x".repeat(98)}\r\n`.repeat(octets / 100)}`;
    const recipients = ["y1@sim"];
    this.workload.recipients.set(String(number), recipients);
    this.workload.contents.set(String(number), text);
    return {
      kind: "relay",
      stream: undefined,
      job: {
        from: `m${number}@gateway.sim`,
        recipients,
        ...PLAIN_HEAD,
        content: Buffer.from(text),
      },
    };
  }
}

/** Most requests of a kind that are on connections at one time. */
export function mostAtWork({ settings, changed, isCalm }: Scenario, kind: RushKind): number {
  const { pipeline, errors, requests } = settings.limits;
  const connections = isCalm ? settings.concurrency : Math.max(settings.concurrency, changed.concurrency);
  // A message may follow behind the terminator of another one.
  return connections * (kind === "relay" ? 2 : Math.min(pipeline, errors, requests));
}

/** Nobody else asks for that one. */
function question(number: number): Work {
  return { kind: "lookup", lookup: "rcpt", value: `y${number}@sim`, client: NO_CLIENT };
}
