/**
 * Checks of whole requests: what remote-hosts.ts does with its arguments before anything is queued.
 * Addresses and parameters are address.ts's and parameters.ts's; what leaves here stands on the wire as it is.
 */
import { Readable } from "node:stream";
import type { Content, Envelope, RequestOptions } from "../api.js";
import { RelaypostError } from "../errors.js";
import type { AddressLookupKind } from "../lookup-kinds.js";
import { asciiAddress } from "../mail-domain.js";
import { NO_CLIENT } from "../messages/client.js";
import type { RelayHead } from "../messages/requests.js";
import { checkForwardPath, checkReversePath, refused, typeNameOf } from "./address.js";
import { checkClient } from "./client.js";
import { checkDsn, checkLookupArgument, checkSize, checkWord } from "./parameters.js";

const BODIES = ["7bit", "8bitmime", "binarymime"];

/**
 * Checks an envelope and copies what the caller might change.
 *
 * @param contentOctets -1 where the content's length is not known
 * @throws RelaypostError INVALID_ARGUMENT
 */
export function checkEnvelope(envelope: Envelope, contentOctets: number, isBareAllowed = false): RelayHead {
  if (typeof envelope !== "object" || envelope === null) {
    throw refused("envelope", `must be an object, not ${typeNameOf(envelope)}`);
  }
  const { from, to, size, body, dsn } = envelope;
  const recipients = typeof to === "string" ? [to] : copyOfList(to);
  let isUnicode = checkReversePath(from);
  let hasAsciiForm = !isUnicode || asciiAddress(from) !== undefined;
  for (let index = 0; index < recipients.length; index++) {
    const recipient = recipients[index]!;
    if (checkForwardPath(recipient, "to", typeof to === "string" ? -1 : index, isBareAllowed)) {
      isUnicode = true;
      hasAsciiForm &&= asciiAddress(recipient) !== undefined;
    }
  }
  if (size !== undefined) {
    checkSize(size);
  }
  if (body !== undefined) {
    checkWord(body, "body", BODIES);
  }
  const smtputf8 = checkFlag(envelope.smtputf8, "smtputf8");
  if (isUnicode && smtputf8 === false) {
    throw refused("smtputf8", "is false, but an address is not ASCII");
  }
  const checked = dsn === undefined ? undefined : checkDsn(dsn, recipients.length);
  return {
    from,
    recipients,
    sizeOctets: size ?? contentOctets,
    smtputf8: smtputf8 === true || !hasAsciiForm ? "required" : isUnicode ? "if-offered" : "unused",
    body: body ?? null,
    requireTls: checkFlag(envelope.requireTls, "requireTls") === true,
    ret: checked?.ret ?? null,
    envid: checked?.envid ?? null,
    dsn: checked?.recipients ?? null,
  };
}

function copyOfList(to: readonly string[]): string[] {
  if (!Array.isArray(to)) {
    throw refused("to", `must be a string or an array of strings, not ${typeNameOf(to)}`);
  }
  if (to.length === 0) {
    throw refused("to", "is empty: a message needs a recipient");
  }
  return to.slice();
}

/**
 * Checks a content.
 *
 * @returns its length in octets of UTF-8; -1 for a stream
 * @throws RelaypostError INVALID_ARGUMENT
 */
export function checkContent(content: Content): number {
  if (typeof content === "string") {
    return Buffer.byteLength(content);
  }
  if (content instanceof Uint8Array) {
    return content.length;
  }
  if (content instanceof Readable) {
    return -1;
  }
  if (typeof content === "object" && content !== null && typeof content[Symbol.asyncIterator] === "function") {
    return -1;
  }
  throw refused(
    "content",
    `must be a string, a Uint8Array, a Readable or an AsyncIterable, not ${typeNameOf(content)}`,
  );
}

/** What is said of the argument of each lookup. */
const LOOKUP_CHECKS: Readonly<Record<AddressLookupKind, (value: string, isBareAllowed: boolean) => void>> = {
  rcpt: (address, isBareAllowed) => checkForwardPath(address, "address", -1, isBareAllowed),
  vrfy: (address) => checkLookupArgument(address, "address"),
  expn: (list) => checkLookupArgument(list, "list"),
};

/** @throws RelaypostError INVALID_ARGUMENT */
export function checkLookup(kind: AddressLookupKind, value: string, isBareAllowed: boolean): void {
  LOOKUP_CHECKS[kind](value, isBareAllowed);
}

/**
 * @returns the client, see ../messages/client.ts
 * @throws RelaypostError INVALID_ARGUMENT, or ABORTED when the signal was aborted before
 */
export function checkRequestOptions(options: RequestOptions, hostId: string): string {
  if (typeof options !== "object" || options === null) {
    throw refused("options", `must be an object, not ${typeNameOf(options)}`);
  }
  const { signal, timeoutMs, client, id } = options;
  if (id !== undefined && typeof id !== "string") {
    throw refused("id", `must be a string, not ${typeNameOf(id)}`);
  }
  if (timeoutMs !== undefined && !(typeof timeoutMs === "number" && timeoutMs > 0)) {
    throw refused("timeoutMs", "must be a number of milliseconds above 0");
  }
  if (signal !== undefined) {
    checkSignal(signal);
    if (signal.aborted) {
      const message = "The signal was aborted before the request began.";
      throw new RelaypostError("ABORTED", message, { hostId, cause: signal.reason });
    }
  }
  return client === undefined ? NO_CLIENT : checkClient(client);
}

/** @throws RelaypostError INVALID_ARGUMENT */
export function checkSignal(signal: AbortSignal): void {
  if (!(signal instanceof AbortSignal)) {
    throw refused("signal", `must be an AbortSignal, not ${typeNameOf(signal)}`);
  }
}

function checkFlag(value: boolean | undefined, what: string): boolean | undefined {
  if (value !== undefined && typeof value !== "boolean") {
    throw refused(what, `must be a boolean, not ${typeNameOf(value)}`);
  }
  return value;
}
