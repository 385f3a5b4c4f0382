/**
 * Every key of `remote.<id>`, in one table: what it takes, its default, and what it means.
 * Reading, "did you mean" and docs/configuration.md all come from here.
 */
import { isFingerprint } from "./fingerprint.js";
import { isAddress, isIpAddress, parseSrvAddress, parseUnixAddress } from "./host-name.js";
import { count, flag, MOST_TIMER_MS, MOST_TTL_MS, type Schema, secretKeys, timeout, ttl } from "./key-spec.js";
import { SHADOW_KEYS } from "./shadow-schema.js";
import { isTokenUrl, TOKEN_URL_FORM } from "./token-url.js";

const ADDRESS_FORM = 'a host name or an IP address without a port, such as "mail.example.org" or "2001:db8::1"';
const PEER_FORM = `${ADDRESS_FORM}, or a unix socket, such as "unix:/run/dovecot/lmtp", or SRV records, such as "srv:_lmtp._tcp.example.org"`;

function isPeer(text: string): boolean {
  return isAddress(text) || parseUnixAddress(text) !== undefined || parseSrvAddress(text) !== undefined;
}

/** The keys of `remote.<id>`. */
export const HOST_SCHEMA = {
  address: {
    kind: "address",
    isRequired: true,
    check: { isRight: isPeer, form: PEER_FORM },
    meaning:
      "Name or IP address of the remote server, or its unix socket: `unix:/path`, or `unix:@name` in Linux' abstract namespace. An IPv6 address may stand in brackets. An array of tables names [several addresses of one service](#several-addresses-of-one-service), and so do SRV records: `srv:_lmtp._tcp.example.org`.",
  },
  port: {
    kind: "integer",
    fallbackName: "*required*, but for `unix:` and `srv:`",
    least: 1,
    most: 65_535,
    meaning:
      "Port on the remote server. A unix socket has none, and SRV records name it. With several addresses: that of those that name none.",
  },
  protocol: { kind: "choice", isRequired: true, choices: ["smtp", "lmtp", "imap"], meaning: "What the server speaks." },
  concurrency: count(10, 1, 10_000, "Maximum number of connections, including those being opened."),
  "concurrency-per-address": {
    kind: "integer",
    fallbackName: "`concurrency`",
    least: 1,
    most: 10_000,
    meaning: "With several addresses: maximum number of connections to one of them.",
  },
  sticky: {
    kind: "choice",
    fallback: "none",
    choices: ["none", "recipient"],
    meaning:
      "With several addresses: whether each recipient has [one of its own](#an-address-for-each-recipient), for messages and lookups.",
  },
  timeout: timeout("60s", "Limit on establishing a connection: DNS, TCP and TLS together."),
  lookup: flag(false, "Whether the host may be used for lookups."),
  client: {
    kind: "choice",
    fallback: "none",
    choices: ["none", "id", "xclient", "xforward", "proxy-v2"],
    meaning:
      "How the host is told of the client that a request names: by IMAP's `ID`, by Postfix's `XCLIENT` or `XFORWARD` (SMTP and LMTP), or by the PROXY protocol's header in front of each connection. The host must trust this gateway's address for it.",
  },
  "source-address": {
    kind: "text",
    check: { isRight: isIpAddress, form: 'an IP address of this machine, such as "192.0.2.1"' },
    meaning: "Local IP address to connect from.",
  },
  replies: {
    kind: "reply-rules",
    meaning:
      "What this host's replies mean, where you know it better: an array of rules, of which the first that fits is taken. See [replies.md](replies.md#rules-for-replies).",
  },
  "bare-recipients": flag(
    false,
    "LMTP only: a recipient may be a bare local part (`RCPT TO:<john>`), for stores that know users by bare names.",
  ),
  "eight-bit": {
    kind: "choice",
    fallback: "send",
    choices: ["send", "refuse"],
    meaning:
      "Content with octets above 127 for a host without 8BITMIME: `send` it as it is, as most clients do, or `refuse` it with `MISSING_EXTENSION`. SMTP and LMTP only.",
  },
  "tls.implicit": {
    kind: "boolean",
    fallbackName: "`true`; `false` for `unix:`",
    meaning: "TLS from the first octet; with `false`, STARTTLS on a clear-text connection.",
  },
  "tls.starttls": {
    kind: "choice",
    fallbackName: '`"require"`; `"disable"` for `unix:`',
    choices: ["require", "optional", "disable"],
    meaning:
      "Only with `tls.implicit = false`. `require`: never continue without TLS. `optional`: continue in plain text where the peer does not offer STARTTLS, so that an attacker on the network can switch TLS off. `disable`: never use TLS.",
  },
  "tls.allow-invalid-certs": flag(false, "Accept self-signed and invalid certificates."),
  "tls.ca": {
    kind: "pem",
    fallbackName: "system CAs",
    meaning: "PEM file of the CAs to trust instead of the system's.",
  },
  "tls.cert": {
    kind: "pem",
    meaning: "PEM file of our own certificate and its chain, for servers that ask for one. Needs `tls.key`.",
  },
  "tls.key": { kind: "pem", meaning: "PEM file of that certificate's private key." },
  ...secretKeys("tls.key-passphrase", "Passphrase of an encrypted `tls.key`."),
  "tls.server-name": {
    kind: "text",
    fallbackName: "`address`; `localhost` for `unix:`",
    check: { isRight: isAddress, form: ADDRESS_FORM },
    meaning: "Name to send in SNI and to expect in the certificate.",
  },
  "tls.fingerprints": {
    kind: "texts",
    check: { isRight: isFingerprint, form: '"sha256:" and 64 hexadecimal digits' },
    meaning:
      "Array of fingerprints (`sha256:…`) of the server's certificate or of its public key. Exactly those are trusted, whatever their names, dates and CAs. `relaypost probe` prints them.",
  },
  "tls.min-version": { kind: "choice", fallback: "1.2", choices: ["1.2", "1.3"], meaning: "Oldest TLS version." },
  "auth.username": {
    kind: "text",
    meaning:
      "Account that the connections themselves log in with; SMTP and LMTP only. Needs `auth.secret`, `auth.oauth2` or `auth.external`.",
  },
  ...secretKeys("auth.secret", "Its password."),
  "auth.external": flag(
    false,
    "Log in by the client certificate (`tls.cert`), with SASL EXTERNAL. `auth.username` may be left out then; the host knows whose the certificate is.",
  ),
  "auth.oauth2.token-url": {
    kind: "text",
    check: { isRight: isTokenUrl, form: TOKEN_URL_FORM },
    meaning:
      "Where access tokens are fetched (OAuth 2.0), by which the account logs in with OAUTHBEARER or XOAUTH2. See [configuration.md](configuration.md#accounts-by-oauth-20).",
  },
  "auth.oauth2.client-id": { kind: "text", meaning: "Name of this gateway at the token server. Required with it." },
  ...secretKeys("auth.oauth2.client-secret", "Password of `client-id`."),
  "auth.oauth2.client-auth": {
    kind: "choice",
    fallback: "post",
    choices: ["post", "basic"],
    meaning:
      "Where that password is sent: in the request's body (`client_secret_post`) or in its `Authorization` (`client_secret_basic`).",
  },
  "auth.oauth2.private-key-file": {
    kind: "pem",
    meaning: "PEM file of a private key that `client-id` proves itself by (`private_key_jwt`), instead of a password.",
  },
  "auth.oauth2.certificate-file": {
    kind: "pem",
    meaning:
      "PEM file of that key's certificate, by which the token server finds the key (`x5t#S256` and `x5t`). Microsoft Entra wants it.",
  },
  "auth.oauth2.key-id": {
    kind: "text",
    meaning: "Name of that key, by which the token server finds it (`kid`).",
  },
  "auth.oauth2.grant": {
    kind: "choice",
    fallback: "client-credentials",
    choices: ["client-credentials", "refresh-token"],
    meaning: "How a token is asked for: as the client itself, or with the refresh token of a user who has agreed.",
  },
  ...secretKeys("auth.oauth2.refresh-token", 'The refresh token, with `grant = "refresh-token"`.'),
  "auth.oauth2.scope": { kind: "text", meaning: "What the token is to allow, as the host's provider names it." },
  "auth.oauth2.audience": { kind: "text", meaning: "Whom the token is for, where the token server asks for that." },
  "auth.allow-plaintext": {
    kind: "boolean",
    fallbackName: "`false`; `true` for `unix:`",
    meaning:
      "Send passwords without TLS, in `auth` and in lookups, where the peer offers no mechanism that hides them.",
  },
  "timeouts.greeting": timeout("5m", "Longest wait for the greeting (RFC 5321 4.5.3.2.1)."),
  "timeouts.mail": timeout("5m", "Longest wait for the reply to MAIL (4.5.3.2.2)."),
  "timeouts.rcpt": timeout("5m", "Longest wait for the reply to RCPT (4.5.3.2.3)."),
  "timeouts.data-initiation": timeout("2m", "Longest wait for the 354 to DATA (4.5.3.2.4)."),
  "timeouts.data-block": timeout("3m", "Longest wait for the peer to read a part of the content (4.5.3.2.5)."),
  "timeouts.data-termination": timeout("10m", "Longest wait for the reply to the final dot (4.5.3.2.6)."),
  "timeouts.command": timeout("5m", "Longest wait for the reply to any other command."),
  "timeouts.lookup": timeout(
    "10s",
    "Longest silence of the host while a lookup is in flight, and longest time until a connection that a lookup waits for is ready. A login may go on for 30 s while the host speaks on other connections.",
  ),
  "limits.errors": count(
    3,
    1,
    1_000_000,
    "A connection is closed after this many negative replies (to RCPT, VRFY, EXPN and AUTH, or malformed). No more lookups than this are in flight on one connection: raise it where the peer tolerates more.",
  ),
  "limits.requests": count(50, 1, 1_000_000_000, "Relays and lookups after which a connection is closed and replaced."),
  "limits.idle": timeout("30s", "An idle connection is closed after this time."),
  "limits.lifetime": timeout("5m", "A connection is closed after this time, once its work is done."),
  "limits.queue": count(
    10_000,
    1,
    10_000_000,
    "Maximum number of waiting requests. Further ones are refused at once (`MAILBOX_FULL`).",
  ),
  "limits.queue-bytes": {
    kind: "size",
    fallback: "64MiB",
    most: 2 ** 40,
    meaning: "Maximum size of the content of waiting messages. Further relays are refused at once (`MAILBOX_FULL`).",
  },
  "limits.pipeline": count(
    50,
    1,
    1000,
    "Maximum number of commands in flight on one connection; `1` switches pipelining off.",
  ),
  "limits.refusals": count(
    5,
    1,
    1_000_000,
    "After this many policy refusals of recipients in a row (5.7.x, 554, 521), the host counts as blocking the gateway. Such refusals are errors then, until the host accepts a recipient.",
  ),
  "limits.recipients": {
    kind: "integer",
    fallbackName: "what the host takes",
    least: 1,
    most: 1_000_000,
    meaning:
      "Maximum number of recipients in one transaction. A message to more of them is sent in several. SMTP and LMTP only.",
  },
  "limits.per-user": {
    kind: "integer",
    fallbackName: "half of `concurrency`",
    least: 1,
    most: 1_000_000,
    meaning:
      "Maximum number of connections that try one user's passwords at a time. Never more than half of them, but one at least.",
  },
  "limits.per-client": {
    kind: "integer",
    fallbackName: "half of `concurrency`",
    least: 1,
    most: 1_000_000,
    meaning: "The same for one client (an IPv4 address or an IPv6 /64), where clients are known.",
  },
  "limits.rate": {
    kind: "rate",
    fallbackName: "no limit",
    meaning:
      'How often messages, and lookups and logins that reach the host, may begin: `"200/s"`, `"30/m"`, `/h` or `/d`. Further ones wait in the queue, with their deadline.',
  },
  "limits.rate-burst": {
    kind: "integer",
    fallbackName: "what `limits.rate` is in a second, at least 1",
    least: 1,
    most: 1_000_000,
    meaning: "How many of them may begin at once after a pause.",
  },
  "lookups.catch-all": {
    kind: "choice",
    fallback: "off",
    choices: ["detect", "off"],
    meaning:
      "`detect`: find out for which domains the host accepts every recipient, by asking for a random one of each domain at most once a day. See [replies.md](replies.md#hosts-that-accept-every-recipient).",
  },
  "lookups.accepts-all": {
    kind: "choice",
    fallback: "found",
    choices: ["found", "no-answer"],
    meaning:
      "What `in-list` and the adapters make of a recipient of such a domain: it is `found`, or there is `no-answer` (`ACCEPTS_ALL`). Needs `lookups.catch-all`.",
  },
  "limits.guesses": count(
    10,
    0,
    1000,
    "Wrong passwords in a minute, each different, that one user or one client may have. relaypost tells of further ones late: after 1, 2, 4, 8, then 15 s. `0`: it never does. See [clients.md](clients.md#guessing).",
  ),
  "lookups.harvest.unknown": {
    kind: "integer",
    fallbackName: "off",
    least: 1,
    most: 1_000_000,
    meaning:
      "A client that was told of so many unknown recipients within `window` is suspected of harvesting addresses, if they are `ratio` of all that it asked for. Needs requests that name their `client`. See [replies.md](replies.md#clients-that-try-out-addresses).",
  },
  "lookups.harvest.window": {
    kind: "duration",
    fallback: "10m",
    least: 1000,
    most: MOST_TIMER_MS,
    meaning: "The time that counts.",
  },
  "lookups.harvest.ratio": { kind: "fraction", fallback: 0.8, meaning: "The share that counts." },
  "cluster.concurrency": {
    kind: "integer",
    fallbackName: "no limit",
    least: 1,
    most: 1_000_000,
    meaning:
      "Maximum number of connections of all gateways of the cluster together, those being opened included. `concurrency` stays the maximum of each gateway. Needs a `[cluster]` table.",
  },
  "cluster.rate": {
    kind: "rate",
    fallbackName: "no limit",
    meaning:
      "`limits.rate` of all gateways of the cluster together. Each leases the part of it that it can use; `limits.rate` stays the maximum of each gateway. Needs a `[cluster]` table.",
  },
  "cluster.rate-burst": {
    kind: "integer",
    fallbackName: "what `cluster.rate` is in a second, at least 1",
    least: 1,
    most: 1_000_000,
    meaning:
      "How many requests of all gateways together may begin at once after a pause. Each gateway may begin one in any case.",
  },
  "cluster.cache": flag(
    false,
    "Share answers about recipients and lists with the other gateways of the cluster, encrypted. Needs `cluster.secret-file`, and a cache.",
  ),
  "cluster.cache-auth": flag(
    false,
    "Share which passwords were right, too, as keyed digests. Needs `cluster.cache`. An old password works for `cache.ttl.auth` after it was changed.",
  ),
  "cluster.health": flag(
    true,
    "Tell the other gateways of the cluster that the host is down, is back, blocks, or bears fewer connections, and hear it from them. Without effect where nothing else of `cluster` is set and this is not either.",
  ),
  ...SHADOW_KEYS,
  "cache.entries": count(
    1024,
    0,
    10_000_000,
    "Maximum number of answers in each of the two caches (positive and negative); `0` switches caching off.",
  ),
  "cache.ttl.positive": ttl("1d", "How long a positive answer is kept."),
  "cache.ttl.negative": ttl("1h", "How long a negative answer is kept."),
  "cache.ttl.auth": ttl(
    "5m",
    "How long a right password is kept, `cache.ttl.positive` at most. An old password works for so long after it was changed.",
  ),
  "cache.ttl.state": ttl(
    "1m",
    "How long it is kept that a mailbox exists and takes no mail now (full, disabled); `cache.ttl.negative` at most.",
  ),
  "cache.stale-if-error": {
    kind: "duration",
    fallbackName: "off",
    most: MOST_TTL_MS,
    meaning: "How long past its time a positive answer is still used while the host does not answer.",
  },
  "cache.stale-auth": flag(false, "Whether `cache.stale-if-error` applies to logins, too."),
  "cache.by-client": flag(
    false,
    "Cache answers separately for each client address, for a host whose answer depends on the client, such as Dovecot with `allow_nets`.",
  ),
  "cache.learn": flag(
    true,
    "Whether messages teach the cache which recipients exist, where `lookup` is `true`: see [replies.md](replies.md#what-messages-teach-the-cache).",
  ),
  "cache.file": {
    kind: "text",
    meaning:
      "File in which the cache outlives a restart. It is read at the start, and written every five minutes, when the host is closed, and a second after `forget()`. It never holds answers about passwords. Relative names start from the configuration file. Each host needs a file of its own.",
  },
  "cache.refresh": {
    kind: "fraction",
    fallback: 0,
    meaning:
      "A positive answer that is used within this last fraction of its time (`0.1`: the last tenth) is renewed in the background; `0` means never.",
  },
} as const satisfies Schema;

/** Top-level tables that other parts of the house read. */
export const OTHER_TABLES = ["rule", "list", "serve"] as const;
