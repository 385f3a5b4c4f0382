/** What the host offers (EHLO, CAPABILITY), beside what the configuration wants: unused, or wanted in vain. Pure; called by doctor.ts. */
import { chooseExternal } from "../../../workers/wire/sasl/external.js";
import { parseExtensions } from "../../../workers/wire/smtp/extensions.js";
import type { HostSettings } from "../../config/settings.js";
import { isFailure } from "../../errors.js";
import { isLoginOnly } from "../../messages/protocols.js";
import type { Finding, Offer } from "./finding.js";
import { imapFindings, plainText, problemOf } from "./login-offers.js";

const DEFAULT_PIPELINE = 50;

export function offerFindings(settings: HostSettings, offer: Offer): Finding[] {
  return isLoginOnly(settings.protocol)
    ? imapFindings(settings, offer)
    : [...extensionFindings(settings, offer), ...clientFindings(settings, offer), ...accountFindings(settings, offer)];
}

function extensionFindings({ limits, eightBit }: HostSettings, { extensions: lines }: Offer): Finding[] {
  const extensions = parseExtensions(lines);
  const has = (name: string) => lines.some((line) => line.toUpperCase().split(" ", 1)[0] === name);
  const found: Finding[] = [];
  const note = (message: string, put?: string) =>
    found.push({ severity: "note", topic: "extensions", message, ...(put === undefined ? {} : { put }) });
  if (extensions.pipelining && limits.pipeline === 1) {
    note("It offers PIPELINING, which limits.pipeline = 1 leaves unused.", `limits.pipeline = ${DEFAULT_PIPELINE}`);
  } else if (!extensions.pipelining && limits.pipeline > 1) {
    note("It does not offer PIPELINING: each command waits for its reply, and limits.pipeline has no effect.");
  }
  if (!extensions.eightBitMime && eightBit === "send") {
    const message =
      "It does not offer 8BITMIME: content with octets above 127 is sent as it is, and may arrive as something else.";
    found.push({ severity: "warning", topic: "extensions", message, put: 'eight-bit = "refuse"' });
  }
  const missing = [
    ...(extensions.smtputf8 ? [] : ["SMTPUTF8"]),
    ...(extensions.dsn ? [] : ["DSN"]),
    ...(extensions.requireTls ? [] : ["REQUIRETLS"]),
    ...(extensions.binaryMime && extensions.chunking ? [] : ["BINARYMIME"]),
  ];
  if (missing.length > 0) {
    note(`It does not offer ${missing.join(", ")}: messages that need one of them fail with MISSING_EXTENSION.`);
  }
  if (!has("ENHANCEDSTATUSCODES")) {
    note("It does not offer ENHANCEDSTATUSCODES: what a refusal is about is judged by its three digits alone.");
  }
  return [...found, ...sizeFindings(extensions.sizeOctets), ...limitFindings(lines, limits.requests)];
}

function sizeFindings(sizeOctets: number | undefined): Finding[] {
  if (sizeOctets === undefined) {
    return [{ severity: "note", topic: "limits", message: "It does not say how large a message may be (SIZE)." }];
  }
  if (sizeOctets === 0) {
    return [];
  }
  const message = `It takes messages of at most ${sizeOctets} octets (SIZE): a gateway should take no larger ones.`;
  return [{ severity: "note", topic: "limits", message }];
}

/** RFC 9422. */
function limitFindings(lines: readonly string[], requests: number): Finding[] {
  const words =
    lines
      .find((line) => /^LIMITS /i.test(line))
      ?.split(" ")
      .slice(1) ?? [];
  const declared = new Map(words.map((word) => word.toUpperCase().split("=", 2) as [string, string | undefined]));
  const numberOf = (name: string) =>
    /^\d{1,6}$/.test(declared.get(name) ?? "") ? Number(declared.get(name)) : undefined;
  const found: Finding[] = [];
  const messages = numberOf("MAILMAX");
  if (messages !== undefined && messages > 0 && messages < requests) {
    const message = `It takes ${messages} transactions on a connection (LIMITS MAILMAX): each connection has so many, and not limits.requests = ${requests}.`;
    found.push({ severity: "note", topic: "limits", message });
  }
  const recipients = numberOf("RCPTMAX");
  if (recipients !== undefined) {
    const message = `It takes ${recipients} recipients in a transaction (LIMITS RCPTMAX): messages to more are sent in several.`;
    found.push({ severity: "note", topic: "limits", message });
  }
  const domains = numberOf("RCPTDOMAINMAX");
  if (domains !== undefined) {
    const message = `It takes recipients of ${domains} domains in a transaction (LIMITS RCPTDOMAINMAX): messages to more are sent in several.`;
    found.push({ severity: "note", topic: "limits", message });
  }
  return found;
}

/** Whether the host can be told of clients as the configuration has it. */
function clientFindings({ client }: HostSettings, { extensions }: Offer): Finding[] {
  const { xclient, xforward } = parseExtensions(extensions);
  const missing = (client === "xclient" && xclient === undefined) || (client === "xforward" && xforward === undefined);
  if (missing) {
    const message = `It does not offer ${client.toUpperCase()} to us, by which it is to be told of clients (client).`;
    return [{ severity: "error", topic: "extensions", message, put: 'client = "none"' }];
  }
  if (client === "none" && xclient !== undefined) {
    const message = "It offers XCLIENT, and is not told of clients: it sees them all as this machine.";
    return [{ severity: "note", topic: "extensions", message, put: 'client = "xclient"' }];
  }
  return [];
}

function accountFindings(settings: HostSettings, offer: Offer): Finding[] {
  const { auth, lookup } = settings;
  if (auth !== undefined) {
    const problem =
      auth.by === "certificate"
        ? whyNot(chooseExternal(offer.mechanisms, auth.username, offer.isSecure))
        : problemOf(settings, offer, {
            username: auth.username,
            secret: auth.secret ?? "token",
            isToken: auth.by === "token",
          });
    if (problem === undefined) {
      return [];
    }
    const message = `Its account (auth) cannot be used: ${problem}`;
    return [{ severity: "error", topic: "login", message, ...(auth.by === "certificate" ? {} : plainText(offer)) }];
  }
  if (offer.mechanisms.length === 0 && lookup) {
    const message = "It offers no AUTH: recipients can be looked up, and passwords cannot.";
    return [{ severity: "note", topic: "login", message }];
  }
  const problem = lookup
    ? problemOf(settings, offer, { username: "user", secret: "secret", isToken: false })
    : undefined;
  if (problem !== undefined) {
    const message = `Recipients can be looked up, and passwords cannot: ${problem}`;
    return [{ severity: "note", topic: "login", message, ...plainText(offer) }];
  }
  return [];
}

function whyNot(exchange: ReturnType<typeof chooseExternal>): string | undefined {
  return isFailure(exchange) ? exchange.message : undefined;
}
