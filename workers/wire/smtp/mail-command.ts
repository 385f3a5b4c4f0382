/** The MAIL and RCPT commands of a message, with the parameters that the peer's extensions allow. */
import type { Failure } from "../../../src/errors.js";
import { asciiAddress, isAscii } from "../../../src/mail-domain.js";
import type { RelayJob } from "../../../src/messages/contract.js";
import type { Channel } from "./channel.js";
import type { Extensions } from "./extensions.js";

/** What stops this message on this session before anything is sent; undefined where nothing does. */
export function whyUnsendable(
  job: RelayJob,
  { extensions, isSecure, peer, settings }: Pick<Channel, "extensions" | "isSecure" | "peer" | "settings">,
): Failure | undefined {
  const missing =
    missingExtension(job, extensions) ?? (job.body === "binarymime" && peer.refusesChunks ? "BDAT" : undefined);
  if (missing !== undefined) {
    return {
      code: "MISSING_EXTENSION",
      message: `The message needs ${missing} and the host does not offer it. Nothing was sent.`,
    };
  }
  // RFC 8689 4.2.1: the peer must have been verified.
  if (job.requireTls && (!isSecure || settings.tls.allowInvalidCerts)) {
    return {
      code: "MISSING_EXTENSION",
      message: "The message requires verified TLS and this connection has none. Nothing was sent.",
    };
  }
  if (settings.eightBit === "refuse" && !extensions.eightBitMime && job.content !== null && hasEightBit(job.content)) {
    return EIGHT_BIT_REFUSED;
  }
  const limit = extensions.sizeOctets ?? 0;
  if (limit > 0 && job.sizeOctets > limit) {
    return {
      code: "REPLY_PERMANENT",
      message: `The message has ${job.sizeOctets} octets; the host takes at most ${limit} (SIZE). Nothing was sent.`,
    };
  }
  return undefined;
}

/** The content has octets above 127 and the host does not offer 8BITMIME (RFC 6152). */
export const EIGHT_BIT_REFUSED: Failure = {
  code: "MISSING_EXTENSION",
  message: 'The content is 8-bit and the host does not offer 8BITMIME (eight-bit = "refuse"). Nothing was delivered.',
};

export function hasEightBit(octets: Uint8Array): boolean {
  return octets.some((octet) => octet > 127);
}

function missingExtension(job: RelayJob, extensions: Extensions): string | undefined {
  if (job.smtputf8 === "required" && !extensions.smtputf8) {
    return "SMTPUTF8";
  }
  if (job.body === "8bitmime" && !extensions.eightBitMime) {
    return "8BITMIME";
  }
  if (job.body === "binarymime" && !(extensions.binaryMime && extensions.chunking)) {
    return "BINARYMIME";
  }
  if (job.requireTls && !extensions.requireTls) {
    return "REQUIRETLS";
  }
  return undefined;
}

export function mailCommand(job: RelayJob, extensions: Extensions): string {
  let command = `MAIL FROM:<${spelled(job.from, job, extensions)}>`;
  if (extensions.sizeOctets !== undefined && job.sizeOctets >= 0) {
    command += ` SIZE=${job.sizeOctets}`;
  }
  if (job.body === "binarymime") {
    command += " BODY=BINARYMIME";
  } else if (job.body === "7bit" && extensions.eightBitMime) {
    command += " BODY=7BIT";
  } else if (job.body !== "7bit" && extensions.eightBitMime) {
    command += " BODY=8BITMIME";
  }
  if (job.smtputf8 !== "unused" && extensions.smtputf8) {
    command += " SMTPUTF8";
  }
  if (job.requireTls) {
    command += " REQUIRETLS";
  }
  // Without DSN the parameters are left out: RFC 3461 5.2.2 lets a message go on to such a host.
  if (extensions.dsn && job.ret !== null) {
    command += ` RET=${job.ret}`;
  }
  if (extensions.dsn && job.envid !== null) {
    command += ` ENVID=${job.envid}`;
  }
  return `${command}\r\n`;
}

/** An address or a name as this host can be told it: with A-labels where it lacks SMTPUTF8; undefined where it cannot be told. */
export function spellFor(value: string, { smtputf8 }: Pick<Extensions, "smtputf8">): string | undefined {
  return smtputf8 || isAscii(value) ? value : asciiAddress(value);
}

/** One of a message's addresses, which {@link whyUnsendable} has let through. */
function spelled(address: string, job: RelayJob, extensions: Extensions): string {
  return job.smtputf8 === "unused" ? address : spellFor(address, extensions)!;
}

export function rcptCommand(job: RelayJob, index: number, extensions: Extensions): string {
  const address = spelled(job.recipients[index]!, job, extensions);
  const dsn = extensions.dsn ? job.dsn?.[index] : undefined;
  if (dsn === undefined) {
    return `RCPT TO:<${address}>\r\n`;
  }
  const notify = dsn.notify === null ? "" : ` NOTIFY=${dsn.notify}`;
  const original = dsn.orcpt === null ? "" : ` ORCPT=${dsn.orcpt}`;
  return `RCPT TO:<${address}>${notify}${original}\r\n`;
}
