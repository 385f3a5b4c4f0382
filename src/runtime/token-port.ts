/**
 * Between the workers, whose connections log in by access tokens, and the sources of these. Serves supervisor.ts; opened and closed by
 * fleet.ts as the configuration says. Without an `auth.oauth2` nothing of it is loaded.
 */
import { isDeepStrictEqual } from "node:util";
import type { Settings } from "../config/settings.js";
import type { Clock } from "../timer-wheel.js";
import type { GiveToken, TokenSource } from "../tokens/token-source.js";
import type { Log } from "./log.js";

export class TokenPort {
  /** By the hosts' ids. That of a removed host stays until the host has finished. */
  private readonly sources = new Map<string, TokenSource>();

  constructor(
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** Follows the settings. A source whose settings are the same goes on. */
  async use({ hosts }: Settings): Promise<void> {
    for (const { id, oauth2 } of hosts.values()) {
      const former = this.sources.get(id);
      if (isDeepStrictEqual(former?.settings, oauth2)) {
        continue;
      }
      this.removeHost(id);
      if (oauth2 !== undefined) {
        const { TokenSource } = await import("../tokens/token-source.js");
        const log = this.logOf(id);
        this.sources.set(id, new TokenSource(id, oauth2, { clock: this.clock, random: Math.random, log }, former));
      }
    }
  }

  /** A worker wants a token for a host; see {@link TokenSource.wanted}. */
  wanted(hostId: string, refused: number, give: GiveToken): void {
    const source = this.sources.get(hostId);
    if (source === undefined) {
      const message = `remote.${hostId}.auth.oauth2 is not configured any more.`;
      give({ refused, outcome: { code: "TOKEN_FAILED", message } });
    } else {
      source.wanted(refused, give);
    }
  }

  /** No connection to the host will be opened. */
  removeHost(hostId: string): void {
    this.sources.get(hostId)?.close();
    this.sources.delete(hostId);
  }

  close(): void {
    for (const hostId of [...this.sources.keys()]) {
      this.removeHost(hostId);
    }
  }

  private logOf(hostId: string): ConstructorParameters<typeof TokenSource>[2]["log"] {
    return (level, event, message, fields) => this.log.write(level, event, hostId, message, fields);
  }
}
