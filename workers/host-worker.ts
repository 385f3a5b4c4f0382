/**
 * The entry of a worker thread, started as a piscina task by src/runtime/supervisor.ts: one actor for each of the thread's
 * remote hosts, requests through mailbox.ts, control calls through comlink.
 */
import { expose } from "comlink";
import type { NumberedHost, WorkerControl, WorkerStart } from "../src/messages/control.js";
import type { HostActor } from "../src/messages/host-actor.js";
import { processNow } from "../src/messages/places.js";
import type { Clock } from "../src/timer-wheel.js";
import { Actor, type ActorOptions } from "./host/actor.js";
import { systemCacheFiles } from "./host/cache-files.js";
import type { RequestsBySlot } from "./host/lookups.js";
import { WorkerMailbox } from "./mailbox.js";
import { systemWorld } from "./world.js";

/** What an actor is made of, beside the world around it. */
export type ActorParts = Omit<ActorOptions, "world" | "bySlot" | "storage">;

/** The task: the real actors, in the real world where nobody says otherwise. */
export default function startHostWorker(start: WorkerStart, world = systemWorld()): Promise<never> | undefined {
  const bySlot: RequestsBySlot = [];
  const storage = { files: systemCacheFiles, unixMs: Date.now };
  return runHostWorker(start, world.clock, (parts) => new Actor({ ...parts, world, bySlot, storage }));
}

/**
 * Runs a worker thread with the given kind of actor. The task that it is never ends, which keeps the process alive;
 * where the process may end although the hosts were not closed, the task ends at once and the thread goes on.
 */
export function runHostWorker(
  start: WorkerStart,
  clock: Clock,
  createActor: (parts: ActorParts) => HostActor,
): Promise<never> | undefined {
  const mailbox = new WorkerMailbox(start, clock);
  expose(controlOf(mailbox, clock, createActor), start.control);
  return start.isEndless ? new Promise(() => {}) : undefined;
}

/** What the gateway's thread may call. */
function controlOf(mailbox: WorkerMailbox, clock: Clock, createActor: (parts: ActorParts) => HostActor): WorkerControl {
  /** The monotonic time of the process, on the clock of this thread's world. */
  const toLocal = (processMs: number) => clock.now() + processMs - processNow();
  const control: WorkerControl = {
    startHosts(hosts, hostname) {
      for (const start of hosts) {
        startHost(start, hostname, mailbox, createActor);
      }
    },
    reconfigure(host, settings) {
      mailbox.actor(host)?.reconfigure(settings);
    },
    async closeHost(host, drainMs) {
      mailbox.catchUp();
      await mailbox.actor(host)?.close(drainMs);
      mailbox.removeActor(host);
      mailbox.flush();
    },
    async close(drainMs) {
      await Promise.all(mailbox.entries().map(([host]) => control.closeHost(host, drainMs)));
    },
    stats() {
      mailbox.catchUp();
      return mailbox.entries().map(([host, actor]) => ({ host, stats: actor.stats() }));
    },
    grantPlaces(host, of, grant) {
      mailbox.actor(host)?.grantPlaces(of, { ...grant, untilMs: toLocal(grant.untilMs) });
    },
    hint(host, hint) {
      mailbox.actor(host)?.hint?.("untilMs" in hint ? { ...hint, untilMs: toLocal(hint.untilMs) } : hint);
    },
    giveToken(host, grant) {
      mailbox.actor(host)?.giveToken?.(grant);
    },
    forget(host, filter) {
      // An answer that came before this is not to be known behind it.
      mailbox.catchUp();
      return mailbox.actor(host)?.forget(filter) ?? 0;
    },
    operate(host, order) {
      mailbox.catchUp();
      mailbox.actor(host)?.operate?.(order);
      mailbox.flush();
    },
    connections: (host) => mailbox.actor(host)?.connections?.() ?? [],
    startTrace(host, order) {
      mailbox.actor(host)?.startTrace?.(order);
    },
    fetchTrace: (host) => mailbox.actor(host)?.fetchTrace?.() ?? { lines: [], isOver: true },
    setLogLevel(level) {
      mailbox.logLevel = level;
    },
    ping() {},
  };
  return control;
}

function startHost(
  { host, settings, former, isPaused }: NumberedHost,
  hostname: string | undefined,
  mailbox: WorkerMailbox,
  createActor: (parts: ActorParts) => HostActor,
): void {
  const predecessor = former === undefined ? undefined : mailbox.actor(former);
  const ends = { answers: mailbox, phases: mailbox };
  const actor = createActor({ settings, hostname, hostIndex: host, ...ends, predecessor, marks: mailbox.marks });
  mailbox.addActor(host, actor);
  if (isPaused === true) {
    actor.operate?.("pause");
  }
}
