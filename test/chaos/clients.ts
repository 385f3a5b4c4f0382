/**
 * Whose a request of a run is: it follows from the number in its addresses, so that the servers know what they have to be told. Serves
 * load.ts, which names clients, and house.ts, which holds what it hears against it.
 */
import type { Client, RequestOptions } from "../../src/index.js";
import type { LedgerConnection, LedgerTransaction, ScriptedPeer } from "../../src/testing/index.js";
import { ACCOUNT, type ChaosHost } from "./hosts.js";

/** Nobody, who asks for the gateway itself; one of whom everything is known; and two of whom little is. */
const CLIENTS: readonly (Client | undefined)[] = [
  undefined,
  {
    address: "192.0.2.1",
    port: 4001,
    name: "one.chaos.example",
    helo: "one=first",
    login: "someone",
    protocol: "ESMTP",
    session: "session-1",
    local: { address: "198.51.100.1", port: 25 },
  },
  { address: "192.0.2.2", port: 4002 },
  { address: "2001:db8::3", name: "three.chaos.example" },
];
/** Of the PROXY protocol's version 2, up to the length of what follows (HAProxy's proxy-protocol.txt 2.2). */
const FIXED_OCTETS = 16;
const PROXY = 0x21;
const TCP_OVER_IPV4 = 0x11;

/** What a request about `number` says of its client. */
export function onBehalfOf(number: number): Pick<RequestOptions, "client"> {
  const client = clientOf(number);
  return client === undefined ? {} : { client };
}

function clientOf(number: number): Client | undefined {
  return CLIENTS[number % CLIENTS.length];
}

/** Reads the header in front of everything: the client's address; undefined: LOCAL. */
export async function readProxied(peer: ScriptedPeer): Promise<string | undefined> {
  const fixed = await peer.read(FIXED_OCTETS);
  const rest = await peer.read(fixed.readUInt16BE(14));
  if (fixed[12] !== PROXY) {
    return undefined;
  }
  return fixed[13] === TCP_OVER_IPV4 ? rest.subarray(0, 4).join(".") : writeIPv6(rest.subarray(0, 16));
}

/** As CLIENTS writes it. */
function writeIPv6(octets: Buffer): string {
  const groups = octets.toString("hex").match(/.{4}/g)!;
  const text = groups.map((group) => Number.parseInt(group, 16).toString(16)).join(":");
  return text.replace(/(?::0)+:/, "::");
}

/** What a transaction says of its recipients' clients that is not so. */
export function strangersIn({ client, recipients }: LedgerTransaction, host: ChaosHost): string[] {
  return strangers(
    recipients.map(({ address }) => address),
    client,
    host,
  );
}

/** The same of a connection's logins; the gateway's own account is nobody's. */
export function strangersAt({ logins }: LedgerConnection, host: ChaosHost): string[] {
  return logins
    .filter(({ username }) => username !== undefined && username !== ACCOUNT.username)
    .flatMap(({ username, client }) => strangers([username!], client, host));
}

/** @param names recipients of relays (`r0.7@…`), of lookups (`yes7@…`), users (`user7`) */
function strangers(names: readonly string[], told: string | undefined, { client }: ChaosHost): string[] {
  return names
    .filter((name) => told !== (client === "none" ? undefined : ownerOf(name)))
    .map((name) => `${name} for ${told ?? "nobody"}`);
}

function ownerOf(name: string): string | undefined {
  return clientOf(Number(/^(?:r\d\.|yes|no|user)(\d+)/.exec(name)?.[1] ?? 0))?.address;
}
