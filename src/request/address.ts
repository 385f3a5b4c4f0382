/**
 * Checks what callers hand in before anything of it can reach a wire: addresses here, the rest in parameters.ts.
 * Serves remote-hosts.ts and the command line; the sessions rely on it, since they write these strings as they are.
 */
import { RelaypostError } from "../errors.js";

/** Which special addresses {@link checkMailbox} lets through. */
export interface MailboxOptions {
  /** The null reverse-path `<>`, given as the empty string. */
  readonly allowEmpty?: boolean;
  /** `postmaster` without a domain, which every host accepts as a recipient (RFC 5321 4.5.1). */
  readonly allowPostmaster?: boolean;
  /** A local part without a domain, for LMTP stores that know users by bare names (`remote.<id>.bare-recipients`). */
  readonly allowBare?: boolean;
}

/** RFC 5321 4.5.3.1, in octets. A path counts its two angle brackets, which addresses stand without here. */
const MAX_LOCAL_OCTETS = 64;
const MAX_DOMAIN_OCTETS = 255;
const MAX_PATH_OCTETS = 256;

const REVERSE_PATH: MailboxOptions = { allowEmpty: true };
const FORWARD_PATH: MailboxOptions = { allowPostmaster: true };
const BARE_FORWARD_PATH: MailboxOptions = { allowPostmaster: true, allowBare: true };

const DOT = 46;
const AT = 64;
const LOCAL = 1;
const DOMAIN = 2;

/** For every ASCII character, whether it may stand in an unquoted local part and in a domain. */
const CLASSES = classify();

function classify(): Uint8Array {
  const classes = new Uint8Array(128);
  const mark = (characters: string, bits: number): void => {
    for (const character of characters) {
      classes[character.charCodeAt(0)] = bits;
    }
  };
  mark("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", LOCAL | DOMAIN);
  mark("!#$%&'*+/=?^`{|}~", LOCAL);
  // An underscore is no host name, but real mail domains have one. Dots of a local part may stand anywhere:
  // large carriers have handed out mailboxes such as "a..b" and "a.".
  mark("-_.", LOCAL | DOMAIN);
  return classes;
}

/**
 * Checks a mailbox (RFC 5321 4.1.2) as it stands between the angle brackets of a path. A valid ASCII address costs one pass.
 *
 * @param what names the argument in errors, such as `from`
 * @param index for an argument that is a list: the item's index, counted from 0
 * @returns whether the address is not ASCII, so that the transaction needs SMTPUTF8 (RFC 6531)
 * @throws RelaypostError INVALID_ARGUMENT
 */
export function checkMailbox(address: string, what: string, options?: MailboxOptions, index = -1): boolean {
  if (typeof address === "string") {
    const { length } = address;
    let at = 0;
    let code = 0;
    while (at < length) {
      code = address.charCodeAt(at);
      if (code > 127 || (CLASSES[code]! & LOCAL) === 0) {
        break;
      }
      at++;
    }
    if (code === AT && at > 0 && at <= MAX_LOCAL_OCTETS && length <= MAX_PATH_OCTETS - 2) {
      let previous = DOT;
      let position = at + 1;
      for (; position < length; position++) {
        code = address.charCodeAt(position);
        if (code > 127 || (CLASSES[code]! & DOMAIN) === 0 || (code === DOT && previous === DOT)) {
          break;
        }
        previous = code;
      }
      if (position === length && previous !== DOT) {
        return false;
      }
    }
  }
  return examineMailbox(address, what, options, index);
}

/** {@link checkMailbox} for `MAIL FROM`: the empty string is the null reverse-path. */
export function checkReversePath(address: string, what = "from"): boolean {
  return checkMailbox(address, what, REVERSE_PATH);
}

/** {@link checkMailbox} for `RCPT TO`: `postmaster` needs no domain. */
export function checkForwardPath(address: string, what = "to", index = -1, isBareAllowed = false): boolean {
  return checkMailbox(address, what, isBareAllowed ? BARE_FORWARD_PATH : FORWARD_PATH, index);
}

/** The rare addresses and the wrong ones, with time to say what is wrong. */
function examineMailbox(address: string, what: string, options: MailboxOptions | undefined, index: number): boolean {
  const name = index < 0 ? what : `${what}[${index}]`;
  if (typeof address !== "string") {
    throw refused(name, `must be a string, not ${typeNameOf(address)}`);
  }
  if (address === "") {
    if (options?.allowEmpty === true) {
      return false;
    }
    throw refused(name, "is empty; the null reverse-path is allowed for the sender only");
  }
  if (options?.allowPostmaster === true && address.toLowerCase() === "postmaster") {
    return false;
  }
  const why = findMistake(address, options?.allowBare === true);
  if (why !== undefined) {
    throw refused(`${name} ${quoteForMessage(address)}`, why);
  }
  return hasNonAscii(address);
}

function findMistake(address: string, isBareAllowed: boolean): string | undefined {
  const control = findControl(address);
  if (control !== undefined) {
    return `holds ${control}, which no address may`;
  }
  if (address.startsWith("<")) {
    return "must stand without angle brackets";
  }
  if (address.startsWith("@")) {
    return "has no local part; source routes (@relay:user@domain) are not supported";
  }
  const end = address.startsWith('"') ? endOfQuoted(address) : endOfDotString(address);
  if (typeof end === "string") {
    return end;
  }
  if (end === address.length) {
    if (!isBareAllowed) {
      return "has no domain; write local@domain";
    }
    const octets = Buffer.byteLength(address);
    return octets > MAX_LOCAL_OCTETS ? `has a local part of ${octets} octets; at most 64 are allowed` : undefined;
  }
  if (address.charCodeAt(end) !== AT) {
    return "has text between the closing quote and the @";
  }
  const domain = address.slice(end + 1);
  const localOctets = Buffer.byteLength(address.slice(0, end));
  if (localOctets > MAX_LOCAL_OCTETS) {
    return `has a local part of ${localOctets} octets; at most 64 are allowed`;
  }
  const domainOctets = Buffer.byteLength(domain);
  if (domainOctets > MAX_DOMAIN_OCTETS) {
    return `has a domain of ${domainOctets} octets; at most 255 are allowed`;
  }
  if (localOctets + domainOctets + 3 > MAX_PATH_OCTETS) {
    return `is ${localOctets + domainOctets + 1} octets long; at most 254 are allowed`;
  }
  return domain.startsWith("[") ? findLiteralMistake(domain) : findDomainMistake(domain);
}

/** Where the @ stands, or what is wrong before it. */
function endOfDotString(address: string): number | string {
  for (let position = 0; position < address.length; position++) {
    const code = address.charCodeAt(position);
    if (code === AT) {
      return position;
    }
    if (code > 127 || (CLASSES[code]! & LOCAL) !== 0) {
      continue;
    }
    if (code === 32) {
      return "holds a space outside quotes";
    }
    return `holds ${JSON.stringify(address[position])} in its local part, which is allowed inside quotes only`;
  }
  return address.length;
}

/** What follows the closing quote, or what is wrong before it. */
function endOfQuoted(address: string): number | string {
  for (let position = 1; position < address.length; position++) {
    const character = address[position];
    if (character === "\\") {
      position++;
    } else if (character === '"') {
      return position === 1 ? "has an empty local part" : position + 1;
    }
  }
  return "has an opening quote without a closing one";
}

function findDomainMistake(domain: string): string | undefined {
  if (domain === "") {
    return "has no domain after the @";
  }
  if (`.${domain}.`.includes("..")) {
    return "has an empty label in its domain (a dot at its start or end, or two in a row)";
  }
  for (const character of domain) {
    const code = character.charCodeAt(0);
    if (code > 127 || (CLASSES[code]! & DOMAIN) !== 0) {
      continue;
    }
    if (code === AT) {
      return "has more than one @ outside quotes";
    }
    if (code === 32) {
      return "holds a space outside quotes";
    }
    return `holds ${JSON.stringify(character)} in its domain`;
  }
  return undefined;
}

/** RFC 5321 4.1.3: an IPv4 address, `IPv6:` and one, or another tag and what belongs to it. */
function findLiteralMistake(literal: string): string | undefined {
  if (!literal.endsWith("]")) {
    return "has an address literal without a closing bracket";
  }
  const content = literal.slice(1, -1);
  const ipv4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(content);
  if (ipv4?.slice(1).every((part) => Number(part) < 256)) {
    return undefined;
  }
  if (/^ipv6:/i.test(content)) {
    return /^[0-9a-f:]{2,}[0-9.]*$/i.test(content.slice(5)) ? undefined : "has an IPv6 address literal that is not one";
  }
  if (/^[a-z0-9-]*[a-z0-9]:[!-Z^-~]+$/i.test(content)) {
    return undefined;
  }
  return "has an address literal that is neither an IPv4 address nor IPv6: and an address";
}

/**
 * The name of the first character that may stand in no line: a control character, or half of a surrogate pair,
 * which UTF-8 cannot say. C1 controls are among them, since some peers take U+0085 for a newline.
 */
export function findControl(text: string): string | undefined {
  for (let position = 0; position < text.length; position++) {
    const code = text.charCodeAt(position);
    if (code === 13) {
      return "a carriage return";
    }
    if (code === 10) {
      return "a line feed";
    }
    if (code === 0) {
      return "a NUL";
    }
    if (code < 32 || (code >= 127 && code < 160)) {
      return `the control character ${codePointName(code)}`;
    }
    if (code < 0xd800 || code > 0xdfff) {
      continue;
    }
    const next = text.charCodeAt(position + 1);
    if (code > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) {
      return `half a surrogate pair, ${codePointName(code)}`;
    }
    position++;
  }
  return undefined;
}

/** Whether UTF-8 needs more than one octet for some character. */
export function hasNonAscii(text: string): boolean {
  for (let position = 0; position < text.length; position++) {
    if (text.charCodeAt(position) > 127) {
      return true;
    }
  }
  return false;
}

/** The error for an argument; `why` is a sentence's end. */
export function refused(what: string, why: string): RelaypostError {
  return new RelaypostError("INVALID_ARGUMENT", `${what} ${why}`);
}

/** An argument as errors and logs may show it: short, printable ASCII. */
export function quoteForMessage(text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  return JSON.stringify(shown).replace(/[^ -~]/g, (character) => codePointName(character.charCodeAt(0)));
}

/** What an argument is, for errors about its type. */
export function typeNameOf(value: unknown): string {
  if (value === null) {
    return "null";
  }
  return Array.isArray(value) ? "an array" : typeof value;
}

function codePointName(code: number): string {
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}
