/** Every key of `[serve]` and of the listeners in it, by protocol: what it takes, its default, what it means. docs/serve.md is held to it. */
import { isEhloName } from "../config/host-name.js";
import { type KeySpec, type Schema, secretKeys } from "../config/key-spec.js";
import { parseIpRange } from "../rules/ip-range.js";
import { LISTEN_FORM, parseListenAddress } from "./listen-address.js";

/** What a listener of the daemon speaks (`serve.<name>.protocol`). */
export const SERVE_PROTOCOLS = [
  "socketmap",
  "tcp-table",
  "policy",
  "dovecot-auth",
  "smtp",
  "lmtp",
  "http",
  "control",
] as const;

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

/** Listeners that check passwords. */
const LOGINS = {
  "limits.log": count(
    100,
    100_000,
    "Maximum number of refused logins per second that have a log record each; further ones are counted by client.",
  ),
} as const satisfies Schema;

/** The keys of `serve` itself. */
export const SERVE_SCHEMA = {
  drain: duration(
    "30s",
    "How long requests in progress may go on after SIGTERM, SIGINT, or the removal of a listener.",
  ),
  "log.level": {
    kind: "choice",
    fallback: "info",
    choices: ["debug", "info", "warn", "error"],
    meaning: 'Lowest level that is logged on standard error. `log = "debug"` is short for it.',
  },
  "log.addresses": {
    kind: "choice",
    fallback: "full",
    choices: ["full", "domain", "none"],
    meaning:
      "How much records contain of the addresses of senders, recipients and users: everything, the domain, or nothing. With `domain` and `none`, only the codes are kept of a host's replies.",
  },
} as const satisfies Schema;

const COMMON = {
  protocol: { kind: "choice", isRequired: true, choices: SERVE_PROTOCOLS, meaning: "Protocol of the listener." },
  listen: {
    kind: "text",
    isRequired: true,
    check: { isRight: (text) => parseListenAddress(text) !== undefined, form: LISTEN_FORM },
    meaning: `Address to listen on: ${LISTEN_FORM.replaceAll('"', "`")}. Port 0 is any free one.`,
  },
  mode: {
    kind: "text",
    fallback: "0660",
    check: { isRight: (text) => /^0?[0-7]{3}$/.test(text), form: 'an octal mode such as "0660"' },
    meaning: "Mode of a unix socket.",
  },
  "limits.clients": count(1000, 1_000_000, "Maximum number of connections; further ones are closed at once."),
  "limits.idle": duration(
    "5m",
    "A connection is closed after this time without a complete request, or with replies that the client does not read.",
  ),
} as const satisfies Schema;

/** Listeners whose clients may come through proxies. */
const PROXIED = {
  "proxy-from": {
    kind: "texts",
    check: {
      isRight: (text) => parseIpRange(text) !== undefined,
      form: 'an IP address or a range such as "127.0.0.1/32"',
    },
    meaning:
      "Array of IP addresses and ranges of proxies. Their connections must begin with a header of the PROXY protocol, version 1 or 2, which names the client. Nobody else's header is taken.",
  },
} as const satisfies Schema;

const ANSWERED = {
  ...PROXIED,
  timeout: duration("30s", "Time limit for an answer; after it the client is told to try again later."),
  "limits.pipeline": count(
    100,
    10_000,
    "Maximum number of requests of one connection in progress; no more are read until one is answered.",
  ),
} as const satisfies Schema;

const VALUE = {
  value: {
    kind: "text",
    fallback: "OK",
    meaning: "Result for a recipient that exists (`<id>-rcpt`). Maps of VRFY and EXPN return mailboxes.",
  },
} as const satisfies Schema;

const MAIL = {
  ...COMMON,
  ...PROXIED,
  host: {
    kind: "ruled-text",
    isRequired: true,
    check: {
      isRight: (text) => /^(?:[A-Za-z0-9_-]{1,64}|[45][0-9]{2} [ -~]{1,400})$/.test(text),
      form: 'the id of an SMTP or LMTP host, or a reply such as "550 5.7.1 relaying denied"',
    },
    meaning:
      "Id of the host that gets the recipient's mail, or a reply that refuses the recipient; may be decided by rules.",
  },
  verify: {
    kind: "ruled-boolean",
    fallbackName: "`true` where the host has `lookup = true`",
    meaning: "Whether a recipient is looked up on its host before it is accepted; may be decided by rules.",
  },
  tenant: {
    kind: "choice",
    fallbackName: "nobody",
    choices: ["listener", "authenticated-as", "sender-domain"],
    meaning:
      "Whose messages and lookups these are, so that tenants have fair parts of a host: the listener's, the logged-in user's, or the sender's domain's. See [tenants.md](tenants.md).",
  },
  hostname: {
    kind: "text",
    fallbackName: "`runtime.hostname`, or the machine's name",
    check: { isRight: isEhloName, form: 'a host name, or an address literal such as "[192.0.2.1]"' },
    meaning: "Name in the greeting and in `Received:`.",
  },
  timeout: duration(
    "5m",
    "Time limit for the host's reply to a message; after it the client is told 451. Lookups have 30s at most.",
  ),
  "tls.implicit": { kind: "boolean", fallback: false, meaning: "TLS from the first octet." },
  "tls.cert": { kind: "pem", meaning: "PEM file of the certificate and its chain. Without one there is no TLS." },
  "tls.key": { kind: "pem", meaning: "PEM file of its private key." },
  ...secretKeys("tls.key-passphrase", "Passphrase of an encrypted `tls.key`."),
  "tls.min-version": { kind: "choice", fallback: "1.2", choices: ["1.2", "1.3"], meaning: "Oldest TLS version." },
  "auth.host": { kind: "text", meaning: "Id of the host that checks passwords. Without one there is no AUTH." },
  "auth.require": { kind: "boolean", fallback: false, meaning: "Accept no mail without a login. Needs `auth.host`." },
  "auth.allow-plaintext": { kind: "boolean", fallback: false, meaning: "Offer AUTH without TLS, too." },
  "limits.message": size("25MiB", 2 ** 40, "Maximum size of a message."),
  "limits.recipients": count(100, 100_000, "Maximum number of recipients of a message; further ones are told 452."),
  "limits.line": size("16KiB", 2 ** 20, "Maximum length of a command line."),
  ...LOGINS,
} as const satisfies Schema;

/** The keys of `serve.<name>`, by its protocol. */
export const LISTENER_SCHEMAS = {
  socketmap: {
    ...COMMON,
    ...ANSWERED,
    ...VALUE,
    "limits.request": size(
      "8KiB",
      2 ** 20,
      "Maximum length of a request, without the digits and the comma of its netstring.",
    ),
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
      meaning: "The map of this listener: `<id>-rcpt`, `<id>-vrfy` or `<id>-expn`.",
    },
    ...ANSWERED,
    ...VALUE,
    "limits.request": size("4KiB", 2 ** 20, "Maximum length of a line."),
  },
  policy: {
    ...COMMON,
    host: {
      kind: "text",
      meaning: "Id of the host that is asked about the recipient. Exactly one of `host`, `rule` and `action`.",
    },
    rule: {
      kind: "text",
      meaning: "Name of a condition (`[rule.<name>]`): DUNNO if it holds, REJECT if not.",
    },
    action: { kind: "ruled-text", meaning: 'The action, such as `"DUNNO"`; usually decided by rules.' },
    reject: {
      kind: "text",
      fallbackName: "`REJECT` with the host's text",
      meaning: "Action if the recipient does not exist or the condition does not hold.",
    },
    ...ANSWERED,
    "limits.request": size("64KiB", 2 ** 24, "Maximum size of a request."),
    "limits.line": size("16KiB", 2 ** 24, "Maximum length of a line of a request."),
  },
  "dovecot-auth": {
    ...COMMON,
    host: { kind: "text", isRequired: true, meaning: "Id of the host that checks passwords." },
    ...ANSWERED,
    timeout: duration(
      "8s",
      "Time limit for an answer; after it the connection is closed. Postfix waits for 10 seconds.",
      8_000,
    ),
    "limits.idle": duration("1h", COMMON["limits.idle"].meaning),
    "limits.request": size("16KiB", 2 ** 20, "Maximum length of a line."),
    ...LOGINS,
  },
  smtp: MAIL,
  lmtp: MAIL,
  http: {
    ...COMMON,
    addresses: {
      kind: "boolean",
      fallback: false,
      meaning: "Whether the page shows replies of hosts with the recipients' addresses that stand in them.",
    },
    "token-file": {
      kind: "text",
      meaning:
        "File with the token, at least 16 characters, with which hosts can be paused, resumed and reconnected on the page, and cached answers dropped. Without one the page only shows. Needs a unix socket or loopback; relative to the configuration file.",
    },
    "limits.clients": count(100, 1_000_000, COMMON["limits.clients"].meaning),
  },
  control: {
    ...COMMON,
    mode: { ...COMMON.mode, fallback: "0600" },
    "token-file": {
      kind: "text",
      meaning:
        "File with the token that clients must have, at least 16 characters. Required on a port; relative to the configuration file.",
    },
    addresses: {
      kind: "boolean",
      fallback: false,
      meaning: "Whether traces and replies of hosts are shown with the recipients' addresses that stand in them.",
    },
    "limits.clients": count(100, 1_000_000, COMMON["limits.clients"].meaning),
  },
} as const satisfies Record<ServeProtocol, Schema>;
