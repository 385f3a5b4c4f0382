/**
 * The one Lua function that keeps what gateways say of hosts' health: its text, its arguments and its replies. Called by shared-health.ts.
 *
 * One hash of the cluster has a field for each thing that is said of a host; times are in Redis' clock. A circuit is
 * `d UNTIL BY SINCE CONFIRMED FAILURES CLAIMED CLAIMANT`: until when it is open, who said so last, since when that one alone has, whether
 * two have, and until when who finds out whether the host is back. A note is `n UNTIL BY TOLD VALUE`.
 */

/** No circuit is told to be open for longer, and no claim lasts longer. */
const MOST_DOWN_MS = 90_000;
const MOST_NOTE_MS = 600_000;
/** What one gateway alone says is believed for so long. Then another one tries. */
const FAITH_MS = 5_000;
/** A circuit that nobody says anything of any more is remembered for so long after its end. */
const REMEMBERED_MS = 60_000;
/** Gateways' clocks and Redis' tell the end of a time this far apart. */
const SLACK_MS = 50;
const KEY_LIFE_MS = 3_600_000;

/** What is said of a host. */
export type HealthWord =
  /** `faithMs`: how long it holds for whoever knows nothing else. */
  | { is: "down"; field: string; by: string; forMs: number; faithMs: number; failures: number }
  | { is: "note"; field: string; by: string; forMs: number; ageMs: number; value: number }
  /** What was said does not hold any more. */
  | { is: "up"; field: string; by: string }
  /** The same, by an operator's order. */
  | { is: "dropped"; field: string; by: string }
  /** Who had the turn does not try. */
  | { is: "free"; field: string; by: string };

export type HealthCall =
  | { readonly verb: "down"; readonly field: string; readonly forMs: number; readonly failures: number }
  | { readonly verb: "note"; readonly field: string; readonly forMs: number; readonly value: number }
  | { readonly verb: "up" | "pass"; readonly field: string }
  /** Asks for the turn, or goes on with it. */
  | { readonly verb: "claim"; readonly field: string; readonly lifeMs: number }
  | { readonly verb: "drop" | "read"; readonly fields: readonly string[] };

/** What `claim` says. */
export interface ClaimReply {
  /** `awaited`: another gateway has the turn, for so long; `down`: it is nobody's turn for so long. */
  readonly is: "turn" | "down" | "awaited";
  readonly forMs: number;
  readonly failures: number;
}

export function healthKey(cluster: string): string {
  return `relaypost:{${cluster}}:health`;
}

export function encodeHealthCall(call: HealthCall, gateway: string, channel: string): string[] {
  const start = [call.verb, gateway, channel];
  switch (call.verb) {
    case "down":
      return [...start, call.field, whole(call.forMs), String(call.failures)];
    case "note":
      return [...start, call.field, whole(call.forMs), String(call.value)];
    case "claim":
      return [...start, call.field, whole(call.lifeMs)];
    case "drop":
    case "read":
      return [...start, ...call.fields];
    default:
      return [...start, call.field];
  }
}

export function decodeClaimReply(reply: unknown): ClaimReply | undefined {
  if (!Array.isArray(reply) || reply.length !== 3 || !reply.every(Number.isSafeInteger)) {
    return undefined;
  }
  const [kind, forMs, failures] = reply as [number, number, number];
  const is = (["turn", "down", "awaited"] as const)[kind];
  return is === undefined ? undefined : { is, forMs: Math.min(forMs, MOST_DOWN_MS), failures };
}

/** Also reads what stands in Redis: whatever somebody else wrote there, no hint is longer than it may be. */
export function decodeWord(text: unknown): HealthWord | undefined {
  const [is, field, by, ...numbers] = typeof text === "string" ? text.split(" ") : [];
  const [first = 0, second = 0, third = 0] = numbers.map(Number);
  if (field === undefined || by === undefined || ![first, second, third].every((number) => number >= 0)) {
    return undefined;
  }
  switch (is) {
    case "down": {
      const forMs = Math.min(first, MOST_DOWN_MS);
      return { is, field, by, forMs, faithMs: Math.min(second, forMs), failures: third };
    }
    case "note":
      return { is, field, by, forMs: Math.min(first, MOST_NOTE_MS), ageMs: second, value: third };
    case "up":
    case "dropped":
    case "free":
      return { is, field, by };
    default:
      return undefined;
  }
}

function whole(ms: number): string {
  return String(Math.max(0, Math.round(ms)));
}

export const HEALTH_SCRIPT = `
local key = KEYS[1]
local verb, gateway, channel, field = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function text_of(name)
  return redis.call('HGET', key, name) or ''
end

local function circuit_of(name)
  local till, by, since, confirmed, failures, claimed, claimant =
    string.match(text_of(name), '^d (%d+) (%S+) (%d+) ([01]) (%d+) (%d+) (%S+)$')
  if not till then return nil end
  local c = { till = tonumber(till), by = by, since = tonumber(since), confirmed = confirmed == '1',
    failures = tonumber(failures), claimed = tonumber(claimed), claimant = claimant }
  -- Redis' clock jumped, or nobody has said anything for long.
  local last = math.max(c.till, c.claimed)
  if c.till > now + ${MOST_DOWN_MS} or c.claimed > now + ${MOST_DOWN_MS} or c.since > now or last + ${REMEMBERED_MS} < now then
    return nil
  end
  return c
end

local function write(name, text)
  redis.call('HSET', key, name, text)
  redis.call('PEXPIRE', key, ${KEY_LIFE_MS})
end

local function keep(name, c)
  write(name, string.format('d %d %s %d %d %d %d %s', c.till, c.by, c.since, c.confirmed and 1 or 0, c.failures, c.claimed, c.claimant))
end

-- How long it is still open for another gateway than who said so.
local function faith(c)
  local rest = c.till - now
  if not c.confirmed then rest = math.min(rest, c.since + ${FAITH_MS} - now) end
  return math.max(0, rest)
end

local function word_of(name)
  local c = circuit_of(name)
  if c then
    return string.format('down %s %s %d %d %d', name, c.by, math.max(0, c.till - now), faith(c), c.failures)
  end
  local till, by, told, value = string.match(text_of(name), '^n (%d+) (%S+) (%d+) (%d+)$')
  if not till or tonumber(till) <= now or tonumber(told) > now then return '' end
  return string.format('note %s %s %d %d %s', name, by, till - now, now - told, value)
end

local function tell(text) redis.call('PUBLISH', channel, text) end

if verb == 'read' then
  local words = {}
  for at = 4, #ARGV do words[at - 3] = word_of(ARGV[at]) end
  return words
end

if verb == 'drop' then
  for at = 4, #ARGV do
    redis.call('HDEL', key, ARGV[at])
    tell('dropped ' .. ARGV[at] .. ' ' .. gateway)
  end
  return 0
end

if verb == 'up' then
  redis.call('HDEL', key, field)
  tell('up ' .. field .. ' ' .. gateway)
  return 0
end

if verb == 'note' then
  local life, value = math.min(tonumber(ARGV[5]), ${MOST_NOTE_MS}), ARGV[6]
  write(field, string.format('n %d %s %d %s', now + life, gateway, now, value))
  tell(word_of(field))
  return 0
end

local c = circuit_of(field)

if verb == 'down' then
  local life, failures = math.min(tonumber(ARGV[5]), ${MOST_DOWN_MS}), tonumber(ARGV[6])
  if c and c.by ~= '-' then
    c.confirmed = c.confirmed or c.by ~= gateway
    c.till, c.failures = math.max(c.till, now + life), math.max(c.failures, failures)
  else
    c = { till = now + life, since = now, confirmed = false, failures = failures }
  end
  c.by, c.claimed, c.claimant = gateway, 0, '-'
  keep(field, c)
  tell(word_of(field))
  return 0
end

if verb == 'pass' then
  if c and c.claimant == gateway and c.claimed > now then
    c.claimed, c.claimant = 0, '-'
    keep(field, c)
    tell('free ' .. field .. ' ' .. gateway)
  end
  return 0
end

-- claim
local life = math.min(tonumber(ARGV[5]), ${MOST_DOWN_MS})
if c then
  if c.claimed > now and c.claimant ~= gateway then return { 2, c.claimed - now, c.failures } end
  local rest = c.by == gateway and c.till - now or faith(c)
  if rest > ${SLACK_MS} and c.claimant ~= gateway then return { 1, rest, c.failures } end
else
  c = { till = now, by = '-', since = now, confirmed = false, failures = 0 }
end
c.claimed, c.claimant = now + life, gateway
keep(field, c)
return { 0, life, c.failures }
`;
