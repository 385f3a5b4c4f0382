/** The demo's relaying: every letter to one host, come what may. It holds relaypost to its word on what may be sent again. */
import { setTimeout as pause } from "node:timers/promises";
import type { RelayResult } from "../../api.js";
import { RelaypostError } from "../../errors.js";
import type { RemoteHost } from "../../remote-hosts.js";
import type { Delivery, Ledger } from "./ledger.js";
import type { Letter } from "./mailbox.js";
import type { HostTally } from "./tally.js";

/** Give a host that is down this long. */
const PATIENCE_MS = 20_000;

/** One host and what is known about it from both sides. */
export interface Party {
  readonly host: RemoteHost;
  readonly tally: HostTally;
  readonly ledger: Ledger;
}

/** Relays all letters, so many at a time. `settled` is called after each. */
export async function relayLetters(
  party: Party,
  letters: readonly Letter[],
  atATime: number,
  signal: AbortSignal,
  settled: () => void,
): Promise<void> {
  const waiting = letters.values();
  const lane = async () => {
    for (const letter of waiting) {
      await relayLetter(party, letter, signal);
      settled();
    }
  };
  await Promise.all(Array.from({ length: atATime }, lane));
}

/** Until every recipient has a verdict: what was rejected is sent again at once, what is uncertain only after a look into the server's ledger. */
async function relayLetter({ host, tally, ledger }: Party, letter: Letter, signal: AbortSignal): Promise<void> {
  const giveUpMs = performance.now() + PATIENCE_MS;
  for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 2, 500)) {
    const result = await attempt({ host, tally, ledger }, letter, signal);
    if (result !== undefined) {
      const isUncertain = result.recipients.some(({ status }) => status === "uncertain");
      if (!isUncertain) {
        return count(tally, result);
      }
      tally.uncertain++;
      const delivery = ledger.find(letter.digest);
      if (delivery !== undefined) {
        tally.arrived++;
        return count(tally, reconciled(result, delivery));
      }
    }
    if (performance.now() > giveUpMs) {
      throw new Error(`${host.id}: ${letter.name} could not be relayed: ${tally.lastRejection}`);
    }
    await pause(pauseMs, undefined, { signal });
  }
}

async function attempt({ host, tally }: Party, letter: Letter, signal: AbortSignal): Promise<RelayResult | undefined> {
  const startMs = performance.now();
  try {
    return await host.relay(letter.envelope, letter.content, { signal, timeoutMs: PATIENCE_MS });
  } catch (error) {
    if (!(error instanceof RelaypostError) || !error.retryable) {
      throw error;
    }
    tally.rejected++;
    tally.lastRejection = `${error.code}: ${error.message}`;
    return undefined;
  } finally {
    tally.took(performance.now() - startMs);
  }
}

function count(tally: HostTally, { recipients }: RelayResult): void {
  tally.messages++;
  for (const { status } of recipients) {
    tally.recipients[status]++;
  }
}

/** The uncertain recipients, as the server had them. */
function reconciled(result: RelayResult, { recipients }: Delivery): RelayResult {
  return {
    ...result,
    recipients: result.recipients.map((each) =>
      each.status === "uncertain" ? { ...each, status: recipients.get(each.address) ?? "uncertain" } : each,
    ),
  };
}
