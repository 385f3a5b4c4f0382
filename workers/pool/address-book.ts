/**
 * The addresses of a host's name: resolved once for all who ask at the same time, kept for a while, and those that failed
 * lately or lost a race tried last.
 */
import { isIP } from "node:net";
import { type Failure, isFailure } from "../../src/errors.js";
import type { World } from "../world.js";

/** The resolver of the platform tells no TTL; this is short enough to follow a change of address. */
const KEEP_MS = 30_000;
const AVOID_MS = 60_000;
/** RFC 6555 4.2: what a race has shown is forgotten after about ten minutes. */
const OVERTAKEN_MS = 600_000;

type Done = (result: readonly string[] | Failure) => void;

export class AddressBook {
  private known: readonly string[] = [];
  private knownUntilMs = 0;
  private waiting: Done[] = [];
  private readonly avoidUntilMs = new Map<string, number>();

  constructor(
    private readonly world: World,
    private readonly name: string,
  ) {}

  /** Calls back with at least one address, best first, or with why there is none; maybe before it returns. */
  addresses(done: Done): void {
    const { world } = this;
    if (world.clock.now() < this.knownUntilMs) {
      done(this.sorted(this.known));
      return;
    }
    this.waiting.push(done);
    if (this.waiting.length > 1) {
      return;
    }
    world.resolve(this.name, (result) => {
      const found: readonly string[] | Failure = isFailure(result) || result.length > 0 ? result : noAddress(this.name);
      if (!isFailure(found)) {
        this.known = interleave(found);
        this.knownUntilMs = world.clock.now() + (isIP(this.name) === 0 ? KEEP_MS : Number.POSITIVE_INFINITY);
      }
      for (const waiting of this.waiting.splice(0)) {
        waiting(isFailure(found) ? found : this.sorted(this.known));
      }
    });
  }

  failed(address: string): void {
    this.avoidUntilMs.set(address, this.world.clock.now() + AVOID_MS);
    // A name that moved is found sooner.
    if (isIP(this.name) === 0) {
      this.knownUntilMs = Math.min(this.knownUntilMs, this.world.clock.now() + 1_000);
    }
  }

  /** Another one stood first, though this one was tried before it: next time it is not. */
  overtaken(address: string): void {
    this.avoidUntilMs.set(address, this.world.clock.now() + OVERTAKEN_MS);
  }

  worked(address: string): void {
    this.avoidUntilMs.delete(address);
  }

  private sorted(addresses: readonly string[]): readonly string[] {
    if (this.avoidUntilMs.size === 0) {
      return addresses;
    }
    const nowMs = this.world.clock.now();
    for (const [address, untilMs] of this.avoidUntilMs) {
      if (untilMs <= nowMs) {
        this.avoidUntilMs.delete(address);
      }
    }
    return [...addresses].sort((a, b) => Number(this.avoidUntilMs.has(a)) - Number(this.avoidUntilMs.has(b)));
  }
}

/** RFC 8305 4: the two families take turns, the resolver's first one first. */
function interleave(addresses: readonly string[]): readonly string[] {
  const first = isIP(addresses[0]!);
  const [own, other] = [addresses.filter((one) => isIP(one) === first), addresses.filter((one) => isIP(one) !== first)];
  const turns = Math.max(own.length, other.length);
  return Array.from({ length: turns }, (_, turn) => [
    ...own.slice(turn, turn + 1),
    ...other.slice(turn, turn + 1),
  ]).flat();
}

function noAddress(name: string): Failure {
  return { code: "DNS_FAILED", message: `The name ${name} has no address.` };
}
