/**
 * What a host offers to those who log in (CAPABILITY, or AUTH of EHLO), beside what the configuration wants. Pure; called by
 * offer-findings.ts.
 */
import { randomBytes } from "node:crypto";
import { chooseExchange } from "../../../workers/wire/sasl/choose.js";
import type { SaslExchange } from "../../../workers/wire/sasl/exchange.js";
import type { HostSettings } from "../../config/settings.js";
import { type Failure, isFailure } from "../../errors.js";
import type { Finding, Offer } from "./finding.js";

const TOKEN_MECHANISMS = ["OAUTHBEARER", "XOAUTH2"];
const topic = "login";

/** Of a host that is asked about passwords and nothing else. */
export function imapFindings(settings: HostSettings, offer: Offer): Finding[] {
  return [...passwordFindings(settings, offer), ...capabilityFindings(settings, offer)];
}

/** Why these credentials fit no mechanism that is on offer. */
export function problemOf(
  settings: HostSettings,
  offer: Offer,
  credentials: { username: string; secret: string; isToken: boolean },
): string | undefined {
  const exchange = exchangeFor(settings, offer, credentials);
  return isFailure(exchange) ? exchange.message : undefined;
}

/** The line that lets a secret be shown without TLS, where that is what is missing. */
export function plainText({ isSecure, mechanisms }: Offer): { put?: string } {
  return isSecure || mechanisms.length === 0 ? {} : { put: "auth.allow-plaintext = true" };
}

/** By which mechanism, or command, a user's password goes. */
function passwordFindings(settings: HostSettings, offer: Offer): Finding[] {
  const { mechanisms, isSecure } = offer;
  const exchange = exchangeFor(settings, offer, { username: "user", secret: "secret", isToken: false });
  const isReadable = isSecure || settings.allowPlaintextAuth || settings.socketPath !== undefined;
  const isDisabled = hasCapability(offer, "LOGINDISABLED");
  const found: Finding[] = [];
  if (!isFailure(exchange)) {
    found.push({ severity: "note", topic, message: `Passwords are tried by ${exchange.mechanism}.` });
  } else if (isReadable && !isDisabled) {
    found.push({
      severity: "note",
      topic,
      message: "It offers no mechanism for passwords (SASL): they are tried by LOGIN, which has fewer answers.",
    });
  } else {
    const disabled = isDisabled ? " It has switched LOGIN off, too (LOGINDISABLED)." : "";
    const message = `No password can be tried: ${exchange.message}${disabled}`;
    found.push({ severity: "error", topic, message, ...plainText(offer) });
  }
  if (settings.allowPlaintextAuth && isSecure) {
    const message = "Passwords go through TLS; auth.allow-plaintext = true would let them go without.";
    found.push({ severity: "warning", topic, message, put: "auth.allow-plaintext = false" });
  }
  const tokens = TOKEN_MECHANISMS.filter((name) => mechanisms.some((each) => each.toUpperCase() === name));
  if (tokens.length > 0) {
    found.push({ severity: "note", topic, message: `Access tokens are tried by ${tokens[0]}.` });
  }
  return found;
}

function capabilityFindings({ client }: HostSettings, offer: Offer): Finding[] {
  const found: Finding[] = [];
  const note = (message: string, put?: string) =>
    found.push({ severity: "note", topic: "extensions", message, ...(put === undefined ? {} : { put }) });
  const has = (name: string) => hasCapability(offer, name);
  if (!has("SASL-IR") && offer.mechanisms.length > 0) {
    note("It does not offer SASL-IR: each login takes one round trip more.");
  }
  if (!has("UNAUTHENTICATE")) {
    note("It does not offer UNAUTHENTICATE: after a right password the connection is closed, and the next is opened.");
  }
  if (client === "id" && !has("ID")) {
    const message = "It does not offer ID, by which it is to be told of clients (client).";
    found.push({ severity: "error", topic: "extensions", message, put: 'client = "none"' });
  } else if (client === "none" && has("ID")) {
    const message =
      "It offers ID, and is not told of clients: it counts what they guess as this machine's. A Dovecot believes it from those in login_trusted_networks.";
    note(message, 'client = "id"');
  }
  return found;
}

function exchangeFor(
  settings: HostSettings,
  { mechanisms, isSecure }: Offer,
  credentials: { username: string; secret: string; isToken: boolean },
): SaslExchange | Failure {
  return chooseExchange(mechanisms, credentials, {
    isSecure,
    allowPlaintext: settings.allowPlaintextAuth,
    randomBytes,
    host: settings.address,
    port: settings.port,
  });
}

function hasCapability({ extensions }: Offer, name: string): boolean {
  return extensions.some((capability) => capability.toUpperCase() === name);
}
