/** What a pool has to know of a protocol: how one of its connections is made. What can be asked of it stands in src/messages/protocols.ts. */
import type { Protocol } from "../../src/api.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import type { Dialer } from "./dialer.js";
import { ImapConnection } from "./imap-connection.js";
import type { ConnectionOwner, PooledConnection } from "./pooled-connection.js";
import { SmtpConnection } from "./smtp-connection.js";

type ConnectionClass = new (
  pool: ConnectionOwner,
  dialer: Dialer,
  purpose: SessionPurpose,
  number: number,
  client: string,
) => PooledConnection;

const CONNECTIONS: Readonly<Record<Protocol, ConnectionClass>> = {
  smtp: SmtpConnection,
  lmtp: SmtpConnection,
  imap: ImapConnection,
};

/** One more connection, not yet begun. */
export function createConnection(
  protocol: Protocol,
  pool: ConnectionOwner,
  dialer: Dialer,
  purpose: SessionPurpose,
  number: number,
  client: string,
): PooledConnection {
  return new CONNECTIONS[protocol](pool, dialer, purpose, number, client);
}
