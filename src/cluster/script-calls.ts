/**
 * Calls of one script that nobody waits for in vain: one that fails is the last one until Redis has answered a probe. Serves
 * shared-answers.ts and shared-health.ts.
 */
import type { Clock } from "../timer-wheel.js";
import type { RedisScript } from "./redis.js";

const FIRST_PROBE_MS = 250;
const MOST_PROBE_MS = 5_000;

/** What a call has beside its script. */
export interface ScriptCall {
  readonly keys: readonly string[];
  readonly args: readonly string[];
}

/** What is needed of `RedisLink`. */
export interface ScriptLink {
  readonly isReady: boolean;
  run(script: RedisScript, keys: readonly string[], args: readonly string[], waitedMs?: number): Promise<unknown>;
}

/** What whoever also hears what others publish needs of it. */
export interface SharedLink extends ScriptLink {
  listen(channel: string, listener: (message: string) => void): void;
}

/** What whoever also reads without a script needs of it. */
export interface ReadingLink extends SharedLink {
  commands(key: string, all: readonly string[][]): Promise<unknown[]>;
}

export interface ScriptCallsOptions {
  readonly link: ScriptLink;
  readonly clock: Clock;
  readonly script: RedisScript;
  /** A call that shows whether Redis answers, and changes nothing that matters. */
  readonly probe: ScriptCall & { readonly isRight: (reply: unknown) => boolean };
  /** A call failed: Redis is not asked for a while. */
  readonly resting: () => void;
  /** Redis answers again. */
  readonly rested?: () => void;
}

export class ScriptCalls {
  private state: "open" | "resting" | "closed" = "open";
  private probes = 0;
  private stopProbe: (() => void) | undefined;

  constructor(private readonly options: ScriptCallsOptions) {}

  /** Redis may be asked. */
  get isUsable(): boolean {
    return this.state === "open" && this.options.link.isReady;
  }

  /**
   * `undefined`: it failed, or took longer than `cluster.timeout`.
   *
   * @param waitedMs see {@link RedisLink.run}
   */
  run({ keys, args }: ScriptCall, waitedMs = 0): Promise<unknown> {
    const { link, script } = this.options;
    return link.run(script, keys, args, waitedMs).catch(this.failed);
  }

  /** Redis is left alone until it has answered a probe. */
  rest(): void {
    if (this.state !== "open") {
      return;
    }
    this.state = "resting";
    const waitMs = Math.min(FIRST_PROBE_MS * 2 ** this.probes++, MOST_PROBE_MS);
    this.stopProbe = this.options.clock.after(waitMs, () => void this.tryAgain());
    this.options.resting();
  }

  close(): void {
    this.state = "closed";
    this.stopProbe?.();
  }

  private readonly failed = (): void => this.rest();

  private async tryAgain(): Promise<void> {
    const { link, script, probe } = this.options;
    let isAnswered = false;
    try {
      isAnswered = probe.isRight(await link.run(script, probe.keys, probe.args));
    } catch {}
    if (this.isClosed) {
      return;
    }
    this.state = "open";
    if (isAnswered) {
      this.probes = 0;
      this.options.rested?.();
    } else {
      this.rest();
    }
  }

  private get isClosed(): boolean {
    return this.state === "closed";
  }
}
