/** Looks at one host through the same wire layer that its worker would use. Serves the `probe` command, on the command's own thread. */
import type { HostSettings } from "../../src/config/settings.js";
import { type Failure, isFailure } from "../../src/errors.js";
import type { Clock } from "../../src/timer-wheel.js";
import type { World } from "../world.js";
import { ObservedTls, type TlsSight } from "./observed-tls.js";
import { type Moment, ProbeSession, type Sight } from "./probe-session.js";

/** How long each step took, in milliseconds; what was not reached is missing. */
export interface ProbeTimings {
  dns?: number;
  /** Of a unix socket, too. */
  tcp?: number;
  tls?: number;
  greeting?: number;
  /** The last EHLO, LHLO or CAPABILITY. */
  hello?: number;
}

/** What a probe found at one address. */
export interface ProbeReport extends Sight {
  /** The address that was dialled; missing where the name has none, and for a unix socket. */
  readonly ip?: string;
  readonly tls?: TlsSight;
  readonly timingsMs: ProbeTimings;
  /** Why it came no further. */
  readonly failure?: Failure;
}

/** Probes the host's addresses in turn until one takes a connection, and reports on each. */
export async function probeHost(
  settings: HostSettings,
  hostname: string | undefined,
  world: World,
): Promise<ProbeReport[]> {
  const startMs = world.clock.now();
  const addresses = await new Promise<readonly string[] | Failure>((resolve) =>
    world.resolve(settings.address, resolve),
  );
  const dns = world.clock.now() - startMs;
  if (isFailure(addresses)) {
    return [{ timingsMs: {}, failure: addresses }];
  }
  const reports: ProbeReport[] = [];
  for (const ip of addresses) {
    const report = await probeAddress(settings, hostname, world, ip, dns);
    reports.push(report);
    if (report.timingsMs.tcp !== undefined) {
      break;
    }
  }
  return reports;
}

function probeAddress(
  settings: HostSettings,
  hostname: string | undefined,
  world: World,
  ip: string,
  dns: number,
): Promise<ProbeReport> {
  const tls = new ObservedTls(settings.tls);
  const isUnix = settings.socketPath !== undefined;
  const laps = new Laps(world.clock, settings.tls.implicit, isUnix ? {} : { dns });
  tls.onConnect = () => laps.connected();
  return new Promise((resolve) => {
    let seen: TlsSight | undefined;
    const session: ProbeSession = world.dial(
      { settings, address: ip, withinMs: settings.timeoutMs, tls },
      (wire) =>
        new ProbeSession(wire, settings.protocol, {
          startTls: settings.tls.startTls,
          hostname,
          replyWithinMs: settings.timeouts.commandMs,
          moment(which) {
            laps.passed(which);
            // Looked at while it is open: a closed socket has forgotten.
            seen ??= tls.look();
          },
          ended: (failure) =>
            resolve({
              ...(isUnix ? {} : { ip }),
              ...session.sight,
              ...(seen === undefined ? {} : { tls: seen }),
              timingsMs: laps.timingsMs,
              ...(failure === undefined ? {} : { failure }),
            }),
        }),
    );
  });
}

/** Takes the time between one step of a connection and the next. */
class Laps {
  private lastMs: number;

  constructor(
    private readonly clock: Clock,
    private readonly isImplicit: boolean,
    readonly timingsMs: ProbeTimings,
  ) {
    this.lastMs = clock.now();
  }

  /** TCP stands, and TLS begins on it. */
  connected(): void {
    this.timingsMs.tcp = this.lap();
  }

  passed(moment: Moment): void {
    const ms = this.lap();
    switch (moment) {
      case "connected":
        this.timingsMs[this.isImplicit ? "tls" : "tcp"] = ms;
        break;
      case "greeted":
        this.timingsMs.greeting = ms;
        break;
      case "secured":
        this.timingsMs.tls = ms;
        break;
      case "helloAnswered":
        this.timingsMs.hello = ms;
        break;
    }
  }

  private lap(): number {
    const nowMs = this.clock.now();
    const ms = nowMs - this.lastMs;
    this.lastMs = nowMs;
    return ms;
  }
}
