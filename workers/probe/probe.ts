/** Looks at one host through the same wire layer that its worker would use. Serves the `probe` command, on the command's own thread. */
import type { HostSettings } from "../../src/config/settings.js";
import { type Failure, isFailure } from "../../src/errors.js";
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
  const timingsMs: ProbeTimings = isUnix ? {} : { dns };
  let lastMs = world.clock.now();
  const lap = () => {
    const nowMs = world.clock.now();
    const ms = nowMs - lastMs;
    lastMs = nowMs;
    return ms;
  };
  const { implicit, startTls } = settings.tls;
  tls.onConnect = () => {
    timingsMs.tcp = lap();
  };
  const moment = (which: Moment) => {
    const ms = lap();
    if (which === "connected") {
      timingsMs[implicit ? "tls" : "tcp"] = ms;
    }
    if (which === "greeted") {
      timingsMs.greeting = ms;
    }
    if (which === "secured") {
      timingsMs.tls = ms;
    }
    if (which === "helloAnswered") {
      timingsMs.hello = ms;
    }
  };
  return new Promise((resolve) => {
    let seen: TlsSight | undefined;
    const session: ProbeSession = world.dial(
      { settings, address: ip, withinMs: settings.timeoutMs, tls },
      (wire) =>
        new ProbeSession(wire, settings.protocol, {
          startTls,
          hostname,
          replyWithinMs: settings.timeouts.commandMs,
          moment(which) {
            moment(which);
            // Looked at while it is open: a closed socket has forgotten.
            seen ??= tls.look();
          },
          ended: (failure) =>
            resolve({
              ...(isUnix ? {} : { ip }),
              ...session.sight,
              ...(seen === undefined ? {} : { tls: seen }),
              timingsMs,
              ...(failure === undefined ? {} : { failure }),
            }),
        }),
    );
  });
}
