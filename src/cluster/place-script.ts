/**
 * The one Lua function that hands out places: its text, its arguments and its reply. leases.ts makes the calls, redis.ts runs them;
 * test/cluster holds a model of it to a real server.
 *
 * All places of a cluster stand in one hash, a field for each host, so that one call renews a gateway's places at all of its hosts
 * and lies in one slot of a Redis Cluster. A field is plain text, for people with a redis-cli: a line for the table itself
 * (`run id, doubt until`) and a line for each gateway (`id, serial, granted, want, since, renewed, expires`), times in Redis' clock.
 */

/** What a gateway says of one host. */
export interface PlaceClaim {
  readonly hostId: string;
  /** `remote.<id>.cluster.concurrency`. */
  readonly total: number;
  /** How many connections it could use now. */
  readonly want: number;
  /** How many it may have, whatever becomes of this call, or has: what is recorded never falls below it. */
  readonly claim: number;
  /** How many of those it may have because they were granted: all that a table can be told that has forgotten them. */
  readonly leased: number;
  /** How many gateways it was told of last. */
  readonly seen: number;
  /** Since it sent the last call that was answered, on its own clock; -1 for none. Shows when Redis' clock jumps. */
  readonly elapsedMs: number;
}

/** One run of the function. */
export interface PlaceCall {
  readonly gateway: string;
  /** Counted up with each call: one that comes late changes nothing. */
  readonly serial: number;
  readonly leaseMs: number;
  /** `on-loss = "refuse"`: while the table may have forgotten somebody, nobody gets more than they claim. */
  readonly isStrict: boolean;
  /** The gateway closes: it holds nothing any more. */
  readonly isLeaving: boolean;
  readonly claims: readonly PlaceClaim[];
}

/** What the function says of one host. */
export interface PlaceReply {
  /** How many connections the gateway shall have: at most what was recorded. */
  readonly target: number;
  /** How many are recorded as the gateway's, until its lease ends. */
  readonly granted: number;
  /** How many are recorded as anybody's. */
  readonly used: number;
  /** Gateways with a lease, this one included. While the table may have forgotten some: as many as it was told of before, at least. */
  readonly seen: number;
  /** How many connections all of them could use. */
  readonly wanted: number;
}

const CLAIM_ARGUMENTS = 7;
const REPLY_NUMBERS = 5;

/** The hash that holds the places of a cluster. */
export function placesKey(cluster: string): string {
  return `relaypost:{${cluster}}:places`;
}

export function encodePlaceCall(call: PlaceCall): string[] {
  const { gateway, serial, leaseMs, isStrict, isLeaving, claims } = call;
  const flags = (isStrict ? 1 : 0) + (isLeaving ? 2 : 0);
  const head = [gateway, String(serial), String(leaseMs), String(flags)];
  const rest = claims.flatMap(({ hostId, total, want, claim, leased, seen, elapsedMs }) => [
    hostId,
    ...[total, want, claim, leased, seen, Math.round(elapsedMs)].map(String),
  ]);
  return [...head, ...rest];
}

/** The replies in the order of the claims; `undefined` for what no such function says. */
export function decodePlaceReply(reply: unknown, claims: number): PlaceReply[] | undefined {
  if (!Array.isArray(reply) || reply.length !== claims * REPLY_NUMBERS) {
    return undefined;
  }
  if (!reply.every((number) => Number.isSafeInteger(number) && number >= 0)) {
    return undefined;
  }
  const numbers = reply as number[];
  return Array.from({ length: claims }, (_, index) => {
    const [target, granted, used, seen, wanted] = numbers.slice(index * REPLY_NUMBERS, (index + 1) * REPLY_NUMBERS);
    return { target: target!, granted: granted!, used: used!, seen: seen!, wanted: wanted! };
  });
}

/** How long the table outlives the last call: longer than any lease, so that one that is missing was lost. */
const TABLE_LIFE_MS = 7 * 86_400_000;

export const PLACE_SCRIPT = `
local table_key = KEYS[1]
local my_id, my_serial, lease, flags = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local is_strict, is_leaving = flags % 2 == 1, flags >= 2
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Another server than the one that wrote the table has what the other had told it: maybe not everything.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or '-'

-- The level to which all wants can be filled, and what is left over above it (max-min fairness).
local function fill(wants, total)
  table.sort(wants)
  local left, count = total, #wants
  for index, want in ipairs(wants) do
    local part = math.floor(left / (count - index + 1))
    if want > part then return part, left - part * (count - index + 1) end
    left = left - want
  end
  return math.huge, left
end

local function read(text)
  local others, mine, doubt = {}, nil, nil
  if text then
    local known_run, known_doubt = string.match(text, '^(%S+) (%d+)\\n')
    if known_run == run then doubt = math.min(tonumber(known_doubt), now + lease) end
    for id, serial, granted, want, since, renewed, expires in
      string.gmatch(text, '(%S+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)\\n') do
      local entry = { id = id, serial = tonumber(serial), granted = tonumber(granted), want = tonumber(want),
        since = tonumber(since), renewed = tonumber(renewed), expires = math.min(tonumber(expires), now + lease) }
      if id == my_id then mine = entry else others[#others + 1] = entry end
    end
  end
  return others, mine, doubt or now + lease
end

-- Redis' clock jumped forward while the gateway's own did not: no lease has ended by that.
local function drop_expired(others, mine, elapsed)
  local has_jumped = mine and elapsed >= 0 and now - mine.renewed - elapsed > lease / 10
  local living = {}
  for _, entry in ipairs(others) do
    if has_jumped then entry.expires = now + lease end
    if entry.expires > now then living[#living + 1] = entry end
  end
  if mine and not has_jumped and mine.expires <= now then mine.granted = 0 end
  return living
end

-- Fewer places than gateways that want one: whoever had one for a lease gives it to whoever waited longest.
local function take_turn(others, mine, total)
  local holders, waiting, before = 0, 0, 0
  for _, other in ipairs(others) do
    if other.granted > 0 then holders = holders + 1
    elseif other.want > 0 then
      waiting = waiting + 1
      if other.since < mine.since or (other.since == mine.since and other.id < my_id) then before = before + 1 end
    end
  end
  if mine.granted > 0 then return (now - mine.since >= lease and waiting > 0) and 0 or 1 end
  return before < total - holders and 1 or 0
end

local function share_of(others, mine, total, claim)
  local want, wants, used, reserved = mine.want, { mine.want }, 0, 0
  for index, other in ipairs(others) do
    wants[index + 1] = other.want
    used = used + other.granted
    reserved = reserved + math.max(other.granted, other.want)
  end
  local level, rest = fill(wants, total)
  if want <= level then
    -- What nobody wants may stay where it is.
    local spare = level == math.huge and math.max(0, total - reserved - want) or 0
    return math.min(want + math.min(spare, math.max(0, claim - want)), math.max(0, total - used)), used
  end
  if level == 0 then return math.min(take_turn(others, mine, total), math.max(0, total - used)), used end
  local above = 0
  for _, other in ipairs(others) do
    if other.want > level and other.granted > level then above = above + 1 end
  end
  return math.min(above < rest and level + 1 or level, math.max(0, total - used)), used
end

local function settle(text, total, want, claim, leased, seen, elapsed)
  local others, mine, doubt = read(text)
  others = drop_expired(others, mine, elapsed)
  if mine and mine.serial >= my_serial then return nil end
  local had = mine and mine.granted or 0
  local is_waiting = mine and had == 0 and mine.want > 0
  local since = mine and (had > 0 or is_waiting) and mine.since or now
  mine = { id = my_id, serial = my_serial, granted = had, want = want, since = since, renewed = now, expires = now + lease }
  local target, used = share_of(others, mine, total, claim)
  local known = #others + (is_leaving and 0 or 1)
  if now < doubt then
    known = math.max(seen, #others + 1)
    target = math.min(target, math.max(leased, is_strict and 0 or math.max(1, math.floor(total / known))))
  end
  mine.granted = math.max(target, claim)
  if (mine.granted > 0) ~= (had > 0) then mine.since = now end
  local lines, wanted = { run .. ' ' .. string.format('%d', doubt) .. '\\n' }, 0
  if not is_leaving then others[#others + 1] = mine end
  for _, entry in ipairs(others) do
    wanted = wanted + entry.want
    lines[#lines + 1] = string.format('%s %d %d %d %d %d %d\\n', entry.id, entry.serial, entry.granted, entry.want,
      entry.since, entry.renewed, entry.expires)
  end
  return table.concat(lines), { target, mine.granted, used + mine.granted, known, wanted }
end

local hosts = {}
for at = 5, #ARGV, ${CLAIM_ARGUMENTS} do hosts[#hosts + 1] = ARGV[at] end
local texts = redis.call('HMGET', table_key, unpack(hosts))
local changes, reply = {}, {}
for index, host in ipairs(hosts) do
  local at = 5 + (index - 1) * ${CLAIM_ARGUMENTS}
  local text, numbers = settle(texts[index], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
    tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]))
  -- A call that was overtaken by a later one of the same gateway: nobody waits for its reply.
  if not text then return redis.error_reply('STALE a later call of this gateway was served already') end
  changes[#changes + 1] = host
  changes[#changes + 1] = text
  for _, number in ipairs(numbers) do reply[#reply + 1] = number end
end
redis.call('HSET', table_key, unpack(changes))
redis.call('PEXPIRE', table_key, ${TABLE_LIFE_MS})
return reply
`;
