/**
 * One connection on its way: the name is resolved, the addresses are tried side by side where the world can do that (RFC 8305) and one
 * after the other elsewhere, all within `remote.<id>.timeout`. Made by dialer.ts for a pooled connection.
 */
import type { HostSettings } from "../../src/config/settings.js";
import { type Failure, isFailure } from "../../src/errors.js";
import { Timer } from "../../src/timer-wheel.js";
import type { Dial } from "../wire/dial.js";
import type { PlainSocket } from "../wire/plain-socket.js";
import type { RaceWatcher } from "../wire/race.js";
import type { Session, Wire, WireSight } from "../wire/session.js";
import type { World } from "../world.js";
import type { AddressBook } from "./address-book.js";

/** Failures that another address of the same host would meet too. */
const SAME_EVERYWHERE: ReadonlySet<string> = new Set(["DNS_FAILED", "AUTH_FAILED", "MISSING_AUTH", "MISSING_STARTTLS"]);

export class Attempt<S extends Session> implements RaceWatcher<PlainSocket> {
  /** Missing while the name is resolved and while addresses are raced. */
  session: S | undefined;
  /** Addresses that may be tried, best first; the one that is tried now is taken off. */
  private untried: readonly string[] = [];
  private address = "";
  private race: { cancel(): void } | undefined;
  private endsMs = 0;
  /** Runs while the name is resolved. */
  private readonly limit = new Timer(() => this.resolved(this.unresolved));
  private state: "resolving" | "dialling" | "over" = "resolving";
  private wire: Wire | undefined;

  constructor(
    private readonly world: World,
    private readonly settings: HostSettings,
    private readonly book: AddressBook,
    private readonly shared: Pick<Dial, "tls" | "tap" | "connection" | "preface">,
    private readonly open: (wire: Wire) => S,
    private readonly fail: (failure: Failure) => void,
  ) {}

  /** Where it leads, once it was dialled. */
  get sight(): WireSight | undefined {
    return this.wire?.sight;
  }

  begin(): void {
    const { world, settings } = this;
    this.endsMs = world.clock.now() + settings.timeoutMs;
    world.wheel.set(this.limit, settings.timeoutMs);
    this.book.addresses((result) => this.resolved(result));
  }

  /** Given up while there is no session; a session is ended by its own means. */
  abandon(failure: Failure): void {
    if (this.state === "over" || this.session !== undefined) {
      return;
    }
    this.race?.cancel();
    this.giveUp(failure);
  }

  /** The session stands. */
  succeeded(): void {
    this.state = "over";
    this.book.worked(this.address);
  }

  /** The session ended before it stood. True: another address is tried. */
  sessionFailed(failure: Failure): boolean {
    if (this.state === "over" || SAME_EVERYWHERE.has(failure.code)) {
      return false;
    }
    this.book.failed(this.address);
    if (this.untried.length === 0 || this.world.clock.now() >= this.endsMs) {
      return false;
    }
    this.session = undefined;
    this.tryNext();
    return true;
  }

  // --- what the race tells -------------------------------------------------------------------------------------

  failed(address: string): void {
    this.book.failed(address);
    this.untried = this.untried.filter((other) => other !== address);
  }

  won(address: string, plain: PlainSocket, overtaken: readonly string[]): void {
    this.race = undefined;
    for (const slower of overtaken) {
      this.book.overtaken(slower);
    }
    this.dial(address, plain);
  }

  lost(failure: Failure): void {
    this.race = undefined;
    for (const address of this.untried) {
      this.book.failed(address);
    }
    this.giveUp(failure);
  }

  private get unresolved(): Failure {
    return {
      code: "DNS_FAILED",
      message: `The name ${this.settings.address} was not resolved in time (timeout).`,
    };
  }

  private resolved(result: readonly string[] | Failure): void {
    this.world.wheel.clear(this.limit);
    if (this.state !== "resolving") {
      return;
    }
    if (isFailure(result)) {
      this.giveUp(result);
      return;
    }
    this.state = "dialling";
    this.untried = result;
    this.tryNext();
  }

  private giveUp(failure: Failure): void {
    this.state = "over";
    this.world.wheel.clear(this.limit);
    this.fail(failure);
  }

  private tryNext(): void {
    const { world, settings, untried } = this;
    if (untried.length > 1 && world.reach !== undefined) {
      const withinMs = this.endsMs - world.clock.now();
      this.race = world.reach({ settings, addresses: untried, withinMs }, this);
    } else {
      this.dial(untried[0]!, undefined);
    }
  }

  private dial(address: string, plain: PlainSocket | undefined): void {
    const { world, settings, shared } = this;
    // A black hole may not eat the time of the addresses behind it.
    const withinMs = (this.endsMs - world.clock.now()) / this.untried.length;
    this.address = address;
    this.untried = this.untried.filter((other) => other !== address);
    this.session = world.dial({ settings, address, withinMs, plain, ...shared }, (wire) => {
      this.wire = wire;
      return this.open(wire);
    });
  }
}
