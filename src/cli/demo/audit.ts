/** The demo's last word: relaypost's reports and statistics against the ledgers of the servers. */
import type { RecipientResult } from "../../api.js";
import { isLoginOnly } from "../../messages/protocols.js";
import type { HostStats } from "../../stats.js";
import type { Letter } from "./mailbox.js";
import type { Party } from "./relaying.js";

const STATUSES = ["delivered", "refused", "deferred", "uncertain"] as const satisfies RecipientResult["status"][];

/** Everything that does not agree. Empty is what the demo is for. */
export function audit({ host, tally, ledger }: Party, stats: HostStats, letters: readonly Letter[]): string[] {
  const wrong: string[] = [];
  const compare = (what: string, reported: number, recorded: number) => {
    if (reported !== recorded) {
      wrong.push(`${host.id}: ${what}: ${reported} reported, ${recorded} recorded`);
    }
  };
  if (!isLoginOnly(host.protocol)) {
    compare("messages", tally.messages, ledger.deliveries.length);
    for (const status of STATUSES) {
      compare(`recipients ${status}`, tally.recipients[status], ledger.count(status));
    }
    wrong.push(
      ...compareContents(
        host.id,
        ledger.deliveries.map(({ digest }) => digest),
        letters,
      ),
    );
  }
  compare("questions that the host was asked", tally.lookups.remote + tally.unanswered, ledger.asked);
  compare("lookups answered by the host, by its statistics", stats.lookups.remote, tally.lookups.remote);
  compare("lookups that were shared, by its statistics", stats.lookups.shared, tally.lookups.shared);
  compare("lookups from the cache, by its statistics", stats.lookups.cached, tally.lookups.cache);
  // A connection that the crash cut before its first command may never have been known to be ready.
  const connections = connectionCount(stats);
  if (connections > ledger.connections || connections < ledger.connections - ledger.cutUnused) {
    compare("connections", connections, ledger.connections);
  }
  return wrong;
}

/** Connections that came to be ready. */
export function connectionCount({ opened, connectFailures }: HostStats): number {
  return opened - connectFailures;
}

/** Byte for byte: every letter once, and nothing else. */
function compareContents(id: string, received: readonly string[], letters: readonly Letter[]): string[] {
  const times = new Map<string, number>();
  for (const digest of received) {
    times.set(digest, (times.get(digest) ?? 0) + 1);
  }
  const wrong: string[] = [];
  for (const { name, digest } of letters) {
    const copies = times.get(digest) ?? 0;
    if (copies !== 1) {
      wrong.push(`${id}: ${name} arrived ${copies} times, byte for byte`);
    }
    times.delete(digest);
  }
  if (times.size > 0) {
    wrong.push(`${id}: ${times.size} contents arrived that nobody had sent`);
  }
  return wrong;
}
