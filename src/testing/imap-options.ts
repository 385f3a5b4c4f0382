/** What an IMAP server of the testing kit is set to, and the capabilities that follow. Serves imap-session.ts. */
import type { Certificate } from "./certificates.js";
import type { Order } from "./orders.js";
import type { TlsOptions } from "./peer.js";
import type { SaslAccounts } from "./sasl-server.js";

/** Settings of a session of the IMAP server. */
export interface ImapSessionOptions extends SaslAccounts {
  /** SASL mechanisms on offer. Default `PLAIN`. */
  readonly mechanisms?: readonly string[];
  /** RFC 4959. Default `true`. */
  readonly saslIr?: boolean;
  /** RFC 7888. Default `true`. */
  readonly literalPlus?: boolean;
  /** RFC 8437. Default `false`. */
  readonly unauthenticate?: boolean;
  /** LOGINDISABLED stands in the capabilities, and LOGIN is refused. Default `false`. */
  readonly loginDisabled?: boolean;
  /** LOGINDISABLED and no mechanisms without TLS. Default `false`. */
  readonly authNeedsTls?: boolean;
  /** Further capabilities. */
  readonly extraCapabilities?: readonly string[];
  /** Capabilities stand in the greeting and in the OK of a login. Default `true`. */
  readonly announces?: boolean;
  /** Offers STARTTLS with this certificate. */
  readonly startTls?: Certificate;
  readonly tlsOptions?: TlsOptions;
  /** Standing orders; more can be given later. */
  readonly overrides?: readonly Order[];
  /** Every line goes out one octet a segment. Default `false`. */
  readonly octetReplies?: boolean;
}

/** Its capabilities, one word each. */
export function capabilitiesOf(options: ImapSessionOptions, isSecure: boolean): string[] {
  const words = ["IMAP4rev2", "IMAP4rev1"];
  if (options.saslIr ?? true) {
    words.push("SASL-IR");
  }
  if (options.literalPlus ?? true) {
    words.push("LITERAL+");
  }
  if (options.unauthenticate) {
    words.push("UNAUTHENTICATE");
  }
  if (options.startTls !== undefined && !isSecure) {
    words.push("STARTTLS");
  }
  if (isLoginDisabled(options, isSecure)) {
    words.push("LOGINDISABLED");
  }
  for (const mechanism of mechanismsOf(options, isSecure)) {
    words.push(`AUTH=${mechanism}`);
  }
  return [...words, ...(options.extraCapabilities ?? [])];
}

export function isLoginDisabled({ loginDisabled, authNeedsTls }: ImapSessionOptions, isSecure: boolean): boolean {
  return (loginDisabled ?? false) || ((authNeedsTls ?? false) && !isSecure);
}

/** SASL mechanisms on offer now. */
export function mechanismsOf({ authNeedsTls, mechanisms }: ImapSessionOptions, isSecure: boolean): readonly string[] {
  return authNeedsTls && !isSecure ? [] : (mechanisms ?? ["PLAIN"]);
}
