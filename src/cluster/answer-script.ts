/**
 * The one Lua function that keeps the answers that gateways share: its text, its arguments and its replies. Called by shared-answers.ts.
 *
 * A record is a hash of one recipient's or one user's answers. A field is plain text: `a EPOCH GIVEN UNTIL VALUE` is an answer,
 * `c EPOCH UNTIL TOKEN` a claim of somebody who asks the host now, and `w …` a claim that others wait for; times are in Redis' clock.
 * A hash of the host counts what was forgotten: `epoch` everything at once, `forgets` each time.
 */

/** How long the host's counts outlive the last change of them. */
const COUNTS_LIFE_MS = 90 * 86_400_000;

/** What `ask` says. */
export type AskReply =
  | { readonly is: "answer"; readonly ageMs: number; readonly sealed: string; readonly forgets: number }
  | { readonly is: "claimed"; readonly forgets: number }
  /** Somebody else asks the host, for so long at most. */
  | { readonly is: "awaited"; readonly forMs: number; readonly forgets: number };

/** The keys of one host's answers lie in one slot of a Redis Cluster. */
export function answerKeys(cluster: string, hostId: string, record: string): [record: string, counts: string] {
  const start = `relaypost:{${cluster}:${hostId}}:answers`;
  return [`${start}:${record}`, `${start}`];
}

export function decodeAskReply(reply: unknown): AskReply | undefined {
  if (!Array.isArray(reply) || !reply.slice(0, 3).every(Number.isSafeInteger) || typeof reply[3] !== "string") {
    return undefined;
  }
  const [kind, ms, forgets, sealed] = reply as [number, number, number, string];
  switch (kind) {
    case 0:
      return { is: "claimed", forgets };
    case 1:
      return { is: "answer", ageMs: Math.max(0, ms), sealed, forgets };
    case 2:
      return { is: "awaited", forMs: ms, forgets };
    default:
      return undefined;
  }
}

export const ANSWER_SCRIPT = `
local record, counts = KEYS[1], KEYS[2]
local verb, field, token = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function count(name) return redis.call('HGET', counts, name) or '0' end
local epoch = count('epoch')

local function read()
  local text = redis.call('HGET', record, field)
  if not text then return nil end
  local of, given, till, value = string.match(text, '^a (%d+) (%d+) (%d+) (.*)$')
  if of then
    if of == epoch and tonumber(till) > now then return 'a', tonumber(given), tonumber(till), value end
    return nil
  end
  local kind, of, till, owner = string.match(text, '^([cw]) (%d+) (%d+) (%S+)$')
  if of == epoch and tonumber(till) > now then return kind, owner, tonumber(till) end
  return nil
end

local function write(text, life)
  redis.call('HSET', record, field, text)
  if redis.call('PTTL', record) < life then redis.call('PEXPIRE', record, life) end
end

local function wake(kind)
  if kind == 'w' then redis.call('PUBLISH', ARGV[4], 'told ' .. field) end
end

local kind, detail, till, value = read()

if verb == 'ask' then
  local life, forgets = tonumber(ARGV[5]), tonumber(count('forgets'))
  if kind == 'a' then return { 1, now - detail, forgets, value } end
  if kind then
    if kind == 'c' then redis.call('HSET', record, field, string.format('w %s %d %s', epoch, till, detail)) end
    return { 2, till - now, forgets, '' }
  end
  write(string.format('c %s %d %s', epoch, now + life, token), life)
  return { 0, 0, forgets, '' }
end

if verb == 'put' then
  local age, life, sealed = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
  local given = now - age
  -- Who neither holds the claim nor knows better than what stands there may know what was forgotten meanwhile.
  local is_mine = (kind == 'c' or kind == 'w') and detail == token
  if not is_mine and not (kind == 'a' and detail < given) then return 0 end
  write(string.format('a %s %d %d %s', epoch, given, given + life, sealed), given + life - now)
  wake(kind)
  return 1
end

if verb == 'release' then
  if (kind == 'c' or kind == 'w') and detail == token then
    redis.call('HDEL', record, field)
    wake(kind)
  end
  return 0
end

-- forget: 'record' drops this one, 'all' those of the host
local what, sealed, channel = ARGV[2], ARGV[3], ARGV[4]
if what == 'all' then redis.call('HINCRBY', counts, 'epoch', 1) else redis.call('DEL', record) end
local forgets = redis.call('HINCRBY', counts, 'forgets', 1)
redis.call('PEXPIRE', counts, ${COUNTS_LIFE_MS})
redis.call('PUBLISH', channel, 'forget ' .. forgets .. ' ' .. sealed)
return forgets
`;
