/** Between the SMTP that comes in and the SMTP that goes out: options of the server, the envelope, the trace line. Serves gateway.ts. */
import type { SMTPServerOptions, SMTPServerSession } from "smtp-server";
import type { Envelope } from "../api.js";
import { checkForwardPath, checkReversePath } from "../request/address.js";
import type { GatewaySettings } from "./settings.js";
import type { Transaction } from "./transaction.js";
import type { GatewayReply } from "./verdict.js";

/** What smtp-server is told. The reply texts are ours, with their enhanced codes. */
export function optionsOf(settings: GatewaySettings): SMTPServerOptions {
  const { tls, auth } = settings;
  return {
    name: settings.hostname,
    lmtp: settings.protocol === "lmtp",
    size: settings.messageOctets,
    maxClients: settings.clients,
    maxCommandLength: settings.lineOctets,
    socketTimeout: settings.idleMs,
    disableReverseLookup: true,
    // Exim ends its side behind the last message, and waits for the reply.
    allowHalfOpen: true,
    hideENHANCEDSTATUSCODES: true,
    hideREQUIRETLS: tls === undefined,
    // RFC 3461 5.2.2 would have a gateway write notifications for hosts that know no DSN.
    hideDSN: true,
    // Whether a login is needed is ours to say: smtp-server asks for none while AUTH is not offered.
    authOptional: true,
    allowInsecureAuth: auth?.allowPlaintext === true,
    authMethods: ["PLAIN", "LOGIN", "XOAUTH2"],
    disabledCommands: disabledInClear(settings),
    logger: false,
    ...(tls === undefined ? {} : { secure: tls.implicit, cert: tls.cert, key: tls.key, minVersion: tls.minVersion }),
  };
}

/** What is not offered before there is TLS: STARTTLS without a certificate, and AUTH, by which passwords could be read. */
export function disabledInClear({ tls, auth }: GatewaySettings): string[] {
  const isAuthOffered = auth?.allowPlaintext === true;
  return [...(tls === undefined ? ["STARTTLS"] : []), ...(isAuthOffered ? [] : ["AUTH"])];
}

/** The reply to a reverse-path that no host would take. */
export function senderMistake(address: string): GatewayReply | undefined {
  try {
    checkReversePath(address);
    return undefined;
  } catch {
    return { code: 553, text: "5.1.7 that is no address of a sender" };
  }
}

/** The reply to a forward-path that no host would take. */
export function recipientMistake(address: string): GatewayReply | undefined {
  try {
    checkForwardPath(address);
    return undefined;
  } catch {
    return { code: 553, text: "5.1.3 that is no address of a recipient" };
  }
}

/** The envelope for the host. `addedOctets`: what the gateway puts in front of the message. */
export function outgoing(
  session: SMTPServerSession,
  { sender, recipients }: Transaction,
  addedOctets: number,
): Envelope {
  const { bodyType, smtpUtf8, requireTLS } = session.envelope;
  const size = Number(sender.args !== false && sender.args.SIZE);
  return {
    from: sender.address,
    to: recipients.map(({ address }) => address),
    ...(Number.isSafeInteger(size) && size > 0 ? { size: size + addedOctets } : {}),
    ...(smtpUtf8 === true ? { smtputf8: true } : {}),
    ...(bodyType?.toLowerCase() === "8bitmime" ? { body: "8bitmime" } : {}),
    ...(requireTLS === true ? { requireTls: true } : {}),
  };
}

/** RFC 5321 4.4: what the client called itself, where it came from, who took the message, as what, for whom, and when. */
export function traceLine(
  session: SMTPServerSession,
  settings: GatewaySettings,
  { id, recipients }: Transaction,
  now = new Date(),
): string {
  const helo = session.hostNameAppearsAs || "unknown";
  const address = session.remoteAddress || "";
  const from = address === "" ? "local" : address.includes(":") ? `IPv6:${address}` : address;
  const date = now.toUTCString().replace("GMT", "+0000");
  // Several recipients would learn of each other (RFC 5321 7.6).
  const only = recipients.length === 1 ? recipients[0]!.address : undefined;
  const forWhom = only === undefined ? "" : `\r\n\tfor <${only}>`;
  return (
    `Received: from ${helo} ([${from}])\r\n\tby ${settings.hostname} with ${session.transmissionType} id ${id}` +
    `${forWhom};\r\n\t${date}\r\n`
  );
}
