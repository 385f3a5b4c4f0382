/**
 * Asks a token server for one access token (RFC 6749), by oauth4webapi, and says in plain words what came of it. Serves
 * token-source.ts, which decides when. What it returns and throws repeats no secret.
 */
import { createPrivateKey, type KeyObject, webcrypto } from "node:crypto";
import * as oauth from "oauth4webapi";
import type { OAuth2Settings } from "../config/settings.js";
import { isLoopbackUrl } from "../config/token-url.js";
import { repeatsSecret } from "../secret-forms.js";

/** An answer has to be there within it, whole. */
const LIMIT_MS = 10_000;
const MOST_OCTETS = 256 * 1024;
/** The longest token that a user may log in with, too. */
const MOST_TOKEN_OCTETS = 8_000;
/** RFC 6749 5.2; those that are known have less than half of that. */
const ERROR_CODE = /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}$/;
/** RFC 6750 2.1, and nothing that a mechanism could take for a separator. */
const TOKEN = /^[\x21-\x7e]+$/;

/** What the server gave. */
export interface FetchedToken {
  readonly token: string;
  /** In milliseconds; `undefined`: it did not say. */
  readonly lifetimeMs: number | undefined;
  /** Another one takes the place of the refresh token that was used. */
  readonly refreshToken: string | undefined;
}

/** Why there is no token: what the server said, or that it said nothing. */
export class TokenError extends Error {
  /** The server read the request and does not like it: to ask again as soon would change nothing. */
  readonly isRefusal: boolean;
  /** It asks to be left alone for so long. */
  readonly retryAfterMs: number;
  /** RFC 6749 5.2; `undefined` where it is none, or repeats a secret. */
  readonly code: string | undefined;

  constructor(message: string, details: { code?: string; isRefusal?: boolean; retryAfterMs?: number } = {}) {
    super(message);
    this.code = details.code;
    this.isRefusal = details.isRefusal ?? false;
    this.retryAfterMs = details.retryAfterMs ?? 0;
  }
}

/**
 * Fetches one token.
 *
 * @throws TokenError
 */
export async function fetchToken(
  settings: OAuth2Settings,
  refreshToken: string | undefined,
  signal: AbortSignal,
  limitMs = LIMIT_MS,
): Promise<FetchedToken> {
  const secrets = [settings.clientSecret, refreshToken].filter((secret) => secret !== undefined);
  const exchange = new Exchange(AbortSignal.any([signal, AbortSignal.timeout(limitMs)]), limitMs);
  try {
    const result = await request(settings, refreshToken, exchange);
    if (result.token_type !== "bearer") {
      throw new TokenError("handed out a token of another kind than bearer");
    }
    const { access_token: token, expires_in: seconds } = result;
    if (!TOKEN.test(token) || token.length > MOST_TOKEN_OCTETS) {
      throw new TokenError("handed out something that no mail protocol can carry as a token");
    }
    if (seconds !== undefined && !(seconds > 0)) {
      throw new TokenError("handed out a token that has ended already");
    }
    const lifetimeMs = seconds === undefined ? undefined : seconds * 1000;
    return { token, lifetimeMs, refreshToken: result.refresh_token };
  } catch (error) {
    throw error instanceof TokenError ? error : describe(error, exchange, secrets);
  }
}

async function request(
  settings: OAuth2Settings,
  refreshToken: string | undefined,
  exchange: Exchange,
): Promise<oauth.TokenEndpointResponse> {
  const { tokenUrl, clientId, scope, audience } = settings;
  const server: oauth.AuthorizationServer = { issuer: new URL(tokenUrl).origin, token_endpoint: tokenUrl };
  const client: oauth.Client = { client_id: clientId };
  const auth = await authentication(settings);
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries({ scope, audience })) {
    if (value !== undefined) {
      parameters.set(name, value);
    }
  }
  const options = {
    signal: exchange.signal,
    [oauth.customFetch]: exchange.fetch,
    [oauth.allowInsecureRequests]: isLoopbackUrl(new URL(tokenUrl)),
  };
  if (refreshToken === undefined) {
    const response = await oauth.clientCredentialsGrantRequest(server, client, auth, parameters, options);
    return await oauth.processClientCredentialsResponse(server, client, response);
  }
  const more = { ...options, additionalParameters: parameters };
  const response = await oauth.refreshTokenGrantRequest(server, client, auth, refreshToken, more);
  return await oauth.processRefreshTokenResponse(server, client, response);
}

/** How the client proves who it is. In the body, which is what the large providers of mail ask for. */
async function authentication({ clientSecret, privateKey, tokenUrl }: OAuth2Settings): Promise<oauth.ClientAuth> {
  if (privateKey !== undefined) {
    // RFC 7523 3: the token endpoint's URL is what every server takes for its name.
    const modify = (_header: unknown, payload: Record<string, oauth.JsonValue | undefined>): void => {
      payload.aud = tokenUrl;
    };
    return oauth.PrivateKeyJwt(await importKey(createPrivateKey(privateKey)), { [oauth.modifyAssertion]: modify });
  }
  return clientSecret === undefined ? oauth.None() : oauth.ClientSecretPost(clientSecret);
}

const CURVES: Readonly<Record<string, string>> = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };

async function importKey(key: KeyObject): Promise<oauth.CryptoKey> {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  const curve = CURVES[details?.namedCurve ?? ""];
  const algorithm =
    type === "rsa"
      ? { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }
      : type === "ed25519"
        ? { name: "Ed25519" }
        : type === "ec" && curve !== undefined
          ? { name: "ECDSA", namedCurve: curve }
          : undefined;
  if (algorithm === undefined) {
    throw new TokenError("was not asked: private-key-file must hold an RSA, Ed25519 or NIST curve's key", {
      isRefusal: true,
    });
  }
  const der = key.export({ type: "pkcs8", format: "der" });
  return await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
}

/** One request and its answer: bounded, and looked at for what an error is to say. */
class Exchange {
  status: number | undefined;
  retryAfter: string | null = null;
  /** The proof of who the client is that was sent in place of a secret: as good as one while it lasts. */
  assertion: string | undefined;

  constructor(
    readonly signal: AbortSignal,
    readonly limitMs: number,
  ) {}

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    this.assertion = new URLSearchParams(String(init.body ?? "")).get("client_assertion") ?? undefined;
    const response = await fetch(url, init);
    const { status, headers } = response;
    this.status = status;
    this.retryAfter = headers.get("retry-after");
    const body = await readBody(response);
    return new Response(status === 204 || status === 205 || status === 304 ? null : body, { status, headers });
  };
}

/** Not more than a token server has to say. An ID token, which says who agreed, is not what was asked for, and goes unread. */
async function readBody(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let octets = 0;
  for await (const part of response.body ?? []) {
    octets += part.byteLength;
    if (octets > MOST_OCTETS) {
      throw new TokenError("answered more than 256 KiB");
    }
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString();
  try {
    const { id_token: _, ...rest } = JSON.parse(text) as Record<string, unknown>;
    return JSON.stringify(rest);
  } catch {
    return text;
  }
}

function describe(
  error: unknown,
  { status, retryAfter, signal, limitMs, assertion }: Exchange,
  secrets: readonly string[],
): TokenError {
  const shown = assertion === undefined ? secrets : [...secrets, assertion];
  const retryAfterMs = readRetryAfter(retryAfter);
  if (error instanceof oauth.ResponseBodyError) {
    const { error: code, error_description: description } = error;
    const said = description === undefined ? "" : `: ${description}`;
    const words = withhold(`${error.status} ${code}${said}`, shown);
    const known = ERROR_CODE.test(code) && !repeats(code, shown) ? { code } : {};
    return new TokenError(`refused: ${words}`, { ...known, isRefusal: error.status < 500, retryAfterMs });
  }
  if (status !== undefined && status !== 200) {
    const isRefusal = status >= 400 && status < 500 && status !== 408 && status !== 429;
    return new TokenError(`answered with the status ${status} and no OAuth error`, { isRefusal, retryAfterMs });
  }
  if (signal.aborted) {
    return new TokenError(`did not answer within ${limitMs / 1000} s`);
  }
  if (status === 200) {
    return new TokenError("answered with something that is no access token (RFC 6749 5.1)");
  }
  return new TokenError(`could not be asked: ${reasonOf(error)}`);
}

/** Seconds, or a date (RFC 9110 10.2.3). */
function readRetryAfter(value: string | null): number {
  if (value === null) {
    return 0;
  }
  const ms = /^\d{1,9}$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

/** The server's words, in one short line, unless they repeat what was sent. */
function withhold(text: string, secrets: readonly string[]): string {
  if (repeats(text, secrets)) {
    return "(withheld: the answer repeats a secret)";
  }
  return text.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").slice(0, 300);
}

/** They are sent as a form. */
function repeats(text: string, secrets: readonly string[]): boolean {
  return secrets.some((secret) =>
    repeatsSecret(text, secret, [new URLSearchParams({ "": secret }).toString().slice(1)]),
  );
}

/** Of a failed fetch, whose own message is "fetch failed". */
function reasonOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: NodeJS.ErrnoException };
  return cause?.code ?? cause?.message ?? message;
}
