/** The settings of a host with several addresses, as they are at each of them. Serves endpoint.ts, and commands that examine hosts. */
import type { EndpointSettings, HostSettings } from "../../src/config/settings.js";

/** As if the host had this address alone. */
export function settingsAt(host: HostSettings, endpoint: EndpointSettings): HostSettings {
  const { socketPath: _socket, endpoints: _all, concurrencyPerAddress: _most, ...others } = host;
  const { address, port, socketPath, serverName } = endpoint;
  const socket = socketPath === undefined ? {} : { socketPath };
  return { ...others, address, port, ...socket, tls: { ...host.tls, serverName } };
}

/** A host for each address. */
export function hostsAt(host: HostSettings): HostSettings[] {
  return host.endpoints === undefined ? [host] : host.endpoints.map((endpoint) => settingsAt(host, endpoint));
}
