/** Picks the strongest SASL mechanism that a peer offers and the channel allows. The sessions (smtp/, imap/) ask it once per login. */
import { createRequire } from "node:module";
import type saslprep from "@mongodb-js/saslprep";
import type { Failure } from "../../../src/errors.js";
import type { UserCredentials } from "../../../src/messages/contract.js";
import { CramMd5Exchange } from "./cram-md5.js";
import type { SaslExchange } from "./exchange.js";
import { LoginExchange } from "./login.js";
import { OAuthBearerExchange, XOAuth2Exchange } from "./oauth.js";
import { PlainExchange } from "./plain.js";
import { ScramExchange } from "./scram.js";
import type { ScramHash } from "./scram-keys.js";

/** What the choice depends on besides the peer's offer. */
export interface SaslChannel {
  /** TLS stands. */
  readonly isSecure: boolean;
  /** `auth.allow-plaintext`: mechanisms that show the secret may be used without TLS. */
  readonly allowPlaintext: boolean;
  readonly randomBytes: (octets: number) => Uint8Array;
  /** The configured address and port: OAUTHBEARER names them. */
  readonly host: string;
  readonly port: number;
}

interface Mechanism {
  readonly name: string;
  readonly forTokens: boolean;
  /** The secret crosses the wire. */
  readonly showsSecret: boolean;
  /** null: these credentials cannot be used with it. */
  readonly start: (credentials: UserCredentials, channel: SaslChannel) => SaslExchange | null;
}

/** Strongest first. */
const MECHANISMS: readonly Mechanism[] = [
  {
    name: "SCRAM-SHA-256",
    forTokens: false,
    showsSecret: false,
    start: (c, channel) => startScram("sha256", c, channel),
  },
  { name: "SCRAM-SHA-1", forTokens: false, showsSecret: false, start: (c, channel) => startScram("sha1", c, channel) },
  { name: "CRAM-MD5", forTokens: false, showsSecret: false, start: (c) => new CramMd5Exchange(c) },
  { name: "PLAIN", forTokens: false, showsSecret: true, start: (c) => new PlainExchange(c) },
  { name: "LOGIN", forTokens: false, showsSecret: true, start: (c) => new LoginExchange(c) },
  { name: "OAUTHBEARER", forTokens: true, showsSecret: true, start: startOAuthBearer },
  { name: "XOAUTH2", forTokens: true, showsSecret: true, start: (c) => new XOAuth2Exchange(c) },
];

/**
 * The exchange for these credentials, or MISSING_AUTH where nothing fits.
 * @param offered names of mechanisms, in any case and order
 */
export function chooseExchange(
  offered: readonly string[],
  credentials: UserCredentials,
  channel: SaslChannel,
): SaslExchange | Failure {
  // NUL parts the fields of PLAIN and %x01 those of the bearer mechanisms: neither may come from a user.
  if (/[\0\r\n]/.test(credentials.username + credentials.secret) || (credentials.isToken && hasControl(credentials))) {
    return { code: "INVALID_ARGUMENT", message: "The user name or the secret holds a control character." };
  }
  const names = new Set(offered.map((name) => name.toUpperCase()));
  const usable = MECHANISMS.filter(({ name, forTokens }) => forTokens === credentials.isToken && names.has(name));
  const mayShowSecret = channel.isSecure || channel.allowPlaintext;
  for (const mechanism of usable) {
    if (mechanism.showsSecret && !mayShowSecret) {
      continue;
    }
    const exchange = mechanism.start(credentials, channel);
    if (exchange !== null) {
      return exchange;
    }
  }
  return missingAuth(names, usable, credentials.isToken, mayShowSecret);
}

function missingAuth(
  names: ReadonlySet<string>,
  usable: readonly Mechanism[],
  isToken: boolean,
  mayShowSecret: boolean,
): Failure {
  // The names are the peer's words: only what looks like a mechanism (RFC 4422 3.1) is repeated.
  const shown = [...names].filter((name) => /^[A-Z0-9_-]{1,20}$/.test(name)).slice(0, 12);
  const offer = shown.length === 0 ? "offers no SASL mechanism" : `offers only ${shown.join(", ")}`;
  const kind = isToken ? "an access token" : "a password";
  const withheld = usable.some(({ showsSecret }) => showsSecret) && !mayShowSecret;
  const advice = withheld
    ? "That would show the secret over plain text: use TLS, or set auth.allow-plaintext = true."
    : isToken
      ? "Enable OAUTHBEARER or XOAUTH2 on the server."
      : "Enable SCRAM-SHA-256 or, under TLS, PLAIN on the server.";
  return { code: "MISSING_AUTH", message: `The server ${offer}; none can carry ${kind} here. ${advice}` };
}

/**
 * RFC 5802 5.1 and 2.2: the user name is prepared as a query string, the password as a stored one, in which characters that
 * Unicode 3.2 did not know are prohibited. Such a password cannot be used with SCRAM; PLAIN takes it as it is.
 */
function startScram(hash: ScramHash, credentials: UserCredentials, channel: SaslChannel): SaslExchange | null {
  const username = prepare(credentials.username, true);
  const password = prepare(credentials.secret, false);
  if (username === null || password === null) {
    return null;
  }
  const nonce = Buffer.from(channel.randomBytes(18)).toString("base64");
  return new ScramExchange({ hash, username, password, nonce, isSecure: channel.isSecure });
}

/** Its tables weigh megabytes in every thread, and few names and passwords need them: loaded when the first one does. */
let loadedSaslprep: typeof saslprep | undefined;
const require = createRequire(import.meta.url);

function prepare(text: string, allowUnassigned: boolean): string | null {
  // Printable ASCII is what it was: no need for the tables.
  if (/^[\x20-\x7e]+$/.test(text)) {
    return text;
  }
  try {
    loadedSaslprep ??= require("@mongodb-js/saslprep") as typeof saslprep;
    const prepared = loadedSaslprep(text, { allowUnassigned });
    return prepared === "" ? null : prepared;
  } catch {
    return null;
  }
}

function startOAuthBearer(credentials: UserCredentials, channel: SaslChannel): SaslExchange {
  return new OAuthBearerExchange(credentials, channel.host, channel.port);
}

function hasControl({ username, secret }: UserCredentials): boolean {
  return /[\x00-\x1f\x7f]/.test(username + secret);
}
