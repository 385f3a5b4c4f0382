/**
 * A host's cache through all of its settings: made anew whenever these change, and kept in a file where they name one. Serves actor.ts.
 */
import { createHash } from "node:crypto";
import type { HostSettings } from "../../src/config/settings.js";
import type { AddressLookupKind } from "../../src/lookup-kinds.js";
import type { AnswerMarks } from "../../src/messages/answer-marks.js";
import type { AdoptedAnswer } from "../../src/messages/contract.js";
import type { HostLog } from "../../src/messages/host-log.js";
import type { World } from "../world.js";
import { AnswerCache } from "./cache.js";
import type { CacheFiles } from "./cache-files.js";
import { CacheKeeper } from "./cache-keeper.js";
import { lookupKey } from "./cache-keys.js";

/** More answers than a cache holds may stand in a file that was written under larger settings, but not without end. */
const MOST_FILED = 4;

/** What outlives a worker thread. */
export interface Storage {
  readonly files: CacheFiles;
  /** Unix time in milliseconds. */
  unixMs(): number;
}

/** What a {@link HostCache} is made of. */
export interface HostCacheOptions {
  readonly settings: HostSettings;
  readonly world: World;
  readonly log: HostLog;
  readonly marks: AnswerMarks | undefined;
  /** Missing: no cache outlives its thread, whatever the settings say. */
  readonly storage: Storage | undefined;
}

export class HostCache {
  answers: AnswerCache;
  private keeper: CacheKeeper | undefined;
  private readonly hmacKey: Uint8Array;
  /** Counts changes of the settings: a password that one peer accepted says nothing about the next. */
  private generation = 0;

  constructor(private readonly options: HostCacheOptions) {
    this.hmacKey = options.world.randomBytes(32);
    this.answers = this.makeCache(options.settings);
    this.keeper = this.makeKeeper(options.settings);
    void this.keeper?.load();
  }

  /** What was known of the former host says nothing of the next. */
  reconfigure(settings: HostSettings): void {
    this.generation++;
    this.answers.clear();
    this.keeper?.stop();
    this.answers = this.makeCache(settings);
    this.keeper = this.makeKeeper(settings);
    this.keeper?.begin();
  }

  /** @returns how many answers were dropped */
  forget(filter: { recipient?: string; username?: string }): number {
    const dropped = this.answers.forget(filter);
    this.keeper?.forgotten();
    return dropped;
  }

  /** See {@link AnswerCache.adopt}. */
  adopt({ kind, value, client, credentials, answer, ageMs }: AdoptedAnswer): void {
    const { answers } = this;
    const isAuth = credentials !== undefined;
    const key = isAuth ? answers.authKey(credentials) : lookupKey(kind as AddressLookupKind, value);
    const origin = isAuth ? { isAuth, username: credentials.username } : {};
    answers.adopt(key + answers.clientSuffix(client), answer, origin, ageMs);
  }

  /** Saves what is to outlive the thread, and drops everything. */
  async close(): Promise<void> {
    await this.keeper?.close();
    this.answers.clear();
  }

  private makeCache({ id, cache }: HostSettings): AnswerCache {
    const { world, marks } = this.options;
    const { hmacKey, generation } = this;
    return new AnswerCache({ settings: cache, hostId: id, clock: world.clock, hmacKey, generation, marks });
  }

  private makeKeeper(settings: HostSettings): CacheKeeper | undefined {
    const { world, log, storage } = this.options;
    const { file, entries } = settings.cache;
    if (file === undefined || storage === undefined || entries === 0) {
      return undefined;
    }
    return new CacheKeeper(
      {
        path: file,
        hostId: settings.id,
        settings: meaningOf(settings),
        most: MOST_FILED * entries,
        clock: world.clock,
        unixMs: () => storage.unixMs(),
        files: storage.files,
        log,
      },
      this.answers,
    );
  }
}

/** A digest of what decides whom the answers are of, and how they are read. No secret is part of it. */
function meaningOf({ protocol, address, port, sourceAddress, auth, tls, cache, replies }: HostSettings): string {
  const parts = [protocol, address, port, sourceAddress, auth?.username, tls.serverName, cache.byClient, replies];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
