/** The {@link World} of one simulated worker thread: it lives until its actor is closed, or until it is made to crash. */
import type { ServiceSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import { type Clock, TimerWheel } from "../../src/timer-wheel.js";
import type { Dial } from "../../workers/wire/dial.js";
import type { SrvAnswer } from "../../workers/wire/dns/srv-message.js";
import type { Session, Wire } from "../../workers/wire/session.js";
import type { World } from "../../workers/world.js";
import { Link } from "./link.js";
import { rollLink } from "./peer-faults.js";
import type { Random } from "./random.js";
import type { Scenario } from "./scenario.js";
import type { Servers } from "./servers.js";
import type { Trace } from "./trace.js";
import type { VirtualTime } from "./virtual-time.js";

export class SimWorld implements World {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** Callbacks that the actor has set on the clock and that are still to come, those of the wheel not counted. */
  private pendingCallbacks = 0;
  private isAlive = true;
  private readonly links: Link[] = [];

  constructor(
    private readonly time: VirtualTime,
    private readonly chance: Random,
    private readonly scenario: Scenario,
    private readonly servers: Servers,
    private readonly trace: Trace,
  ) {
    const now = (): number => time.nowMs;
    this.clock = { now, after: (ms, callback) => this.after(ms, callback) };
    // An empty wheel may have its next look still to come; what matters is that no timer is left on it.
    this.wheel = new TimerWheel({ now, after: (ms, callback) => time.after(ms, () => this.isAlive && callback()) });
  }

  readonly date = (): number => this.time.nowMs;
  readonly random = (): number => this.chance.next();
  readonly randomBytes = (count: number): Uint8Array => this.chance.bytes(count);

  resolve(name: string, done: (result: readonly string[] | Failure) => void): void {
    const { faults } = this.scenario;
    const isSlow = this.chance.chance(faults.unresolved);
    const isLost = this.chance.chance(faults.unresolved);
    this.time.after(isSlow ? this.chance.below(6_000) : this.chance.below(3), () => {
      if (!this.isAlive) {
        return;
      }
      if (isLost) {
        done(this.chance.chance(0.3) ? [] : { code: "DNS_FAILED", message: `The name ${name} is unknown.` });
      } else {
        done(this.servers.addressesOf(name));
      }
    });
  }

  findService(_service: ServiceSettings, _withinMs: number, done: (result: SrvAnswer | Failure) => void): void {
    const { faults } = this.scenario;
    const isLost = this.chance.chance(faults.unresolved);
    this.time.after(this.chance.below(isLost ? 6_000 : 30), () => {
      if (!this.isAlive) {
        return;
      }
      done(isLost ? { code: "DNS_FAILED", message: "No DNS server replied." } : this.servers.findService());
    });
  }

  dial<S extends Session>(dial: Dial, open: (wire: Wire) => S): S {
    const faults = rollLink(this.chance, this.scenario);
    const link = new Link(dial, this.time, this.wheel, this.chance, faults, (accepted) =>
      this.servers.accept(dial.address, accepted),
    );
    this.trace.add("dial", `${dial.address} ${JSON.stringify(faults)}`);
    const session = open(link);
    link.session = session;
    this.links.push(link);
    return session;
  }

  /** Timers that are set and not due. */
  get pendingTimers(): number {
    return (this.wheel as unknown as { count: number }).count + this.pendingCallbacks;
  }

  /** Nothing that was set will happen; the kernel closes the sockets. */
  crash(): void {
    this.isAlive = false;
    for (const link of this.links) {
      link.crash();
    }
  }

  private after(ms: number, callback: () => void): () => void {
    this.pendingCallbacks++;
    let isPending = true;
    const done = (): boolean => {
      const wasPending = isPending;
      isPending = false;
      if (wasPending) {
        this.pendingCallbacks--;
      }
      return wasPending;
    };
    const cancel = this.time.after(ms, () => {
      if (done() && this.isAlive) {
        callback();
      }
    });
    return () => {
      if (done()) {
        cancel();
      }
    };
  }
}
