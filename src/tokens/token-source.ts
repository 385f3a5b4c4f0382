/**
 * The access tokens of one host's account: fetched once for all of its connections, renewed before they end, replaced once where the
 * host refuses one, and not asked for again and again where the token server has none. Kept by src/runtime/token-port.ts.
 */
import type { OAuth2Settings } from "../config/settings.js";
import { type Failure, isFailure } from "../errors.js";
import type { HostRecord } from "../messages/host-log.js";
import type { AccessToken, TokenGrant } from "../messages/tokens.js";
import type { Clock } from "../timer-wheel.js";
import { findRefreshTokenMistake, RefreshToken } from "./refresh-token.js";
import { type FetchedToken, fetchToken } from "./token-client.js";
import { TokenError } from "./token-error.js";

/** For a token whose server does not say how long it lasts (RFC 6749 5.1): it is used until the host refuses it, or so long. */
const UNKNOWN_LIFETIME_MS = 3_600_000;
/** Another one is fetched in the last quarter of a token's time, but not earlier than this before its end. */
const RENEW_AHEAD_MS = 600_000;
/** A login takes its time: a token that ends within it is not used any more. At most a tenth of its time. */
const MARGIN_MS = 10_000;
/** A host that refuses a fresh token as well does not refuse it for its age. */
const REPLACE_EVERY_MS = 60_000;
const FIRST_BACK_OFF_MS = 1_000;
const MOST_BACK_OFF_MS = 60_000;
/** After a refusal, which lasts until somebody mends something. */
const REFUSED_BACK_OFF_MS = 15_000;
/** No server's word keeps mail waiting for longer. */
const MOST_RETRY_AFTER_MS = 3_600_000;

/** What a source works with. */
export interface TokenSourceParts {
  readonly clock: Clock;
  readonly random: () => number;
  /** How long the server has for an answer. */
  readonly limitMs?: number;
  readonly log: (...record: HostRecord) => void;
}

interface HeldToken {
  readonly serial: number;
  readonly token: string;
  readonly endMs: number;
  readonly renewMs: number;
}

/** Hears of a token, or why there is none; later, of the next one too, if it was on its way. */
export type GiveToken = (grant: TokenGrant) => void;

export class TokenSource {
  private held: HeldToken | undefined;
  private serial = 0;
  private replacedMs = Number.NEGATIVE_INFINITY;
  private fetching: Promise<HeldToken | Failure> | undefined;
  private failures = 0;
  private failure: Failure | undefined;
  private retryMs = Number.NEGATIVE_INFINITY;
  private readonly refresh: RefreshToken;
  private readonly abortion = new AbortController();
  private readonly place: string;

  constructor(
    private readonly hostId: string,
    readonly settings: OAuth2Settings,
    private readonly parts: TokenSourceParts,
    former?: TokenSource,
  ) {
    this.place = `The token server ${new URL(settings.tokenUrl).host}`;
    this.refresh = new RefreshToken(settings);
    if (former !== undefined) {
      this.refresh.inherit(former.refresh);
    }
  }

  /** @param refused the number of the token that the host refused; 0: none was */
  wanted(refused: number, give: GiveToken): void {
    const tell = (outcome: HeldToken | Failure): void => give({ refused, outcome: this.outcomeOf(outcome) });
    const now = this.parts.clock.now();
    if (refused !== 0 && refused === this.held?.serial && now - this.replacedMs >= REPLACE_EVERY_MS) {
      this.replacedMs = now;
      this.held = undefined;
    }
    const { held } = this;
    if (held === undefined || now >= held.endMs) {
      void this.obtain().then(tell);
      return;
    }
    tell(held);
    if (now >= held.renewMs) {
      void this.obtain().then((outcome) => {
        if (!isFailure(outcome)) {
          tell(outcome);
        }
      });
    }
  }

  /** Asks for nothing more. */
  close(): void {
    this.abortion.abort();
  }

  private outcomeOf(outcome: HeldToken | Failure): AccessToken | Failure {
    if (isFailure(outcome)) {
      return outcome;
    }
    const { serial, token, endMs, renewMs } = outcome;
    const now = this.parts.clock.now();
    return { serial, token, leftMs: endMs - now, renewInMs: renewMs - now };
  }

  /** Never rejects. One request at a time, whoever asks, and none before its time. */
  private obtain(): Promise<HeldToken | Failure> {
    if (this.fetching !== undefined) {
      return this.fetching;
    }
    const leftMs = this.retryMs - this.parts.clock.now();
    if (this.failure !== undefined && leftMs > 0) {
      const message = `${this.failure.message} It is asked again in ${Math.ceil(leftMs / 1000)} s.`;
      return Promise.resolve({ ...this.failure, message });
    }
    this.fetching = this.fetch().finally(() => {
      this.fetching = undefined;
    });
    return this.fetching;
  }

  private async fetch(): Promise<HeldToken | Failure> {
    try {
      const fetched = await this.ask();
      const held = this.hold(fetched);
      if (fetched.refreshToken !== undefined) {
        await this.keepRefreshToken(fetched.refreshToken);
      }
      return held;
    } catch (error) {
      return this.failed(error);
    }
  }

  /** With the refresh token of the file, and again where another gateway had it replaced meanwhile. */
  private async ask(): Promise<FetchedToken> {
    const { settings, parts } = this;
    const { signal } = this.abortion;
    const refreshToken = await this.readRefreshToken();
    try {
      return await fetchToken(settings, refreshToken, signal, parts.limitMs);
    } catch (error) {
      const isStale = error instanceof TokenError && error.code === "invalid_grant";
      const next = isStale && refreshToken !== undefined ? await this.readRefreshToken() : refreshToken;
      if (next === refreshToken) {
        throw error;
      }
      return await fetchToken(settings, next, signal, parts.limitMs);
    }
  }

  private async readRefreshToken(): Promise<string | undefined> {
    let token: string | undefined;
    try {
      token = await this.refresh.read();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new TokenError(`was not asked: the file of the refresh token could not be read (${code})`);
    }
    const mistake = token === undefined ? undefined : findRefreshTokenMistake(token);
    if (mistake !== undefined) {
      throw new TokenError(`was not asked: the refresh token ${mistake}`);
    }
    return token;
  }

  private hold({ token, lifetimeMs = UNKNOWN_LIFETIME_MS }: FetchedToken): HeldToken {
    const now = this.parts.clock.now();
    const usableMs = lifetimeMs - Math.min(MARGIN_MS, lifetimeMs / 10);
    const held = {
      serial: ++this.serial,
      token,
      endMs: now + usableMs,
      renewMs: now + usableMs - Math.min(RENEW_AHEAD_MS, usableMs / 4),
    };
    this.held = held;
    this.failures = 0;
    this.failure = undefined;
    this.parts.log("info", "token-fetched", `${this.place} handed out an access token for ${this.account}.`, {
      lifetimeS: Math.round(lifetimeMs / 1000),
    });
    return held;
  }

  private failed(error: unknown): Failure {
    const { clock, random, log } = this.parts;
    const known = error instanceof TokenError ? error : new TokenError(`could not be asked: ${String(error)}`);
    this.failures++;
    const growing = FIRST_BACK_OFF_MS * 2 ** Math.min(this.failures - 1, 20);
    const backOffMs = Math.min(MOST_BACK_OFF_MS, Math.max(growing, known.isRefusal ? REFUSED_BACK_OFF_MS : 0));
    const retryInMs = Math.max(backOffMs * (0.5 + random() / 2), Math.min(known.retryAfterMs, MOST_RETRY_AFTER_MS));
    this.retryMs = clock.now() + retryInMs;
    this.failure = {
      code: "TOKEN_FAILED",
      message: `${this.place} ${known.message}. ${this.account} needs an access token to log in; the host was not asked.`,
    };
    if (!this.abortion.signal.aborted) {
      const fields = { error: known.code, retryInMs: Math.round(retryInMs) };
      log("warn", "token-failed", `${this.place} ${known.message}.`, fields);
    }
    return this.failure;
  }

  private async keepRefreshToken(token: string): Promise<void> {
    const { log } = this.parts;
    const mistake = findRefreshTokenMistake(token);
    if (mistake !== undefined) {
      log(
        "warn",
        "token-not-saved",
        `${this.place} handed out another refresh token for ${this.account}, which ${mistake}. It is not used; the old one is kept.`,
      );
      return;
    }
    try {
      if (await this.refresh.replace(token)) {
        log("info", "token-rotated", `${this.place} handed out another refresh token; its file holds it now.`);
      } else {
        log(
          "warn",
          "token-not-saved",
          `${this.place} handed out another refresh token for ${this.account}, which ends with this process: use refresh-token-file.`,
        );
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      log(
        "warn",
        "token-not-saved",
        `${this.place} handed out another refresh token for ${this.account}, and refresh-token-file could not be written (${code}). It is lost when this process ends.`,
      );
    }
  }

  private get account(): string {
    return `remote.${this.hostId}.auth.oauth2`;
  }
}
