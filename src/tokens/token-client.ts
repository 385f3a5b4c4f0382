/**
 * Asks a token server for one access token (RFC 6749), by oauth4webapi, and says in plain words what came of it. Serves
 * token-source.ts, which decides when. What it returns and throws repeats no secret.
 */
import * as oauth from "oauth4webapi";
import type { OAuth2Settings } from "../config/settings.js";
import { isLoopbackUrl } from "../config/token-url.js";
import { repeatsSecret } from "../secret-forms.js";
import { clientAuthentication } from "./client-authentication.js";
import { TokenError } from "./token-error.js";

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
  const exchange = new Exchange(signal, limitMs);
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
  const auth = await clientAuthentication(settings);
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

/** One request and its answer: bounded, and looked at for what an error is to say. */
class Exchange {
  status: number | undefined;
  retryAfter: string | null = null;
  /** What was sent in place of a secret, and is as good as one. */
  proofs: readonly string[] = [];
  readonly signal: AbortSignal;

  constructor(
    /** Nobody waits any more. */
    readonly closing: AbortSignal,
    readonly limitMs: number,
  ) {
    this.signal = AbortSignal.any([closing, AbortSignal.timeout(limitMs)]);
  }

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    this.proofs = proofsIn(init);
    const response = await fetch(url, init);
    const { status, headers } = response;
    this.status = status;
    this.retryAfter = headers.get("retry-after");
    const body = await readBody(response);
    return new Response(status === 204 || status === 205 || status === 304 ? null : body, { status, headers });
  };
}

/** A signed assertion; or the credentials of Basic, and the secret in the form that it has in them. */
function proofsIn({ headers, body }: RequestInit): string[] {
  const assertion = new URLSearchParams(String(body ?? "")).get("client_assertion");
  const [, basic] = new Headers(headers).get("authorization")?.split(" ") ?? [];
  const pair = basic === undefined ? "" : Buffer.from(basic, "base64").toString();
  return [assertion, basic, pair.slice(pair.indexOf(":") + 1)].filter(
    (proof) => typeof proof === "string" && proof !== "",
  ) as string[];
}

/**
 * Not more than a token server has to say. An ID token, which says who agreed, is not what was asked for, and goes unread; an empty
 * refresh token is none.
 */
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
    const { id_token: _, refresh_token, ...rest } = JSON.parse(text) as Record<string, unknown>;
    return JSON.stringify(refresh_token === "" ? rest : { ...rest, refresh_token });
  } catch {
    return text;
  }
}

function describe(
  error: unknown,
  { status, retryAfter, signal, closing, limitMs, proofs }: Exchange,
  secrets: readonly string[],
): TokenError {
  const shown = [...secrets, ...proofs];
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
  if (closing.aborted) {
    return new TokenError("was not waited for, since relaypost was closed or its configuration changed");
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
