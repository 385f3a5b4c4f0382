/** One gateway of a simulated cluster that shares hosts' health: the real decisions of its main thread, and a worker for each host. Serves health-run.ts. */
import { SharedHealth } from "../../../src/cluster/shared-health.js";
import type { HostSettings } from "../../../src/config/settings.js";
import { type AttemptOutcome, HealthWorker } from "./health-worker.js";
import { SimProcess } from "./sim-process.js";
import { type SimRedis, SimRedisLink } from "./sim-redis.js";

/** How late a thread may hear of the other. */
export const MOST_THREAD_MS = 20;

/** The hosts that all gateways dial, and whoever watches. */
export interface DialledHosts {
  attempt(gateway: HealthGateway, hostId: string, isProbe: boolean, done: (outcome: AttemptOutcome) => void): void;
  refused(gateway: HealthGateway, hostId: string, isTold: boolean): void;
}

export class HealthGateway extends SimProcess {
  readonly link: SimRedisLink;
  readonly workers = new Map<string, HealthWorker>();
  private readonly health: SharedHealth;
  /** When the last message from the gateway's thread comes, and to it: none overtakes another. */
  private toMs = 0;
  private fromMs = 0;

  constructor(
    readonly id: string,
    redis: SimRedis,
    hosts: readonly HostSettings[],
    private readonly dialled: DialledHosts,
    leaseMs: number,
  ) {
    super(redis.time, redis.random);
    this.link = new SimRedisLink(redis, (event) => this.run(event));
    this.health = new SharedHealth({
      name: "sim",
      gateway: id,
      leaseMs,
      link: this.link,
      clock: this.clock,
      hint: (hostId, hint) => {
        const worker = this.workers.get(hostId)!;
        this.toMs = this.inOrder(this.toMs, MOST_THREAD_MS, () => worker.hint(hint));
      },
    });
    this.link.onListening = () => this.health.listening();
    for (const host of hosts) {
      this.workers.set(host.id, this.makeWorker(host.id));
      this.health.setHost(host);
    }
  }

  /** Its thread ends, and its connections with it; another one takes the host over. */
  restartWorker(hostId: string): void {
    this.workers.get(hostId)!.end();
    this.health.workerEnded(hostId);
    this.workers.set(hostId, this.makeWorker(hostId));
    this.health.workerStarted(hostId);
  }

  /** An operator has the host's connections replaced. */
  reconnect(hostId: string): void {
    this.health.drop(hostId);
  }

  override kill(): void {
    super.kill();
    this.link.end();
  }

  private makeWorker(hostId: string): HealthWorker {
    const worker = new HealthWorker({
      clock: this.clock,
      random: this.random,
      attempt: (isProbe, done) =>
        this.dialled.attempt(this, hostId, isProbe, (outcome) => this.run(() => done(outcome))),
      refused: (isTold) => this.dialled.refused(this, hostId, isTold),
      tell: (news) => {
        this.fromMs = this.inOrder(this.fromMs, MOST_THREAD_MS, () => {
          // What a thread said last is heard, and then that it ended.
          if (this.workers.get(hostId) === worker) {
            this.health.found(hostId, news);
          }
        });
      },
    });
    return worker;
  }
}
