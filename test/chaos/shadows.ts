/** What must hold of shadows in a run: they are asked, and two servers that know the same never contradict each other. Serves chaos.ts. */
import { setTimeout as pause } from "node:timers/promises";
import type { HostStats, RemoteHosts, RuntimeStats } from "../../src/index.js";
import { onBehalfOf } from "./clients.js";
import { SHADOWS, USERS } from "./hosts.js";

const LOOK_EVERY_MS = 50;
/** Beyond those that the load asks for: no answer of theirs is cached. */
const FIRST_RECIPIENT = 1_000;

/** Asks for one thing after the other, so that no host is busy: where a machine is slow, the load leaves no room for shadows, rightly. */
export async function askShadowed(remotes: RemoteHosts): Promise<void> {
  for (const [number, [username, secret]] of Object.entries(USERS).entries()) {
    const recipient = FIRST_RECIPIENT + number;
    await Promise.allSettled([
      remotes.host("login").authenticate({ username, secret }, onBehalfOf(number)),
      remotes.host("plain").verifyRecipient(`yes${recipient}@chaos.example`, onBehalfOf(recipient)),
    ]);
  }
}

/** Whatever happened to servers that know the same recipients and users: their definite answers are the same. */
export function holdShadows(
  hosts: Readonly<Record<string, HostStats>>,
  breach: (promise: string, what: string) => void,
): void {
  for (const id of Object.keys(SHADOWS)) {
    const kinds = Object.values(hosts[id]?.shadow?.kinds ?? {});
    const isAsked = kinds.some(({ agreed }) => agreed > 0);
    if (!isAsked || kinds.some(({ onlyHere, onlyThere }) => onlyHere + onlyThere > 0)) {
      breach("shadows are asked, and servers that know the same agree", `${id}: ${JSON.stringify(kinds)}`);
    }
  }
}

/** The counters when all is settled: a shadow may still ask when the callers have their answers. */
export async function statsWhenQuiet(remotes: RemoteHosts, mostMs: number): Promise<RuntimeStats> {
  for (let waitedMs = 0; ; waitedMs += LOOK_EVERY_MS) {
    const stats = await remotes.stats();
    const isQuiet = Object.values(stats.hosts).every(({ queued, inFlight }) => queued + inFlight === 0);
    if (isQuiet || waitedMs >= mostMs) {
      return stats;
    }
    await pause(LOOK_EVERY_MS);
  }
}
