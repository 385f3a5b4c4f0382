/** Settings of the well-behaved SMTP and LMTP servers: what they offer, whom they know, what they keep. Read by mail-server.ts and its sessions. */
import type { Certificate } from "./certificates.js";
import type { LedgerDetail } from "./ledger.js";
import type { Order } from "./orders.js";
import type { TlsOptions } from "./peer.js";
import type { SaslAccounts } from "./sasl-server.js";

/** Extensions, each on or off. */
export interface Capabilities {
  /** RFC 2920. Default `true`. */
  readonly pipelining?: boolean;
  /** RFC 6152. Default `true`. */
  readonly eightBitMime?: boolean;
  /** RFC 2034. Default `true`. */
  readonly enhancedStatusCodes?: boolean;
  /** RFC 3030 BDAT. Default `false`. */
  readonly chunking?: boolean;
  /** RFC 3030 BODY=BINARYMIME; wants `chunking`. Default `false`. */
  readonly binaryMime?: boolean;
  /** RFC 1870: `true` offers it without a limit, a number is the limit in octets. Default `false`. */
  readonly size?: boolean | number;
  /** RFC 6531. Default `false`. */
  readonly smtpUtf8?: boolean;
  /** RFC 3461. Default `false`. */
  readonly dsn?: boolean;
  /** RFC 8689; offered inside TLS only. Default `false`. */
  readonly requireTls?: boolean;
  /** SASL mechanisms. Default: `PLAIN` and `LOGIN` where `users` are given. */
  readonly auth?: readonly string[];
  /** Postfix's XCLIENT with these attributes, such as `NAME`, `ADDR` and `PORT`. Default: not offered. */
  readonly xclient?: readonly string[];
  /** Postfix's XFORWARD with these attributes. Default: not offered. */
  readonly xforward?: readonly string[];
  /** Further EHLO lines. */
  readonly extra?: readonly string[];
}

/** Settings of a session of the SMTP or LMTP server. */
export interface MailSessionOptions extends SaslAccounts {
  /** Default `smtp`. */
  readonly protocol?: "smtp" | "lmtp";
  /** The name it greets with. Default `peer.relaypost.test`. */
  readonly hostname?: string;
  readonly capabilities?: Capabilities;
  /** Offers STARTTLS with this certificate. */
  readonly startTls?: Certificate;
  readonly tlsOptions?: TlsOptions;
  /** AUTH is offered, and taken, inside TLS only. Default `false`. */
  readonly authNeedsTls?: boolean;
  /** MAIL, VRFY and EXPN are refused (530) before a login. Default `false`. */
  readonly requireAuth?: boolean;
  /** Known recipients; a function may answer with a whole reply. Default: every address is known. */
  readonly recipients?: readonly string[] | ((address: string) => boolean | string);
  /** What VRFY answers, by argument; 550 for others. Default: 252 to everything. */
  readonly mailboxes?: Readonly<Record<string, string>>;
  /** What EXPN answers, by argument; 550 for others. Default: 502 to everything. */
  readonly lists?: Readonly<Record<string, readonly string[]>>;
  /** Refuse messages with an LF or CR of its own in their content (550 5.6.11) instead of only noting the violation. Default `false`. */
  readonly refuseBareNewlines?: boolean;
  /** What the ledger keeps of messages. Default `content`. */
  readonly keep?: LedgerDetail;
  /** Standing orders; more can be given later. */
  readonly overrides?: readonly Order[];
  /** Every reply goes out one octet a segment. Default `false`. */
  readonly octetReplies?: boolean;
}

/** The extensions' EHLO lines, without the greeting line. */
export function ehloLines(options: MailSessionOptions, isSecure: boolean): string[] {
  const { capabilities = {} } = options;
  const lines: string[] = [];
  if (capabilities.pipelining ?? true) {
    lines.push("PIPELINING");
  }
  if (capabilities.eightBitMime ?? true) {
    lines.push("8BITMIME");
  }
  if (capabilities.enhancedStatusCodes ?? true) {
    lines.push("ENHANCEDSTATUSCODES");
  }
  if (capabilities.chunking) {
    lines.push("CHUNKING");
  }
  if (capabilities.binaryMime) {
    lines.push("BINARYMIME");
  }
  if (capabilities.size !== undefined && capabilities.size !== false) {
    lines.push(capabilities.size === true ? "SIZE" : `SIZE ${capabilities.size}`);
  }
  if (capabilities.smtpUtf8) {
    lines.push("SMTPUTF8");
  }
  if (capabilities.dsn) {
    lines.push("DSN");
  }
  if (capabilities.requireTls && isSecure) {
    lines.push("REQUIRETLS");
  }
  if (options.startTls !== undefined && !isSecure) {
    lines.push("STARTTLS");
  }
  if (capabilities.xclient !== undefined) {
    lines.push(`XCLIENT ${capabilities.xclient.join(" ")}`);
  }
  if (capabilities.xforward !== undefined) {
    lines.push(`XFORWARD ${capabilities.xforward.join(" ")}`);
  }
  const mechanisms = offeredMechanisms(options, isSecure);
  if (mechanisms.length > 0) {
    lines.push(`AUTH ${mechanisms.join(" ")}`);
  }
  return [...lines, ...(capabilities.extra ?? [])];
}

/** The SASL mechanisms on offer now. */
export function offeredMechanisms(options: MailSessionOptions, isSecure: boolean): readonly string[] {
  if (options.authNeedsTls && !isSecure) {
    return [];
  }
  return options.capabilities?.auth ?? (options.users === undefined ? [] : ["PLAIN", "LOGIN"]);
}

/** Whether an address is known, or the reply that it gets. */
export function recipientTest(known: MailSessionOptions["recipients"]): (address: string) => boolean | string {
  if (known === undefined) {
    return () => true;
  }
  if (typeof known === "function") {
    return known;
  }
  const set = new Set(known);
  return (address) => set.has(address);
}
