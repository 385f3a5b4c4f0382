/** On whose behalf a request is made, as far as Haraka knows. Serves haraka.ts. */
import type { Client, RequestOptions } from "../api.js";
import { clientFrom } from "../request/client.js";

/** One end of a connection. Haraka has null, "Unknown" or "NXDOMAIN" for what it does not know. */
interface HarakaEnd {
  readonly ip?: string | null;
  readonly port?: number | null;
  readonly host?: string | null;
}

/** What of Haraka's connection tells of the client. */
export interface ClientConnection {
  readonly uuid?: string;
  readonly remote?: HarakaEnd;
  readonly local?: HarakaEnd;
  readonly hello?: { readonly host?: string | null; readonly verb?: string | null };
  readonly notes: Readonly<Record<string, unknown>>;
}

const PROTOCOLS: Readonly<Record<string, Client["protocol"]>> = { HELO: "SMTP", EHLO: "ESMTP", LHLO: "LMTP" };

/** The option `client`; nothing where the client's address is not known. */
export function clientOf({ remote, local, hello, notes, uuid }: ClientConnection): Pick<RequestOptions, "client"> {
  const { auth_user: user } = notes;
  const localAddress = local?.ip ?? undefined;
  const client = clientFrom({
    address: remote?.ip ?? undefined,
    port: remote?.port ?? undefined,
    name: remote?.host?.includes(".") === true ? remote.host : undefined,
    helo: hello?.host ?? undefined,
    login: typeof user === "string" ? user : undefined,
    protocol: PROTOCOLS[hello?.verb ?? ""],
    session: uuid,
    local: localAddress === undefined ? undefined : { address: localAddress, ...portOf(local?.port) },
  });
  return client === undefined ? {} : { client };
}

function portOf(port: number | null | undefined): { port?: number } {
  return port === undefined || port === null ? {} : { port };
}
