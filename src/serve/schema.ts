/** Every key of `[serve]` and of the listeners in it, by protocol: what it takes, its default, what it means. docs/serve.md is held to it. */
import { isEhloName } from "../config/host-name.js";
import { type KeySpec, type Schema, secretKeys } from "../config/schema.js";
import { LISTEN_FORM, parseListenAddress } from "./listen-address.js";

/** What a listener of the daemon speaks (`serve.<name>.protocol`). */
export const SERVE_PROTOCOLS = ["socketmap", "tcp-table", "policy", "dovecot-auth", "smtp", "lmtp", "http"] as const;

/** One of {@link SERVE_PROTOCOLS}. */
export type ServeProtocol = (typeof SERVE_PROTOCOLS)[number];

const DAY_MS = 86_400_000;

/** The name of a map: the id of a host, and what is asked. */
export const MAP_NAME = /^([A-Za-z0-9_-]{1,64})-(rcpt|vrfy|expn)$/;

function duration<const Fallback extends string>(fallback: Fallback, meaning: string, most = DAY_MS) {
  return { kind: "duration", fallback, least: 10, most, meaning } as const satisfies KeySpec;
}

function count<const Fallback extends number>(fallback: Fallback, most: number, meaning: string) {
  return { kind: "integer", fallback, least: 1, most, meaning } as const satisfies KeySpec;
}

function size<const Fallback extends string>(fallback: Fallback, most: number, meaning: string) {
  return { kind: "size", fallback, least: 64, most, meaning } as const satisfies KeySpec;
}

/** Listeners that know passwords. */
const LOGINS = {
  "limits.log": count(
    100,
    100_000,
    "Most refused logins in a second that have a record each; further ones are counted by client.",
  ),
} as const satisfies Schema;

/** The keys of `serve` itself. */
export const SERVE_SCHEMA = {
  drain: duration("30s", "How long work in hand may go on after SIGTERM, SIGINT, or the removal of a listener."),
  log: {
    kind: "choice",
    fallback: "info",
    choices: ["debug", "info", "warn", "error"],
    meaning: "Lowest level of the records that are logged, as JSON on standard error.",
  },
} as const satisfies Schema;

const COMMON = {
  protocol: { kind: "choice", isRequired: true, choices: SERVE_PROTOCOLS, meaning: "What the listener speaks." },
  listen: {
    kind: "text",
    isRequired: true,
    check: { isRight: (text) => parseListenAddress(text) !== undefined, form: LISTEN_FORM },
    meaning: `Where it listens: ${LISTEN_FORM.replaceAll('"', "`")}. Port 0 is any free one.`,
  },
  mode: {
    kind: "text",
    fallback: "0660",
    check: { isRight: (text) => /^0?[0-7]{3}$/.test(text), form: 'an octal mode such as "0660"' },
    meaning: "Mode of a unix socket.",
  },
  "limits.clients": count(1000, 1_000_000, "Most connections at a time; further ones are closed at once."),
  "limits.idle": duration("5m", "A connection without a whole request, or with answers that nobody reads, is closed."),
} as const satisfies Schema;

const ANSWERED = {
  timeout: duration("30s", "How long an answer may take; past it the client is told to try again later."),
  "limits.pipeline": count(
    100,
    10_000,
    "Requests of one connection that are worked on at a time; no more are read before they are answered.",
  ),
} as const satisfies Schema;

const VALUE = {
  value: {
    kind: "text",
    fallback: "OK",
    meaning: "Result for a recipient that exists (`<id>-rcpt`). Maps of VRFY and EXPN have mailboxes as results.",
  },
} as const satisfies Schema;

const MAIL = {
  ...COMMON,
  host: {
    kind: "ruled-text",
    isRequired: true,
    check: {
      isRight: (text) => /^(?:[A-Za-z0-9_-]{1,64}|[45][0-9]{2} [ -~]{1,400})$/.test(text),
      form: 'the id of an SMTP or LMTP host, or a reply such as "550 5.7.1 relaying denied"',
    },
    meaning:
      "Id of the host that a recipient's mail goes to, or the reply that refuses the recipient; may be decided by rules.",
  },
  verify: {
    kind: "ruled-boolean",
    fallbackName: "`true` where the host has `lookup = true`",
    meaning: "Whether a recipient is looked up at its host before it is accepted; may be decided by rules.",
  },
  hostname: {
    kind: "text",
    fallbackName: "`runtime.hostname`",
    check: { isRight: isEhloName, form: 'a host name, or an address literal such as "[192.0.2.1]"' },
    meaning: "Name in the greeting and in `Received:`.",
  },
  timeout: duration(
    "5m",
    "How long the host may take after the end of a message; past it the client is told 451. Lookups have 30s at most.",
  ),
  "tls.implicit": { kind: "boolean", fallback: false, meaning: "TLS from the first octet." },
  "tls.cert": { kind: "pem", meaning: "PEM file of the certificate and its chain. Without one there is no TLS." },
  "tls.key": { kind: "pem", meaning: "PEM file of its private key." },
  ...secretKeys("tls.key-passphrase", "What an encrypted `tls.key` is decrypted with."),
  "tls.min-version": { kind: "choice", fallback: "1.2", choices: ["1.2", "1.3"], meaning: "Oldest TLS version." },
  "auth.host": { kind: "text", meaning: "Id of the host that knows the passwords. Without one there is no AUTH." },
  "auth.require": { kind: "boolean", fallback: false, meaning: "Nothing without a login. Needs `auth.host`." },
  "auth.allow-plaintext": { kind: "boolean", fallback: false, meaning: "Offer AUTH without TLS, too." },
  "limits.message": size("25MiB", 2 ** 40, "Largest message."),
  "limits.recipients": count(100, 100_000, "Most recipients of a message; further ones are told 452."),
  "limits.line": size("16KiB", 2 ** 20, "Longest command line."),
  ...LOGINS,
} as const satisfies Schema;

/** The keys of `serve.<name>`, by its protocol. */
export const LISTENER_SCHEMAS = {
  socketmap: {
    ...COMMON,
    ...ANSWERED,
    ...VALUE,
    "limits.request": size("8KiB", 2 ** 20, "Longest request, without the digits and the comma of its netstring."),
  },
  "tcp-table": {
    ...COMMON,
    map: {
      kind: "text",
      isRequired: true,
      check: {
        isRight: (text) => MAP_NAME.test(text),
        form: 'the id of a host and -rcpt, -vrfy or -expn: "lmtp-rcpt"',
      },
      meaning: "The one map that is asked: `<id>-rcpt`, `<id>-vrfy` or `<id>-expn`.",
    },
    ...ANSWERED,
    ...VALUE,
    "limits.request": size("4KiB", 2 ** 20, "Longest line."),
  },
  policy: {
    ...COMMON,
    host: { kind: "text", meaning: "Id of the host that is asked about the recipient. Or `rule`, or `action`." },
    rule: {
      kind: "text",
      meaning: "Name of a condition (`[rule.<name>]`): DUNNO where it holds, REJECT where it does not.",
    },
    action: { kind: "ruled-text", meaning: 'The action itself, such as `"DUNNO"`; usually decided by rules.' },
    reject: {
      kind: "text",
      fallbackName: "`REJECT` with the host's words",
      meaning: "Action where the recipient does not exist or the condition does not hold.",
    },
    ...ANSWERED,
    "limits.request": size("64KiB", 2 ** 24, "Largest request."),
    "limits.line": size("16KiB", 2 ** 24, "Longest line of a request."),
  },
  "dovecot-auth": {
    ...COMMON,
    host: { kind: "text", isRequired: true, meaning: "Id of the host that knows the passwords." },
    ...ANSWERED,
    timeout: duration(
      "8s",
      "How long an answer may take; past it the connection is closed. Postfix waits for 10 seconds.",
      8_000,
    ),
    "limits.idle": duration("1h", COMMON["limits.idle"].meaning),
    "limits.request": size("16KiB", 2 ** 20, "Longest line."),
    ...LOGINS,
  },
  smtp: MAIL,
  lmtp: MAIL,
  http: { ...COMMON, "limits.clients": count(100, 1_000_000, COMMON["limits.clients"].meaning) },
} as const satisfies Record<ServeProtocol, Schema>;
