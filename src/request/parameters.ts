/**
 * Checks everything beside addresses that callers hand in: DSN parameters, sizes, credentials, arguments of VRFY and EXPN.
 * Serves remote-hosts.ts and the command line; what it returns stands on the wire as it is.
 */

import type { Credentials, DsnParameters } from "../api.js";
import { encodeXtext } from "../messages/xtext.js";
import { findControl, hasNonAscii, refused, typeNameOf } from "./address.js";

/** RFC 3461 4 lets MAIL grow by 107 octets (` ENVID=` and a value) and RCPT by 500 (` NOTIFY=…` and ` ORCPT=…`). */
const MAX_ENVID_OCTETS = 100;
const MAX_ORCPT_OCTETS = 464;
/** RFC 5321 4.5.3.1.4: 512 octets for the line, less `VRFY `, and CRLF. */
const MAX_ARGUMENT_OCTETS = 505;
/** Generous, and with base64's third on top still inside RFC 4954 4's 12,288 octets. */
const MAX_USERNAME_OCTETS = 1024;
const MAX_SECRET_OCTETS = 8000;
/** RFC 1870 4: at most twenty digits; what a number holds exactly is less. */
const MAX_SIZE_OCTETS = Number.MAX_SAFE_INTEGER;

/** {@link DsnParameters} ready for the wire. */
export interface CheckedDsn {
  /** `FULL`, `HDRS`, or null where absent. */
  readonly ret: "FULL" | "HDRS" | null;
  /** As xtext. */
  readonly envid: string | null;
  /** One for each recipient, or null where none was given. `orcpt` is encoded. */
  readonly recipients: readonly { readonly notify: string | null; readonly orcpt: string | null }[] | null;
}

/**
 * Checks DSN parameters (RFC 3461 4) and encodes them.
 *
 * @param recipientCount how many recipients the envelope has; the list must be as long, where there is one
 * @throws RelaypostError INVALID_ARGUMENT
 */
export function checkDsn(dsn: DsnParameters, recipientCount: number): CheckedDsn {
  if (typeof dsn !== "object" || dsn === null) {
    throw refused("dsn", `must be an object, not ${typeNameOf(dsn)}`);
  }
  const { ret, envid, recipients } = dsn;
  if (ret !== undefined && ret !== "full" && ret !== "hdrs") {
    throw refused("dsn.ret", 'must be "full" or "hdrs"');
  }
  if (recipients !== undefined && (!Array.isArray(recipients) || recipients.length !== recipientCount)) {
    throw refused("dsn.recipients", `must be an array with one item for each of the ${recipientCount} recipients`);
  }
  return {
    ret: ret === undefined ? null : ret === "full" ? "FULL" : "HDRS",
    envid: envid === undefined ? null : checkEnvid(envid),
    recipients: recipients?.map((item, index) => checkRecipientDsn(item, `dsn.recipients[${index}]`)) ?? null,
  };
}

function checkRecipientDsn(item: NonNullable<DsnParameters["recipients"]>[number], what: string) {
  if (typeof item !== "object" || item === null) {
    throw refused(what, `must be an object, not ${typeNameOf(item)}`);
  }
  return {
    notify: item.notify === undefined ? null : checkNotify(item.notify, `${what}.notify`),
    orcpt: item.orcpt === undefined ? null : checkOrcpt(item.orcpt, `${what}.orcpt`),
  };
}

/** Checks an ENVID and encodes it: printable ASCII before, at most 100 octets after (RFC 3461 4.4). */
export function checkEnvid(envid: string, what = "dsn.envid"): string {
  checkText(envid, what);
  if (hasNonAscii(envid)) {
    throw refused(what, "must be ASCII");
  }
  return checkOctets(encodeXtext(envid), what, MAX_ENVID_OCTETS, "once encoded as xtext");
}

/** Checks a NOTIFY list (RFC 3461 4.1); the result is such as `SUCCESS,FAILURE`. */
export function checkNotify(notify: readonly string[], what = "notify"): string {
  if (!Array.isArray(notify) || notify.length === 0) {
    throw refused(what, "must be an array that is not empty");
  }
  for (const word of notify) {
    if (word !== "never" && word !== "success" && word !== "failure" && word !== "delay") {
      throw refused(what, 'may hold "never", "success", "failure" and "delay" only');
    }
  }
  if (notify.includes("never") && notify.some((word) => word !== "never")) {
    throw refused(what, 'may not hold "never" beside other words');
  }
  return [...new Set(notify)].join(",").toUpperCase();
}

/** Checks an ORCPT, `type;address`, and encodes its address (RFC 3461 4.2; for the type `utf-8` RFC 6533 3). */
export function checkOrcpt(orcpt: string, what = "orcpt"): string {
  checkText(orcpt, what);
  const semicolon = orcpt.indexOf(";");
  const type = orcpt.slice(0, semicolon);
  const address = orcpt.slice(semicolon + 1);
  if (semicolon < 1 || !/^[A-Za-z0-9-]+$/.test(type) || address === "") {
    throw refused(what, 'must be a type, a semicolon and an address, such as "rfc822;user@example.org"');
  }
  const isUnicode = type.toLowerCase() === "utf-8";
  if (!isUnicode && hasNonAscii(address)) {
    throw refused(what, 'is not ASCII, which needs the type "utf-8"');
  }
  const encoded = isUnicode ? encodeUnicodeAddress(address) : encodeXtext(address);
  return checkOctets(`${type};${encoded}`, what, MAX_ORCPT_OCTETS, "once encoded");
}

/** utf-8-addr-xtext of RFC 6533 3: what xtext would escape, the backslash and all that is not ASCII stand as `\x{…}`. */
function encodeUnicodeAddress(address: string): string {
  return address.replace(/[^!-*,-<>-[\]-~]/gu, (character) => `\\x{${hex(character.codePointAt(0)!)}}`);
}

/** Checks a SIZE (RFC 1870). */
export function checkSize(size: number, what = "size"): void {
  if (!Number.isInteger(size) || size < 0 || size > MAX_SIZE_OCTETS) {
    throw refused(what, "must be a number of octets: an integer of 0 or more");
  }
}

/** Checks an argument against the words it may be. */
export function checkWord(value: string, what: string, words: readonly string[]): void {
  if (!words.includes(value)) {
    throw refused(what, `must be one of ${words.map((word) => `"${word}"`).join(", ")}`);
  }
}

/** Checks a value that goes after `=` in an ESMTP parameter (RFC 5321 4.1.2, esmtp-value). */
export function checkParameterValue(value: string, what: string): void {
  checkText(value, what);
  if (!/^[!-<>-~]+$/.test(value)) {
    throw refused(what, "may hold printable ASCII only, without spaces and without =");
  }
}

/**
 * Checks the argument of VRFY or EXPN (RFC 5321 3.5): a mailbox, a user name, or a list's name. Spaces must stand inside
 * quotes: a word after one would be a parameter, such as SMTPUTF8.
 *
 * @returns whether it is not ASCII, so that the command needs SMTPUTF8 (RFC 6531 3.7.4.2)
 */
export function checkLookupArgument(value: string, what: string): boolean {
  checkText(value, what);
  checkOctets(value, what, MAX_ARGUMENT_OCTETS, "in UTF-8");
  let isQuoted = false;
  for (let position = 0; position < value.length; position++) {
    const character = value[position];
    if (character === '"') {
      isQuoted = !isQuoted;
    } else if (isQuoted && character === "\\") {
      position++;
    } else if (isQuoted) {
    } else if (character === " ") {
      throw refused(what, "holds a space outside quotes");
    } else if (character === "<" || character === ">") {
      throw refused(what, "must stand without angle brackets");
    }
  }
  if (isQuoted) {
    throw refused(what, "has an opening quote without a closing one");
  }
  return hasNonAscii(value);
}

/**
 * Checks a user's credentials. No message quotes any part of them.
 *
 * @returns the password or the token, and which of them it is
 * @throws RelaypostError INVALID_ARGUMENT
 */
export function checkCredentials(credentials: Credentials): { readonly secret: string; readonly isToken: boolean } {
  if (typeof credentials !== "object" || credentials === null) {
    throw refused("credentials", `must be an object, not ${typeNameOf(credentials)}`);
  }
  // XOAUTH2 and OAUTHBEARER part their fields with U+0001, so no control character at all may stand in a name.
  checkText(credentials.username, "username");
  checkOctets(credentials.username, "username", MAX_USERNAME_OCTETS, "in UTF-8");
  const isToken = "accessToken" in credentials && credentials.accessToken !== undefined;
  if (isToken && "secret" in credentials && credentials.secret !== undefined) {
    throw refused("credentials", "must hold either secret or accessToken, not both");
  }
  if (isToken) {
    checkString(credentials.accessToken, "accessToken");
    // RFC 6750 2.1 allows less; what matters is that it stays one word between U+0001s.
    if (!/^[!-~]+$/.test(credentials.accessToken)) {
      throw refused("accessToken", "must be printable ASCII without spaces");
    }
    checkOctets(credentials.accessToken, "accessToken", MAX_SECRET_OCTETS, "");
    return { secret: credentials.accessToken, isToken };
  }
  const { secret } = credentials as { secret: string };
  checkSecret(secret, "secret");
  return { secret, isToken };
}

/** A password: never empty (RFC 4616 2; a directory behind the peer may take an empty one for an anonymous login). */
function checkSecret(secret: string, what: string): void {
  checkString(secret, what);
  if (/[\r\n\0]/.test(secret)) {
    throw refused(what, "holds a CR, LF or NUL");
  }
  if (hasLoneSurrogate(secret)) {
    throw refused(what, "holds half a surrogate pair");
  }
  checkOctets(secret, what, MAX_SECRET_OCTETS, "in UTF-8");
}

function checkText(value: string, what: string): void {
  checkString(value, what);
  const control = findControl(value);
  if (control !== undefined) {
    throw refused(what, `holds ${control}, which is not allowed there`);
  }
}

function checkString(value: string, what: string): void {
  if (typeof value !== "string") {
    throw refused(what, `must be a string, not ${typeNameOf(value)}`);
  }
  if (value === "") {
    throw refused(what, "is empty");
  }
}

function checkOctets(value: string, what: string, most: number, when: string): string {
  const octets = Buffer.byteLength(value);
  if (octets <= most) {
    return value;
  }
  throw refused(what, `is ${octets} octets long${when === "" ? "" : ` ${when}`}; at most ${most} are allowed`);
}

function hasLoneSurrogate(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

function hex(code: number): string {
  return code.toString(16).toUpperCase().padStart(2, "0");
}
