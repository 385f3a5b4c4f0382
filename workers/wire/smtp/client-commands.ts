/** How an SMTP or LMTP host is told of a client: Postfix's XCLIENT and XFORWARD, by the attributes that the host advertises. */
import { isIPv6 } from "node:net";
import { decodeClient, type KnownClient } from "../../../src/messages/client.js";
import { encodeXtext } from "../../../src/messages/xtext.js";

const UNAVAILABLE = "[UNAVAILABLE]";
/** RFC 5321 4.5.3.1.4, CRLF included. */
const MOST_LINE_OCTETS = 512;

type Attributes = Readonly<Record<string, (client: KnownClient, isLmtp: boolean) => string | number | undefined>>;

/** For each attribute of XCLIENT what is known of it; undefined: it is told as unavailable. */
const XCLIENT: Attributes = {
  NAME: ({ name }) => name,
  ADDR: ({ address }) => taggedAddress(address),
  PORT: ({ port }) => port,
  PROTO: ({ protocol }, isLmtp) => (protocol === "LMTP" && !isLmtp ? undefined : protocol),
  HELO: ({ helo }) => helo,
  LOGIN: ({ login }) => login,
  DESTADDR: ({ local }) => (local === undefined ? undefined : taggedAddress(local.address)),
  DESTPORT: ({ local }) => local?.port,
  SESSION: ({ session }) => session,
};

const XFORWARD: Attributes = {
  NAME: ({ name }) => name,
  ADDR: ({ address }) => taggedAddress(address),
  PORT: ({ port }) => port,
  PROTO: ({ protocol }) => protocol,
  HELO: ({ helo }) => helo,
  IDENT: ({ session }) => session,
};

/** Attributes that have no word for "not known": left out where they are not. */
const ALWAYS_KNOWN: ReadonlySet<string> = new Set(["PROTO", "SESSION"]);

/** The command that gives the session to a client, with its CRLF. */
export function xclientCommand(client: string, advertised: readonly string[], isLmtp: boolean): string {
  const attributes = attributesOf(decodeClient(client), XCLIENT, advertised, isLmtp);
  return `XCLIENT ${attributes.join(" ")}\r\n`;
}

/** The commands that tell of the client of the next message, as many as their length takes. For no client: that nothing is known. */
export function xforwardCommands(client: string, advertised: readonly string[]): string[] {
  const commands: string[] = [];
  let line = "";
  for (const attribute of attributesOf(decodeClient(client), XFORWARD, advertised, false)) {
    if (line !== "" && line.length + attribute.length + 3 > MOST_LINE_OCTETS) {
      commands.push(`${line}\r\n`);
      line = "";
    }
    line = `${line === "" ? "XFORWARD" : line} ${attribute}`;
  }
  if (line !== "") {
    commands.push(`${line}\r\n`);
  }
  return commands;
}

function attributesOf(
  client: KnownClient | undefined,
  known: Attributes,
  advertised: readonly string[],
  isLmtp: boolean,
): string[] {
  const attributes: string[] = [];
  for (const name of advertised) {
    const value = client === undefined ? undefined : known[name]?.(client, isLmtp);
    if (value !== undefined) {
      attributes.push(`${name}=${encodeXtext(String(value))}`);
    } else if (known[name] !== undefined && !ALWAYS_KNOWN.has(name)) {
      attributes.push(`${name}=${UNAVAILABLE}`);
    }
  }
  return attributes;
}

function taggedAddress(address: string): string {
  return isIPv6(address) ? `IPV6:${address}` : address;
}
