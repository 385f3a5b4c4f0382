/** How fast a client is: a few callers that wait for nothing else. Serves chaos.ts, which compares before with after, and an old client with a new one. */
import type { RemoteHosts } from "../../src/index.js";
import type { Load } from "./load.js";

/** Two clients that are compared take turns, so that what else the machine does meets both alike. */
const SPRINT_MS = 400;
const SPRINTS = 4;
const SPRINTERS = 24;

/** What the sprints of one client take together. */
export const SPEED_MS = SPRINTS * SPRINT_MS;

/** The speeds of two clients, in requests a second. */
export interface Race {
  readonly own: number;
  readonly other: number;
  /** The best quotient of all rounds: whoever is slowed down by something that lasts is slower in each of them. */
  readonly best: number;
  /** For people. */
  readonly rounds: string;
}

/** Requests a second, on average. */
export async function speedOf(load: Load, remotes: RemoteHosts): Promise<number> {
  // The first round warms the compiler.
  await sprint(load, remotes);
  let sum = 0;
  for (let round = 0; round < SPRINTS; round++) {
    sum += await sprint(load, remotes);
  }
  return sum / SPRINTS;
}

export async function raceOf(load: Load, own: RemoteHosts, other: RemoteHosts): Promise<Race> {
  const speeds: [own: number, other: number][] = [];
  for (let round = 0; round <= SPRINTS; round++) {
    // Each goes first as often as the other.
    const isFirst = round % 2 === 0;
    const before = isFirst ? await sprint(load, own) : 0;
    const others = await sprint(load, other);
    const speed: [number, number] = [isFirst ? before : await sprint(load, own), others];
    // The first round makes connections and warms the compiler.
    if (round > 0) {
      speeds.push(speed);
    }
  }
  const mean = (which: 0 | 1): number => speeds.reduce((total, speed) => total + speed[which], 0) / SPRINTS;
  return {
    own: mean(0),
    other: mean(1),
    best: Math.max(...speeds.map(([mine, its]) => mine / its)),
    rounds: speeds.map((pair) => pair.map(Math.round).join(" of ")).join(", "),
  };
}

/** As many requests as a few callers can make: how many a second. */
async function sprint(load: Load, remotes: RemoteHosts): Promise<number> {
  const { host } = load;
  load.host = (id) => remotes.host(id);
  const startMs = performance.now();
  let done = 0;
  const isOver = (): boolean => performance.now() - startMs > SPRINT_MS;
  const run = async (number: number): Promise<void> => {
    while (!isOver()) {
      await (number % 3 === 0 ? load.verify("plain") : load.relay(number % 3 === 1 ? "plain" : "store", 1));
      done++;
    }
  };
  await Promise.all(Array.from({ length: SPRINTERS }, (_, number) => run(number)));
  load.host = host;
  return (done * 1000) / (performance.now() - startMs);
}
