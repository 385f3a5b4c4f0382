/**
 * What gateways tell each other of hosts' health: runs the decisions of health-hints.ts against Redis and the clock. Kept by cluster.ts,
 * from the first host on that shares it.
 */
import { createHash } from "node:crypto";
import type { HostSettings } from "../config/settings.js";
import type { HealthHint, HealthNews } from "../messages/health.js";
import { processNow } from "../messages/places.js";
import type { ClusterStats } from "../stats.js";
import { systemClock } from "../timer-wheel.js";
import { HealthHints } from "./health-hints.js";
import {
  decodeClaimReply,
  decodeWord,
  encodeHealthCall,
  HEALTH_SCRIPT,
  type HealthCall,
  healthKey,
} from "./health-script.js";
import { type RedisLink, RedisScript } from "./redis.js";
import { ScriptCalls } from "./script-calls.js";

/** What tells hosts of one id apart that gateways have at different places. */
const PLACE_LETTERS = 8;

export interface SharedHealthOptions {
  /** The cluster's. */
  readonly name: string;
  readonly gateway: string;
  readonly leaseMs: number;
  readonly link: RedisLink;
  /** For the worker of a host; lost where none runs, see {@link SharedHealth.workerStarted}. */
  readonly hint: (hostId: string, hint: HealthHint) => void;
}

export class SharedHealth {
  private readonly hints: HealthHints;
  private readonly calls: ScriptCalls;
  /** Of the key and the channel. */
  private readonly key: string;
  private failed = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: SharedHealthOptions) {
    const { name, gateway, leaseMs, link, hint } = options;
    this.key = healthKey(name);
    this.calls = new ScriptCalls({
      link,
      clock: systemClock,
      script: new RedisScript(HEALTH_SCRIPT),
      probe: { ...this.encode({ verb: "read", fields: [] }), isRight: Array.isArray },
      resting: () => this.lost(),
    });
    const { calls } = this;
    this.hints = new HealthHints(
      { gateway, claimMs: leaseMs },
      {
        get isUsable() {
          return calls.isUsable;
        },
        call: (call) => void this.run(call),
        hint,
      },
    );
    link.listen(this.key, (message) => this.heard([message]));
  }

  /** What others say is heard from now on. */
  listening(): void {
    this.hints.listening();
  }

  /** A host of the configuration, or its new settings. */
  setHost(host: HostSettings): void {
    this.hints.add(host.id, `${host.id}:${placeOf(host)}`);
    this.arm();
  }

  removeHost(hostId: string): void {
    this.hints.remove(hostId);
    this.arm();
  }

  workerStarted(hostId: string): void {
    this.hints.workerStarted(hostId, processNow());
  }

  workerEnded(hostId: string): void {
    this.hints.workerEnded(hostId);
    this.arm();
  }

  found(hostId: string, news: HealthNews): void {
    this.hints.found(hostId, news, processNow());
    this.arm();
  }

  drop(hostId: string): void {
    this.hints.drop(hostId);
    this.arm();
  }

  stats(): NonNullable<ClusterStats["health"]> {
    return { ...this.hints.counts, failed: this.failed };
  }

  close(): void {
    clearTimeout(this.timer);
    this.calls.close();
  }

  private async run(call: HealthCall): Promise<void> {
    const reply = await this.calls.run(this.encode(call));
    if (call.verb === "claim") {
      const claim = decodeClaimReply(reply);
      this.hints.claimed(call.field, claim, processNow());
    }
    if (reply === undefined) {
      this.failed++;
    } else if (call.verb === "read" && Array.isArray(reply)) {
      this.heard(reply);
    }
    this.arm();
  }

  private heard(texts: readonly unknown[]): void {
    for (const text of texts) {
      const word = decodeWord(text);
      if (word !== undefined) {
        this.hints.heard(word, processNow());
      }
    }
    this.arm();
  }

  private lost(): void {
    this.hints.lost(processNow());
    this.arm();
  }

  private encode(call: HealthCall): { keys: string[]; args: string[] } {
    return { keys: [this.key], args: encodeHealthCall(call, this.options.gateway, this.key) };
  }

  private arm(): void {
    clearTimeout(this.timer);
    const { dueMs } = this.hints;
    if (dueMs !== Number.POSITIVE_INFINITY) {
      this.timer = setTimeout(() => this.tick(), Math.max(0, Math.ceil(dueMs - processNow())));
      this.timer.unref();
    }
  }

  private tick(): void {
    this.hints.tick(processNow());
    this.arm();
  }
}

/** A few letters of a digest: gateways may be under way from one address to another. */
function placeOf({ protocol, address, port, socketPath, endpoints }: HostSettings): string {
  const places = endpoints?.map((endpoint) => [endpoint.address, endpoint.port, endpoint.socketPath]) ?? [];
  const text = JSON.stringify([protocol, address, port, socketPath, places]);
  return createHash("sha256").update(text).digest("base64url").slice(0, PLACE_LETTERS);
}
