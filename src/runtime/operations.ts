/**
 * What an operator may do with a host while it runs. Each change is an event with who and when. Called by remote-hosts.ts, which
 * checks arguments; carried out by the host's actor, through its supervisor.
 */
import type { ConnectionSight, TraceLine } from "../messages/operating.js";
import { systemClock } from "../timer-wheel.js";
import type { WriteLog } from "./log.js";
import type { Route } from "./router.js";

/** Who asks for it, for the event. Default: `the gateway`. */
export interface By {
  by?: string;
}

/** Options of {@link RemoteHost.pause}. */
export interface PauseOptions extends By {
  /** Whether requests wait meanwhile, or are refused with HOST_UNAVAILABLE. Default `wait`. */
  requests?: "wait" | "refuse";
  /** Milliseconds after which it goes on by itself. Default: not before `resume()`. */
  forMs?: number;
}

/** Options of {@link RemoteHost.trace}. */
export interface TraceOptions extends By {
  /** Only transactions and lookups that name this recipient. */
  recipient?: string;
  /** Ends after so many lines. Default 200, at most 10,000. */
  lines?: number;
  /** Ends after so long, in milliseconds. Default 60,000, at most an hour. */
  forMs?: number;
  signal?: AbortSignal;
}

const DEFAULT_LINES = 200;
const DEFAULT_TRACE_MS = 60_000;
/** How often lines are fetched. */
const FETCH_EVERY_MS = 100;
const GATEWAY = "the gateway";

export class Operations {
  /** Those that end pauses. */
  private readonly timers = new Map<Route, () => void>();

  /** @param forgetHealth what gateways told each other of a host holds for nobody any more */
  constructor(
    private readonly log: WriteLog,
    private readonly forgetHealth: (hostId: string) => void,
  ) {}

  async pause(route: Route, { requests = "wait", forMs, by = GATEWAY }: PauseOptions): Promise<void> {
    this.timers.get(route)?.();
    this.timers.delete(route);
    route.state = requests === "wait" ? "holding" : "refusing";
    const { supervisor, load } = route.placement;
    await supervisor.pause(load.host, true);
    const until = forMs === undefined ? "until it is resumed" : `for ${Math.round(forMs / 1000)} s`;
    const fate = requests === "wait" ? "wait" : "are refused";
    const fields = { by, requests, forMs };
    this.log("warn", "host-paused", route.id, `${by} paused it ${until}; requests ${fate}.`, fields);
    if (forMs !== undefined) {
      this.timers.set(
        route,
        systemClock.after(forMs, () => void this.resume(route, "the end of the pause")),
      );
    }
  }

  async resume(route: Route, by = GATEWAY): Promise<void> {
    this.timers.get(route)?.();
    this.timers.delete(route);
    if (!route.isPaused) {
      return;
    }
    route.state = "open";
    const { supervisor, load } = route.placement;
    await supervisor.pause(load.host, false);
    this.log("warn", "host-resumed", route.id, `${by} resumed it.`, { by });
  }

  async reconnect(route: Route, by = GATEWAY): Promise<void> {
    const { supervisor, load } = route.placement;
    this.forgetHealth(route.id);
    await supervisor.ask((control) => control.operate(load.host, "reconnect"), undefined);
    this.log("warn", "host-reconnected", route.id, `${by} had its connections replaced.`, { by });
  }

  async forget(route: Route, filter: { recipient?: string; username?: string }, by = GATEWAY): Promise<number> {
    const count = await route.forget(filter);
    const what = filter.recipient === undefined && filter.username === undefined ? "all cached answers" : "answers";
    this.log("info", "host-forgot", route.id, `${by} dropped ${what}: ${count}.`, { by, count });
    return count;
  }

  connections(route: Route): Promise<ConnectionSight[]> {
    const { supervisor, load } = route.placement;
    return supervisor.ask((control) => control.connections(load.host), []);
  }

  async *trace(route: Route, options: TraceOptions): AsyncGenerator<TraceLine, void> {
    const { recipient, lines = DEFAULT_LINES, forMs = DEFAULT_TRACE_MS, by = GATEWAY, signal } = options;
    const { supervisor, load } = route.placement;
    const order = { protocol: route.settings.protocol, recipient, mostLines: lines, forMs };
    const over = { lines: [], isOver: true };
    await supervisor.awaken();
    await supervisor.ask((control) => control.startTrace(load.host, order), undefined);
    this.log("warn", "host-traced", route.id, `${by} began a trace of at most ${lines} lines.`, { by, lines });
    for (let isOver = false; !isOver && signal?.aborted !== true; ) {
      const part = await supervisor.ask((control) => control.fetchTrace(load.host), over);
      yield* part.lines;
      isOver = part.isOver;
      if (!isOver && part.lines.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, FETCH_EVERY_MS));
      }
    }
  }

  /** Nothing goes on by itself any more. */
  stop(): void {
    for (const cancel of this.timers.values()) {
      cancel();
    }
    this.timers.clear();
  }
}
