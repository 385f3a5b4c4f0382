/**
 * What stands in the way of a cluster, before a gateway depends on it: tries Redis as a gateway would. Serves `relaypost check --connect`.
 * Leaves nothing behind but the scripts, which Redis would be told anyway.
 */
import type { ClusterSettings } from "../config/settings.js";
import { placesKey } from "./place-script.js";
import { RedisLink, RedisScript } from "./redis.js";

/** What was found. */
export interface RedisReport {
  /** Such as `redis 7.0.15` or `valkey 8.1.0`. */
  readonly server: string;
  /** The quickest of a few calls, in milliseconds. */
  readonly latencyMs: number;
  /** How far the clock of Redis' machine is ahead of this one's, in milliseconds; not known without TIME. Leases do not depend on it. */
  readonly skewMs?: number;
  /** Commands that the account may not use, of those that a gateway needs. */
  readonly lacking: readonly string[];
  /** Gateways that have a lease now. */
  readonly gateways: number;
}

const TRIES = 5;
/** A key that expires by itself, should the deletion of it be what is lacking. */
const SCRATCH_LIFE_MS = "1000";

/**
 * @param hostIds hosts whose places are looked at
 * @param sharesHealth whether a host shares what is known of its health
 * @throws Error with what stands in the way, where there is no connection
 */
export async function inspectRedis(
  settings: ClusterSettings,
  hostIds: readonly string[],
  sharesHealth: boolean,
): Promise<RedisReport> {
  const link = await RedisLink.open(settings.redis, Math.max(settings.timeoutMs, 1_000));
  try {
    if (!link.isReady) {
      await new Promise<void>((resolve) => {
        link.onSettled = resolve;
      });
    }
    return await inspect(link, settings, hostIds, sharesHealth);
  } finally {
    link.close();
  }
}

async function inspect(
  link: RedisLink,
  { name, secret }: ClusterSettings,
  hostIds: readonly string[],
  sharesHealth: boolean,
): Promise<RedisReport> {
  const scratch = `relaypost:{${name}}:check`;
  const pace = await measure(link, scratch);
  const info = String(await link.command(scratch, ["INFO", "server"]).catch(() => ""));
  const known = /^valkey_version:(\S+)/m.exec(info);
  const server = known === null ? `redis ${/^redis_version:(\S+)/m.exec(info)?.[1] ?? "?"}` : `valkey ${known[1]}`;
  const lacking = await findLacking(link, scratch, secret !== undefined, sharesHealth);
  return { server, ...pace, lacking, gateways: await countGateways(link, name, hostIds) };
}

/** A refusal is as quick as an answer, but says nothing of the clock. */
async function measure(link: RedisLink, scratch: string): Promise<Pick<RedisReport, "latencyMs" | "skewMs">> {
  let latencyMs = Number.POSITIVE_INFINITY;
  let skewMs: number | undefined;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const sentMs = performance.now();
    const sentAtMs = Date.now();
    const time = await link.command(scratch, ["TIME"]).catch(refusalOnly);
    const tookMs = performance.now() - sentMs;
    if (tookMs < latencyMs) {
      latencyMs = tookMs;
      skewMs = Array.isArray(time)
        ? Number(time[0]) * 1000 + Number(time[1]) / 1000 - (sentAtMs + tookMs / 2)
        : undefined;
    }
  }
  return { latencyMs, ...(skewMs === undefined ? {} : { skewMs }) };
}

function refusalOnly(error: unknown): void {
  if (!/NOPERM/.test(String(error))) {
    throw error;
  }
}

/** Tries what the scripts and their callers need, on a key of its own. */
async function findLacking(
  link: RedisLink,
  scratch: string,
  sharesAnswers: boolean,
  sharesHealth: boolean,
): Promise<string[]> {
  const lacking: string[] = [];
  const attempt = async (right: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      refusalOnly(error);
      lacking.push(right);
    }
  };
  const command = (...args: string[]) => attempt(args[0]!.toLowerCase(), () => link.command(scratch, args));
  await command("TIME");
  await command("INFO", "server");
  await command("HSET", scratch, "field", "value");
  await command("PEXPIRE", scratch, SCRATCH_LIFE_MS);
  await command("HMGET", scratch, "field");
  const text = `return redis.call('HMGET', KEYS[1], 'field') -- ${Date.now()}`;
  await command("EVAL", text, "1", scratch);
  if (sharesHealth || sharesAnswers) {
    await command("HGET", scratch, "field");
    await command("HDEL", scratch, "field");
    await command("PUBLISH", scratch, "");
    await attempt("subscribe", () => link.tryListening(scratch));
  }
  if (sharesAnswers) {
    await command("PTTL", scratch);
    await command("DEL", scratch);
  }
  await attempt("evalsha", () => link.run(new RedisScript(text), [scratch], []));
  return lacking;
}

async function countGateways(link: RedisLink, name: string, hostIds: readonly string[]): Promise<number> {
  if (hostIds.length === 0) {
    return 0;
  }
  const key = placesKey(name);
  const [time, fields] = await Promise.all([
    link.command(key, ["TIME"]).catch(() => undefined),
    link.command(key, ["HMGET", key, ...hostIds]).catch(() => []),
  ]);
  // Those who lack TIME have their own clock.
  const nowMs = Array.isArray(time) ? Number(time[0]) * 1000 : Date.now();
  const found = new Set<string>();
  for (const field of fields as (string | null)[]) {
    for (const line of field?.split("\n").slice(1) ?? []) {
      const [id, , , , , , expires] = line.split(" ");
      if (id !== undefined && Number(expires) > nowMs) {
        found.add(id);
      }
    }
  }
  return found.size;
}
