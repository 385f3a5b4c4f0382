/** The grammar of MAIL and RCPT (RFC 5321 4.1.2, 4.1.1.11) as a strict server reads it. Serves mail-dialogue.ts. */
import type { LedgerTransaction } from "./ledger.js";
import type { MailSessionOptions } from "./mail-options.js";

/** `<path> parameters`, taken apart. */
export interface PathArgument {
  readonly address: string;
  readonly parameters: readonly string[];
}

/** Reads `FROM:<…> …` or `TO:<…> …`; `undefined` when it is not written to the letter. */
export function parsePath(argument: string, keyword: "FROM:<" | "TO:<"): PathArgument | undefined {
  if (argument.slice(0, keyword.length).toUpperCase() !== keyword) {
    return undefined;
  }
  const end = endOfPath(argument, keyword.length);
  if (end < 0) {
    return undefined;
  }
  const address = argument.slice(keyword.length, end);
  const rest = argument.slice(end + 1);
  if (rest === "") {
    return { address, parameters: [] };
  }
  if (rest[0] !== " ") {
    return undefined;
  }
  const parameters = rest.slice(1).split(" ");
  return parameters.every((parameter) => /^[A-Za-z0-9][A-Za-z0-9-]*(=[^\0- =\x7f]+)?$/.test(parameter))
    ? { address, parameters }
    : undefined;
}

/** Where the `>` is that ends the path; a quoted local part may hold others. */
function endOfPath(text: string, start: number): number {
  if (text[start] !== '"') {
    return text.indexOf(">", start);
  }
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === "\\") {
      at++;
    } else if (text[at] === '"') {
      return text.indexOf(">", at);
    }
  }
  return -1;
}

/** What is wrong with an address, or `undefined`. */
export function faultOfAddress(address: string, allowsUtf8: boolean): string | undefined {
  if (!allowsUtf8 && /[^\0-\x7f]/.test(address)) {
    return "553 5.6.7 non-ASCII address without SMTPUTF8";
  }
  if (address.toLowerCase() === "postmaster") {
    return undefined;
  }
  const at = address.lastIndexOf("@");
  const [local, domain] = [address.slice(0, at), address.slice(at + 1)];
  if (at < 1 || domain === "") {
    return "553 5.1.3 address is not local@domain";
  }
  if (Buffer.byteLength(local) > 64 || Buffer.byteLength(domain) > 255) {
    return "553 5.1.3 address is too long";
  }
  const isLocalRight =
    /^"(?:[^"\\\0-\x1f\x7f]|\\[ -~])*"$/.test(local) || /^[^\s"(),:;<>@[\\\]\0-\x1f\x7f]+$/.test(local);
  return isLocalRight && /^[^\s<>\0-\x1f\x7f]+$/.test(domain) ? undefined : "553 5.1.3 address syntax";
}

type Extension = "size" | "eightBitMime" | "binaryMime" | "smtpUtf8" | "dsn" | "requireTls" | "auth";

const XTEXT = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$/;

const PARAMETERS: Record<string, { of: "MAIL" | "RCPT"; extension: Extension; value: RegExp | undefined }> = {
  SIZE: { of: "MAIL", extension: "size", value: /^\d{1,20}$/ },
  BODY: { of: "MAIL", extension: "eightBitMime", value: /^(?:7BIT|8BITMIME|BINARYMIME)$/i },
  SMTPUTF8: { of: "MAIL", extension: "smtpUtf8", value: undefined },
  REQUIRETLS: { of: "MAIL", extension: "requireTls", value: undefined },
  AUTH: { of: "MAIL", extension: "auth", value: XTEXT },
  RET: { of: "MAIL", extension: "dsn", value: /^(?:FULL|HDRS)$/i },
  ENVID: { of: "MAIL", extension: "dsn", value: XTEXT },
  NOTIFY: {
    of: "RCPT",
    extension: "dsn",
    value: /^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*)$/i,
  },
  ORCPT: { of: "RCPT", extension: "dsn", value: /^[A-Za-z0-9-]+;(?:[!-*,-<>-~]|\+[0-9A-F]{2}|[^\0-\x7f])+$/ },
};

/** What is wrong with ESMTP parameters for this command and these extensions, or `undefined`. */
export function faultOfParameters(
  command: "MAIL" | "RCPT",
  parameters: readonly string[],
  options: MailSessionOptions,
  isSecure: boolean,
): string | undefined {
  const seen = new Set<string>();
  for (const parameter of parameters) {
    const [name = "", value] = splitParameter(parameter);
    const known = PARAMETERS[name];
    if (known === undefined || known.of !== command) {
      return `555 5.5.4 ${name} is no parameter of ${command}`;
    }
    const extension = name === "BODY" && value?.toUpperCase() === "BINARYMIME" ? "binaryMime" : known.extension;
    if (!isOffered(extension, options, isSecure)) {
      return `555 5.5.4 ${parameter} was not offered`;
    }
    if (seen.has(name)) {
      return `501 5.5.4 ${name} twice`;
    }
    seen.add(name);
    if (known.value === undefined ? value !== undefined : value === undefined || !known.value.test(value)) {
      return `501 5.5.4 bad value of ${name}`;
    }
  }
  return undefined;
}

/** What is wrong with a MAIL command, as the reply that says so. `isPlain`: the client has said HELO, and knows of no extensions. */
export function faultOfMail(
  { address, parameters }: PathArgument,
  isPlain: boolean,
  options: MailSessionOptions,
  isSecure: boolean,
): string | undefined {
  if (isPlain && parameters.length > 0) {
    return "555 5.5.4 parameters after HELO";
  }
  return (
    faultOfParameters("MAIL", parameters, options, isSecure) ??
    (address === "" ? undefined : faultOfAddress(address, parameterOf(parameters, "SMTPUTF8") !== undefined))
  );
}

/** The value of one parameter, if it is there. */
export function parameterOf(parameters: readonly string[], wanted: string): string | undefined {
  for (const parameter of parameters) {
    const [name, value] = splitParameter(parameter);
    if (name === wanted) {
      return value ?? "";
    }
  }
  return undefined;
}

function splitParameter(parameter: string): [string, string | undefined] {
  const at = parameter.indexOf("=");
  return at < 0
    ? [parameter.toUpperCase(), undefined]
    : [parameter.slice(0, at).toUpperCase(), parameter.slice(at + 1)];
}

function isOffered(extension: Extension, options: MailSessionOptions, isSecure: boolean): boolean {
  const { capabilities = {} } = options;
  if (extension === "auth") {
    return (capabilities.auth ?? Object.keys(options.users ?? {})).length > 0;
  }
  if (extension === "eightBitMime") {
    return capabilities.eightBitMime ?? true;
  }
  if (extension === "requireTls") {
    return (capabilities.requireTls ?? false) && isSecure;
  }
  return capabilities[extension] !== undefined && capabilities[extension] !== false;
}

/** What is wrong with a DATA, or `undefined`; that no recipient was accepted is no fault of the client. */
export function faultOfData(argument: string, transaction: LedgerTransaction | undefined): string | undefined {
  if (argument !== "") {
    return "501 5.5.4 DATA takes no argument";
  }
  if (transaction?.via !== undefined) {
    return "503 5.5.1 DATA behind BDAT";
  }
  if (transaction?.recipients.length === 0) {
    return "503 5.5.1 RCPT first";
  }
  if (transaction !== undefined && parameterOf(transaction.parameters, "BODY")?.toUpperCase() === "BINARYMIME") {
    return "503 5.5.1 binary content needs BDAT";
  }
  return undefined;
}
