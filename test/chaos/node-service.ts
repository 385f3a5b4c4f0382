/**
 * One service at several nodes while they go and come back: its servers, what is sent there, and whether each message went where it
 * belongs. Lives in the process of `nodes-process.ts`.
 */
import { setTimeout as pause } from "node:timers/promises";
import { type HostInput, RelaypostError, type RemoteHost } from "../../src/index.js";
import type { Certificate, LedgerTransaction } from "../../src/testing/index.js";
import { CONTENTS, readReversePath, reversePath } from "./contents.js";
import { House } from "./house.js";
import { ChaosLedger, REJECTED, RESOLVED, SETTLEMENT_OCTETS, STATUSES } from "./ledger.js";
import type { Mischief } from "./mischief.js";
import type { Random } from "./random.js";
import { countEstablished } from "./sockets.js";

const USERS = 60;
/** A node whose trouble ended so long ago is in use again: it is left alone for two seconds at most after so short a trouble. */
export const SETTLED_MS = 6_000;
/** Whoever waited for a second may go elsewhere. */
const PROMPT_MS = 900;
/** All primaries are gone for so long: then the others serve. */
const OUTAGE_MS = 2_000;
const SEND_EVERY_MS = 50;
/** Connections with few messages each, so that addresses are chosen often. */
const LIMITS = { requests: 20, idle: "1s" } as const;

export interface NodePlan {
  /** Of four nodes the last one, a backup or of a later priority, serves while the others are down. */
  readonly id: string;
  readonly sticky: boolean;
  readonly concurrency: number;
  readonly perAddress: number;
}

interface Sent {
  readonly user: number;
  readonly askedMs: number;
  settledMs: number;
}

/** Remembers at which node each message was. */
class NodeLedger extends ChaosLedger {
  readonly arrivals = new Map<number, number>();

  override enter(host: string, transaction: LedgerTransaction): void {
    const path = readReversePath(transaction.from);
    if (path !== undefined && transaction.isTerminated) {
      this.arrivals.set(path.id, Number(host.split(" ")[1]));
    }
    super.enter(host, transaction);
  }
}

export class NodeService {
  private readonly houses: House[] = [];
  private readonly ledger = new NodeLedger();
  private readonly sent: Sent[] = [];
  /** When each node had trouble. */
  private readonly troubles: { readonly node: number; readonly fromMs: number; untilMs: number }[] = [];
  /** Which node each user's messages go to; for a service without such nodes none. */
  private readonly own = new Map<number, number>();
  private readonly timers: NodeJS.Timeout[] = [];
  private host!: RemoteHost;
  private unsettled = 0;
  private tickMs = performance.now();

  private constructor(
    readonly plan: NodePlan,
    private readonly random: Random,
  ) {}

  static async build(plan: NodePlan, random: Random, certificate: Certificate): Promise<NodeService> {
    const service = new NodeService(plan, random);
    for (let node = 0; node < 4; node++) {
      const host = {
        id: `${plan.id} ${node}`,
        protocol: "lmtp",
        concurrency: plan.perAddress,
        isSecure: false,
        client: "none",
      } as const;
      service.houses.push(await House.build(host, service.ledger, certificate));
    }
    return service;
  }

  get ports(): number[] {
    return this.houses.map(({ port }) => port);
  }

  /** What all services have in common. */
  get settings(): Omit<HostInput, "address"> {
    const { concurrency, perAddress, sticky } = this.plan;
    const slow = "5s";
    return {
      protocol: "lmtp",
      concurrency,
      "concurrency-per-address": perAddress,
      ...(sticky ? { sticky: "recipient" } : {}),
      tls: { implicit: false, starttls: "disable" },
      timeout: "10s",
      timeouts: { greeting: slow, mail: slow, rcpt: slow, "data-initiation": slow, "data-block": slow },
      limits: LIMITS,
    };
  }

  /** Sends to everybody while all is well, and goes on sending. */
  async begin(host: RemoteHost): Promise<void> {
    this.host = host;
    await this.sendToAll("before the first fault everything is delivered");
    for (const [id, node] of this.ledger.arrivals) {
      this.own.set(this.sent[id]!.user, node);
    }
    this.timers.push(setInterval(() => this.tick(), SEND_EVERY_MS));
  }

  /** The next trouble of one node; it resolves when it is time for another one. */
  async disturb(): Promise<void> {
    const { random } = this;
    const node = random.integer(0, 3);
    const forMs = random.integer(20, 800);
    const mischief = random.pick<Mischief>([
      { kind: "reset" },
      { kind: "cut" },
      { kind: "refuse", forMs },
      { kind: "restart", forMs },
      { kind: "hang", forMs },
    ]);
    this.trouble(node, mischief, "forMs" in mischief ? forMs : 0);
    await pause(random.integer(200, 2_500));
  }

  /** All but the last one go at once. */
  async outage(): Promise<void> {
    const before = performance.now();
    for (const node of [0, 1, 2]) {
      this.trouble(node, { kind: "restart", forMs: OUTAGE_MS }, OUTAGE_MS);
    }
    await pause(OUTAGE_MS);
    const helped = this.sent.some(({ askedMs }, id) => askedMs >= before && this.ledger.arrivals.get(id) === 3);
    if (!helped && this.wasWell(3, before, performance.now())) {
      this.ledger.breach("the last node serves while the others are down", this.plan.id);
    }
  }

  /** The library does not see that node for a while, whatever the reason is. */
  isMissing(node: number, forMs: number): void {
    const fromMs = performance.now();
    this.troubles.push({ node, fromMs, untilMs: fromMs + forMs });
  }

  /** Everything is well from now on; resolves with what was broken. */
  async finish(): Promise<Record<string, { count: number; cases: string[] }>> {
    for (const house of this.houses) {
      house.calm();
    }
    await pause(SETTLED_MS);
    for (const timer of this.timers) {
      clearInterval(timer);
    }
    while (this.unsettled > 0) {
      await pause(20);
    }
    const first = this.sent.length;
    await this.sendToAll("everything is delivered 6 s after the last fault");
    this.judge(first);
    return this.ledger.judge(this.sent.length).broken as Record<string, { count: number; cases: string[] }>;
  }

  private trouble(node: number, mischief: Mischief, forMs: number): void {
    this.isMissing(node, forMs);
    this.houses[node]!.begin(mischief);
  }

  private async sendToAll(promise: string): Promise<void> {
    for (let user = 0; user < USERS; user++) {
      const status = await this.send(user);
      if (status !== "delivered") {
        this.ledger.breach(promise, `${this.plan.id}: user${user}: ${status}`);
      }
    }
  }

  private tick(): void {
    const nowMs = performance.now();
    if (nowMs - this.tickMs > PROMPT_MS) {
      // The process stood still: for all that the library could see, so did the nodes.
      this.troubles.push(...[0, 1, 2, 3].map((node) => ({ node, fromMs: this.tickMs, untilMs: nowMs })));
    }
    this.tickMs = nowMs;
    void this.send(this.random.integer(0, USERS - 1));
    this.holdConcurrency();
  }

  private holdConcurrency(): void {
    const { id, concurrency } = this.plan;
    const counted = this.houses.reduce((sum, { standing }) => sum + standing, 0);
    if (counted <= concurrency) {
      return;
    }
    const standing = this.ports.reduce((sum, port) => sum + countEstablished(port), 0);
    if (Math.min(counted, standing) > concurrency) {
      this.ledger.breach("concurrency is never exceeded", `${id}: ${standing} connections to all nodes`);
    }
  }

  private async send(user: number): Promise<string> {
    const id = this.sent.length;
    const message: Sent = { user, askedMs: performance.now(), settledMs: Number.POSITIVE_INFINITY };
    this.sent.push(message);
    this.unsettled++;
    const content = this.random.integer(0, 6);
    const settlement = Buffer.alloc(SETTLEMENT_OCTETS);
    settlement.writeUInt32LE(id);
    let status: string;
    try {
      const envelope = { from: reversePath(id, content), to: `r0.user${user}@chaos.example` };
      const { recipients } = await this.host.relay(envelope, CONTENTS[content]!.octets, { timeoutMs: 20_000 });
      status = recipients[0]!.status;
      settlement[4] = RESOLVED;
      settlement[5] = STATUSES.indexOf(recipients[0]!.status);
    } catch (error) {
      status = error instanceof RelaypostError ? error.code : String(error);
      settlement[4] = REJECTED;
    }
    this.unsettled--;
    message.settledMs = performance.now();
    this.ledger.settle(settlement);
    return status;
  }

  /** @param last the first message of the last round */
  private judge(last: number): void {
    const { sent, ledger, plan } = this;
    for (const [id, node] of ledger.arrivals) {
      const { user, askedMs, settledMs } = sent[id]!;
      if (settledMs - askedMs > PROMPT_MS) {
        continue;
      }
      const isWell = (each: number): boolean => id >= last || this.wasWell(each, askedMs, settledMs);
      const what = `${plan.id}: m${id} to user${user} was at node ${node}`;
      if (node === 3 && [0, 1, 2].some(isWell)) {
        ledger.breach("the last node serves only while the others are down", what);
      }
      const own = this.own.get(user);
      if (plan.sticky && own !== undefined && own !== node && isWell(own)) {
        ledger.breach("a recipient's messages go to its node while that is up", `${what}, and not at ${own}`);
      }
    }
  }

  private wasWell(node: number, fromMs: number, toMs: number): boolean {
    return this.troubles.every(
      (trouble) => trouble.node !== node || trouble.fromMs > toMs || trouble.untilMs + SETTLED_MS < fromMs,
    );
  }
}
