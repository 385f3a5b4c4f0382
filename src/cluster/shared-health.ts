/**
 * What gateways tell each other of hosts' health: runs the decisions of health-hints.ts against Redis and the clock. Kept by cluster.ts,
 * from the first host on that shares it.
 */
import { createHash } from "node:crypto";
import type { HostSettings } from "../config/settings.js";
import type { HealthHint, HealthNews } from "../messages/health.js";
import type { ClusterStats } from "../stats.js";
import type { Clock } from "../timer-wheel.js";
import { HealthHints } from "./health-hints.js";
import {
  decodeClaimReply,
  decodeWord,
  encodeHealthCall,
  HEALTH_SCRIPT,
  type HealthCall,
  healthKey,
} from "./health-script.js";
import { RedisScript } from "./redis.js";
import { ScriptCalls, type SharedLink } from "./script-calls.js";

/** What tells hosts of one id apart that gateways have at different places. */
const PLACE_LETTERS = 8;

export interface SharedHealthOptions {
  /** The cluster's. */
  readonly name: string;
  readonly gateway: string;
  readonly leaseMs: number;
  readonly link: SharedLink;
  readonly clock: Clock;
  /** For the worker of a host; lost where none runs, see {@link SharedHealth.workerStarted}. */
  readonly hint: (hostId: string, hint: HealthHint) => void;
}

export class SharedHealth {
  private readonly hints: HealthHints;
  private readonly calls: ScriptCalls;
  /** Of the key and the channel. */
  private readonly key: string;
  private failed = 0;
  private state: "open" | "closed" = "open";
  private stopTimer: (() => void) | undefined;

  constructor(private readonly options: SharedHealthOptions) {
    const { name, gateway, leaseMs, link, clock, hint } = options;
    this.key = healthKey(name);
    this.calls = new ScriptCalls({
      link,
      clock,
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
    this.hints.workerStarted(hostId, this.nowMs);
  }

  workerEnded(hostId: string): void {
    this.hints.workerEnded(hostId);
    this.arm();
  }

  found(hostId: string, news: HealthNews): void {
    this.hints.found(hostId, news, this.nowMs);
    this.arm();
  }

  drop(hostId: string): void {
    this.hints.drop(hostId);
    this.arm();
  }

  stats(): NonNullable<ClusterStats["health"]> {
    return { ...this.hints.counts, failed: this.failed };
  }

  /** Nothing is told or heard from here on: who waits here for others finds out by itself. */
  close(): void {
    this.state = "closed";
    this.stopTimer?.();
    this.calls.close();
    this.hints.lost(this.nowMs);
  }

  /** A time that all threads of the process agree on, as hints have it. */
  private get nowMs(): number {
    const { clock } = this.options;
    return clock.now() + (clock.leadMs ?? 0);
  }

  private async run(call: HealthCall): Promise<void> {
    const reply = await this.calls.run(this.encode(call));
    if (call.verb === "claim") {
      const claim = decodeClaimReply(reply);
      this.hints.claimed(call.field, claim, this.nowMs);
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
        this.hints.heard(word, this.nowMs);
      }
    }
    this.arm();
  }

  private lost(): void {
    this.hints.lost(this.nowMs);
    this.arm();
  }

  private encode(call: HealthCall): { keys: string[]; args: string[] } {
    return { keys: [this.key], args: encodeHealthCall(call, this.options.gateway, this.key) };
  }

  private arm(): void {
    this.stopTimer?.();
    const { dueMs } = this.hints;
    if (this.state === "open" && dueMs !== Number.POSITIVE_INFINITY) {
      const waitMs = Math.max(0, Math.ceil(dueMs - this.nowMs));
      this.stopTimer = this.options.clock.after(waitMs, () => this.tick());
    }
  }

  private tick(): void {
    this.hints.tick(this.nowMs);
    this.arm();
  }
}

/** A few letters of a digest: gateways may be under way from one address to another. */
function placeOf({ protocol, address, port, socketPath, endpoints }: HostSettings): string {
  const places = endpoints?.map((endpoint) => [endpoint.address, endpoint.port, endpoint.socketPath]) ?? [];
  const text = JSON.stringify([protocol, address, port, socketPath, places]);
  return createHash("sha256").update(text).digest("base64url").slice(0, PLACE_LETTERS);
}
