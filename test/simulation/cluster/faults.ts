/** What befalls simulated gateways that share answers or health, and their Redis, alike. Serves answers-run.ts and health-run.ts. */
import type { VirtualTime } from "../virtual-time.js";
import type { SimProcess } from "./sim-process.js";
import type { SimRedis, SimRedisLink } from "./sim-redis.js";

/** Of each way of a call to Redis, when nothing is slow. */
const USUAL_DELAY_MS = 10;

/** Events of one turn of Node's event loop. */
const EVENTS_PER_TURN = 64;

/** Whoever excuses gateways for what befell them. */
export interface FaultJudge<Gateway> {
  readonly broken: readonly string[];
  trouble(gateway: Gateway, forMs: number): void;
  troubleAll(forMs: number): void;
}

export class ClusterFaults<Gateway extends SimProcess & { readonly link: SimRedisLink }> {
  constructor(
    private readonly time: VirtualTime,
    private readonly redis: SimRedis,
    private readonly judge: FaultJudge<Gateway>,
  ) {}

  /** Lets things happen until then, or until enough is broken. Promises settle between events, as they do in a process. */
  until(endMs: number): Promise<void> {
    const { time, judge } = this;
    let isOver = false;
    time.after(endMs - time.nowMs, () => {
      isOver = true;
    });
    return settledBetween(() => !isOver && judge.broken.length < 5 && time.step());
  }

  /** The process stands still. */
  stop(gateway: Gateway, forMs: number): void {
    gateway.stop();
    this.judge.trouble(gateway, forMs);
    this.time.after(forMs, () => gateway.resume());
  }

  /** Nothing passes between it and Redis. */
  cut(gateway: Gateway, forMs: number): void {
    gateway.link.isCut = true;
    this.judge.trouble(gateway, forMs);
    this.time.after(forMs, () => {
      gateway.link.isCut = false;
    });
  }

  slow(delayMs: number, forMs: number): void {
    this.judge.troubleAll(forMs);
    this.redis.mostDelayMs = delayMs;
    this.time.after(forMs, () => {
      this.redis.mostDelayMs = USUAL_DELAY_MS;
    });
  }

  /** @param meanwhile what becomes of what Redis knows */
  outage(state: "paused" | "down", forMs: number, meanwhile: () => void): void {
    const { redis, time } = this;
    if (state === "down") {
      redis.stop();
    } else {
      redis.state = "paused";
    }
    meanwhile();
    time.after(forMs, () => redis.resume());
  }

  /** Nothing befalls anybody from here on. */
  end(gateways: readonly Gateway[]): void {
    this.redis.resume();
    this.redis.mostDelayMs = USUAL_DELAY_MS;
    for (const gateway of gateways) {
      gateway.link.isCut = false;
      gateway.resume();
    }
  }
}

/** Runs steps until one says that it was the last. Node settles promises behind each immediate, also behind those of one turn. */
function settledBetween(step: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    let left = 0;
    const play = (): void => {
      try {
        isOver ||= !step();
      } catch (error) {
        isOver = true;
        reject(error);
      }
      left--;
      if (left === 0) {
        if (isOver) {
          resolve();
        } else {
          plan();
        }
      }
    };
    const plan = (): void => {
      left = EVENTS_PER_TURN;
      for (let planned = 0; planned < EVENTS_PER_TURN; planned++) {
        setImmediate(play);
      }
    };
    plan();
  });
}
