/** How an IMAP host is told of a client: by ID (RFC 2971), with the fields that Dovecot takes from its `login_trusted_networks`. */
import { decodeClient, type KnownClient } from "../../../src/messages/client.js";
import type { HostLog } from "../../../src/messages/host-log.js";
import { type ImapStatus, replyOf } from "./login.js";
import type { ImapOptions } from "./login-owner.js";

/** How many more proxies may stand between us and the server: a loop of them ends. */
const PROXY_TTL = 5;

/** The command, with its CRLF; undefined where the host is not to be told, or nobody is known. */
export function idCommand({ settings, client }: Pick<ImapOptions, "settings" | "client">): string | undefined {
  const known = settings.client === "id" ? decodeClient(client) : undefined;
  return known === undefined ? undefined : `ID (${fieldsOf(known).join(" ")})\r\n`;
}

/** The server said no to it, which keeps nobody from logging in. */
export function warnIfRefused(log: HostLog, status: ImapStatus): void {
  if (status.condition !== "OK") {
    const { code, text } = replyOf(status);
    log.write("warn", "client-untold", "The server refused ID: it is not told of the client.", { code, text });
  }
}

function fieldsOf({ address, port, session, local }: KnownClient): string[] {
  const fields: [name: string, value: string | number | undefined][] = [
    ["x-originating-ip", address],
    ["x-originating-port", port],
    ["x-connected-ip", local?.address],
    ["x-connected-port", local?.port],
    ["x-session-id", session],
    ["x-proxy-ttl", PROXY_TTL],
  ];
  return fields.filter(([, value]) => value !== undefined).map(([name, value]) => `"${name}" ${quoted(value!)}`);
}

function quoted(value: string | number): string {
  return `"${String(value).replace(/["\\]/g, "\\$&")}"`;
}
