/**
 * Checks of `RequestOptions.client`, and what those who speak to clients themselves (adapters, listeners) may say of one: a client
 * chooses its HELO and its login, so what does not fit is left out there, where an argument of a caller is refused.
 */
import type { Client } from "../api.js";
import { canonicalAddress } from "../ip-address.js";
import { encodeClient } from "../messages/client.js";
import { findControl, refused, typeNameOf } from "./address.js";
import { checkWord } from "./parameters.js";

const PROTOCOLS = ["SMTP", "ESMTP", "LMTP"] as const;
/** A host name of RFC 1035 2.3.4, and what is given to hosts as one word beside it. */
const MAX_OCTETS = 255;
/** Words of XCLIENT and XFORWARD that are no value. */
const NO_VALUE = /^\[(?:UNAVAILABLE|TEMPUNAVAIL)\]$/i;

/** For each field that is text: what it may hold. Exact, since hosts take these fields for the truth. */
const TEXTS = {
  name: { pattern: /^[A-Za-z0-9_.-]+$/, what: "must be a host name in ASCII" },
  helo: { pattern: /^[!-~]+$/, what: "must be printable ASCII without spaces" },
  login: { pattern: /^[^\s]+(?: +[^\s]+)*$/u, what: "must be a user's name" },
  session: { pattern: /^[!-~]+$/, what: "must be printable ASCII without spaces" },
} as const satisfies Partial<Record<keyof Client, { pattern: RegExp; what: string }>>;

type TextField = keyof typeof TEXTS;
const TEXT_FIELDS = Object.keys(TEXTS) as TextField[];

/**
 * Checks a client.
 *
 * @returns it as one string, see ../messages/client.ts
 * @throws RelaypostError INVALID_ARGUMENT
 */
export function checkClient(client: Client): string {
  if (typeof client !== "object" || client === null) {
    throw refused("client", `must be an object, not ${typeNameOf(client)}`);
  }
  const checked: Client = { address: checkAddress(client.address, "client.address") };
  checkPort(client.port, "client.port");
  for (const field of TEXT_FIELDS) {
    const mistake = client[field] === undefined ? undefined : findMistake(field, client[field]);
    if (mistake !== undefined) {
      throw refused(`client.${field}`, mistake);
    }
  }
  if (client.protocol !== undefined) {
    checkWord(client.protocol, "client.protocol", PROTOCOLS);
  }
  const { local } = client;
  if (local !== undefined) {
    if (typeof local !== "object" || local === null) {
      throw refused("client.local", `must be an object, not ${typeNameOf(local)}`);
    }
    checkPort(local.port, "client.local.port");
  }
  return encodeClient({
    ...client,
    ...checked,
    ...(local === undefined
      ? {}
      : { local: { ...local, address: checkAddress(local.address, "client.local.address") } }),
  });
}

/** What is known of a client by somebody who has it on a connection. */
export type SeenClient = { [Field in keyof Client]?: Client[Field] | undefined };

/** The fields that fit; undefined where not even the address does. */
export function clientFrom(seen: SeenClient): Client | undefined {
  const address = seen.address === undefined ? undefined : canonicalAddress(seen.address);
  if (address === undefined) {
    return undefined;
  }
  const client: Client = { address };
  if (isPort(seen.port)) {
    client.port = seen.port;
  }
  for (const field of TEXT_FIELDS) {
    const value = seen[field];
    if (value !== undefined && findMistake(field, value) === undefined) {
      client[field] = value;
    }
  }
  if (seen.protocol !== undefined && PROTOCOLS.includes(seen.protocol)) {
    client.protocol = seen.protocol;
  }
  const local = seen.local === undefined ? undefined : canonicalAddress(seen.local.address);
  if (local !== undefined) {
    client.local = isPort(seen.local?.port) ? { address: local, port: seen.local.port } : { address: local };
  }
  return client;
}

function checkAddress(address: unknown, what: string): string {
  const canonical = typeof address === "string" ? canonicalAddress(address) : undefined;
  if (canonical === undefined) {
    throw refused(what, "must be an IP address without a zone");
  }
  return canonical;
}

function checkPort(port: unknown, what: string): void {
  if (port !== undefined && !isPort(port)) {
    throw refused(what, "must be a port, from 1 to 65535");
  }
}

function isPort(port: unknown): port is number {
  return Number.isInteger(port) && (port as number) > 0 && (port as number) < 65536;
}

function findMistake(field: TextField, value: unknown): string | undefined {
  if (typeof value !== "string") {
    return `must be a string, not ${typeNameOf(value)}`;
  }
  const control = findControl(value);
  if (control !== undefined) {
    return `holds ${control}, which is not allowed there`;
  }
  const { pattern, what } = TEXTS[field];
  if (!pattern.test(value)) {
    return what;
  }
  if (NO_VALUE.test(value)) {
    return `is ${value.toUpperCase()}, by which hosts understand that there is none`;
  }
  const octets = Buffer.byteLength(value);
  return octets > MAX_OCTETS ? `is ${octets} octets long; at most ${MAX_OCTETS} are allowed` : undefined;
}
