/** The settings of a host with several addresses, as they are at each of them. Serves endpoint.ts, and commands that examine hosts. */
import type { EndpointSettings, HostSettings } from "../../src/config/settings.js";
import { type Failure, isFailure } from "../../src/errors.js";
import type { World } from "../world.js";
import { endpointsOf } from "./srv-endpoints.js";

/** As if the host had this address alone. */
export function settingsAt(host: HostSettings, endpoint: EndpointSettings): HostSettings {
  const { socketPath: _socket, endpoints: _all, service: _service, concurrencyPerAddress: _most, ...others } = host;
  const { address, port, socketPath, serverName } = endpoint;
  const socket = socketPath === undefined ? {} : { socketPath };
  return { ...others, address, port, ...socket, tls: { ...host.tls, serverName } };
}

/** A host for each address; SRV records are asked for. */
export async function findHosts(host: HostSettings, world: World): Promise<HostSettings[] | Failure> {
  const { endpoints, service } = host;
  if (service === undefined) {
    return endpoints === undefined ? [host] : endpoints.map((endpoint) => settingsAt(host, endpoint));
  }
  const answer = await new Promise<Parameters<Parameters<World["findService"]>[2]>[0]>((resolve) =>
    world.findService(service, host.timeoutMs, resolve),
  );
  const places = isFailure(answer) ? answer : endpointsOf(answer.records, host);
  return isFailure(places) ? places : places.endpoints.map((endpoint) => settingsAt(host, endpoint));
}
