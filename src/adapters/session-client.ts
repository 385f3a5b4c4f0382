/** On whose behalf a request is made: what smtp-server knows of its client. Serves the smtp-server adapter and the gateway of `serve`. */
import type { Client, RequestOptions } from "../api.js";
import { clientFrom } from "../request/client.js";

/** What of smtp-server's session tells of the client. */
export interface ClientSession {
  readonly transmissionType: string;
  readonly id?: string | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  /** What DNS says of the address, in square brackets where it says nothing. */
  readonly clientHostname?: string | undefined;
  readonly hostNameAppearsAs?: string | false | undefined;
  readonly user?: unknown;
}

/** The option `client`; nothing where the client's address is not known. */
export function clientOf(session: ClientSession): Pick<RequestOptions, "client"> {
  const { remoteAddress, remotePort, localAddress, localPort, hostNameAppearsAs, user } = session;
  const client = clientFrom({
    address: remoteAddress,
    port: remotePort,
    name: session.clientHostname,
    helo: hostNameAppearsAs === false ? undefined : hostNameAppearsAs,
    login: typeof user === "string" ? user : undefined,
    protocol: protocolOf(session.transmissionType),
    session: session.id,
    local: localAddress === undefined ? undefined : { address: localAddress, ...portOf(localPort) },
  });
  return client === undefined ? {} : { client };
}

function protocolOf(transmissionType: string): Client["protocol"] {
  if (transmissionType.includes("LMTP")) {
    return "LMTP";
  }
  return transmissionType.includes("ESMTP") ? "ESMTP" : "SMTP";
}

function portOf(port: number | undefined): { port?: number } {
  return port === undefined ? {} : { port };
}
