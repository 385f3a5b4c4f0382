/** Looks at a host at each of its addresses, one after the other, those included that SRV records name. Serves the `probe` and `doctor` commands. */
import type { HostSettings } from "../../src/config/settings.js";
import { isFailure } from "../../src/errors.js";
import { findHosts } from "../pool/endpoint-settings.js";
import type { World } from "../world.js";
import { type ProbeReport, probeHost } from "./probe.js";

export interface ProbedPlace {
  /** As if it had this address alone; as it is where none was found. */
  readonly host: HostSettings;
  readonly reports: readonly ProbeReport[];
}

export async function* probePlaces(
  host: HostSettings,
  hostname: string | undefined,
  world: World,
): AsyncGenerator<ProbedPlace, undefined> {
  const places = await findHosts(host, world);
  if (isFailure(places)) {
    yield { host, reports: [{ timingsMs: {}, failure: places }] };
    return;
  }
  for (const place of places) {
    yield { host: place, reports: await probeHost(place, hostname, world) };
  }
}
