/**
 * The one Lua function that keeps the answers that gateways share: its text, its arguments and its replies. Called by shared-answers.ts.
 *
 * A record is a hash of one recipient's or one user's answers. A field is plain text: `a EPOCH GIVEN UNTIL VALUE` is an answer,
 * `c EPOCH UNTIL TOKEN` a claim of somebody who asks the host now, and `w …` a claim that others wait for; times are in Redis' clock.
 * A hash of the host counts what was forgotten: `epoch` everything at once, `forgets` each time.
 */

/** How long the host's counts outlive the last change of them. */
const COUNTS_LIFE_MS = 90 * 86_400_000;

/** Beside each reply of `ask`. */
export interface AskCounts {
  /** How often answers of the host were forgotten. */
  readonly forgets: number;
  /** Redis' clock. */
  readonly clockMs: number;
}

/** What `ask` says. */
export type AskReply = AskCounts &
  (
    | { readonly is: "answer"; readonly ageMs: number; readonly sealed: string }
    | { readonly is: "claimed" }
    /** Somebody else asks the host, for so long at most. */
    | { readonly is: "awaited"; readonly forMs: number }
  );

/** What a gateway asks for, tells or drops. `known`: how often answers were forgotten, as far as it knows. */
export type AnswerCall = { readonly channel: string; readonly known: number } & (
  | { readonly verb: "ask"; readonly field: string; readonly token: string; readonly lifeMs: number }
  | {
      readonly verb: "put";
      readonly field: string;
      /** The empty string: the gateway has no claim. */
      readonly token: string;
      readonly ageMs: number;
      /** When the host gave the answer, in Redis' clock as far as it is known; -1 where it is not. */
      readonly givenMs: number;
      readonly lifeMs: number;
      /** What was {@link known} before the answer was; -1: the host was asked after the claim was made. */
      readonly asOf: number;
      readonly sealed: string;
    }
  | { readonly verb: "release"; readonly field: string; readonly token: string }
  | { readonly verb: "forget"; readonly what: "record" | "all"; readonly sealed: string }
  | { readonly verb: "count" }
);

export function encodeAnswerCall(call: AnswerCall): string[] {
  const { verb, channel, known } = call;
  switch (verb) {
    case "ask":
      return [verb, call.field, call.token, channel, String(known), String(call.lifeMs)];
    case "put": {
      const times = [call.ageMs, call.givenMs, call.lifeMs].map((ms) => String(Math.round(ms)));
      return [verb, call.field, call.token || "-", channel, String(known), ...times, String(call.asOf), call.sealed];
    }
    case "release":
      return [verb, call.field, call.token, channel, String(known)];
    case "forget":
      return [verb, call.what, call.sealed, channel, String(known)];
    case "count":
      return [verb, "-", "-", channel, String(known)];
  }
}

/** The keys of one host's answers lie in one slot of a Redis Cluster. */
export function answerKeys(cluster: string, hostId: string, record: string): [record: string, counts: string] {
  const start = `relaypost:{${cluster}:${hostId}}:answers`;
  return [`${start}:${record}`, `${start}`];
}

export function decodeAskReply(reply: unknown): AskReply | undefined {
  if (!Array.isArray(reply) || reply.length !== 5) {
    return undefined;
  }
  const [kind, ms, forgets, sealed, clockMs] = reply as [number, number, number, string, number];
  if (![kind, ms, forgets, clockMs].every(Number.isSafeInteger) || typeof sealed !== "string") {
    return undefined;
  }
  switch (kind) {
    case 0:
      return { is: "claimed", forgets, clockMs };
    case 1:
      return { is: "answer", ageMs: Math.max(0, ms), sealed, forgets, clockMs };
    case 2:
      return { is: "awaited", forMs: ms, forgets, clockMs };
    default:
      return undefined;
  }
}

export const ANSWER_SCRIPT = `
local record, counts = KEYS[1], KEYS[2]
local verb, field, token, channel, known = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local counted = redis.call('HMGET', counts, 'epoch', 'forgets')
local epoch, forgets = counted[1] or '0', tonumber(counted[2] or 0)

local function count(new_epoch, new_forgets)
  epoch, forgets = new_epoch, new_forgets
  redis.call('HSET', counts, 'epoch', epoch, 'forgets', forgets)
  redis.call('PEXPIRE', counts, ${COUNTS_LIFE_MS})
end

-- A restart, a failover or an older copy has lost what was forgotten: whatever stands here may be that. No epoch was ever that high.
if forgets < known then count(string.format('%d', known + 1), known + 1) end

if verb == 'count' then return forgets end

if verb == 'forget' then
  -- 'all' drops all answers of the host, 'record' this one's
  local what, sealed = field, token
  if what == 'record' then redis.call('DEL', record) end
  count(what == 'all' and string.format('%d', tonumber(epoch) + 1) or epoch, forgets + 1)
  redis.call('PUBLISH', channel, 'forget ' .. forgets .. ' ' .. sealed)
  return forgets
end

-- What holds there: "a", an answer that was given at detail, or a claim with detail as its token; or nothing.
local text = redis.call('HGET', record, field) or ''
local kind, of, detail, till, value = string.match(text, '^(a) (%d+) (%d+) (%d+) (.*)$')
if not kind then kind, of, till, detail = string.match(text, '^([cw]) (%d+) (%d+) (%S+)$') end
till = tonumber(till)
if kind and (of ~= epoch or till <= now) then kind = nil end

-- Most calls end here, before anything is made that the others need.
if kind == 'a' then
  detail = tonumber(detail)
  if verb == 'ask' then return { 1, now - detail, forgets, value, now } end
end

local function write(text, life)
  redis.call('HSET', record, field, text)
  if redis.call('PTTL', record) < life then redis.call('PEXPIRE', record, life) end
end

local function wake(kind)
  if kind == 'w' then redis.call('PUBLISH', channel, 'told ' .. string.match(record, '[^:]*$') .. ' ' .. field) end
end

if verb == 'ask' then
  local life = tonumber(ARGV[6])
  if kind then
    if kind == 'c' then redis.call('HSET', record, field, string.format('w %s %d %s', epoch, till, detail)) end
    return { 2, till - now, forgets, '', now }
  end
  write(string.format('c %s %d %s', epoch, now + life, token), life)
  return { 0, 0, forgets, '', now }
end

if verb == 'put' then
  local age, by_clock, life, as_of, sealed = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
  -- The call may have been under way for long: then the clock that the gateway knew says more than the age it told.
  local given = now - age
  if by_clock >= 0 then given = math.min(given, by_clock) end
  local is_mine = (kind == 'c' or kind == 'w') and detail == token
  -- Without the claim only what is newer than what stands there. What was known before is not told behind a forget().
  local is_sound = as_of < 0 or as_of == forgets
  if not is_mine and not (kind == 'a' and detail < given and is_sound) then return 0 end
  if is_sound and given + life > now then
    write(string.format('a %s %d %d %s', epoch, given, given + life, sealed), given + life - now)
  else
    redis.call('HDEL', record, field)
  end
  wake(kind)
  return 1
end

-- release
if (kind == 'c' or kind == 'w') and detail == token then
  redis.call('HDEL', record, field)
  wake(kind)
end
return 0
`;
