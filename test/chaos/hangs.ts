/** Stops all servers in the middle of the load and lets them go on: how soon the library knows. Called by `chaos.ts`, between two other faults. */
import { setTimeout as pause } from "node:timers/promises";
import type { HostStats, RemoteHosts } from "../../src/index.js";
import { HOSTS } from "./hosts.js";
import type { Servers } from "./servers.js";

/** A hung host is down within that, and up again so soon after it went on. */
const NOTICED_MS = 15_000;
const BACK_MS = 5_000;

/** Resolves when all of them serve again, with what was not as promised, and why. */
export async function hangAll(remotes: RemoteHosts, servers: Servers): Promise<readonly (readonly [string, string])[]> {
  await Promise.all(HOSTS.map(({ id }) => servers.mischief(id, { kind: "hang", forMs: 2 * NOTICED_MS })));
  const lively = await within(NOTICED_MS, remotes, "down");
  await servers.calm();
  const absent = await within(BACK_MS, remotes, "up");
  return [
    ...(lively === "" ? [] : [["a hung host is down within 15 s", lively] as const]),
    ...(absent === "" ? [] : [["a host that hung is served again within 5 s", absent] as const]),
  ];
}

/** Waits until all hosts have the state, and names those that have not after that time. */
async function within(timeMs: number, remotes: RemoteHosts, state: HostStats["state"]): Promise<string> {
  for (const untilMs = performance.now() + timeMs; ; await pause(50)) {
    const { hosts } = await remotes.stats();
    const others = Object.values(hosts).filter((host) => host.state !== state);
    if (others.length === 0 || performance.now() > untilMs) {
      return others.map((host) => `${host.id} is ${host.state}`).join(", ");
    }
  }
}
