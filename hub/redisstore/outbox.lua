-- Changes one queue of the outbox and claims what is due. All keys are in one slot.
-- KEYS: entries (hash: key to state, attempts in three digits, value), due times,
--       times of the first put, settled ids until they are forgotten (three sorted sets).
-- ARGV: most entries, lease (ms), number of settled and of prepared entries to claim, life
--       of the keys (ms),
--       number of puts, and of each: key, id, state ('p' prepared, 's' settled), due in
--       (ms), time to remember the id (ms), value;
--       number of removals, and of each: key;
--       number of retries, and of each: key, attempts of the claim, due in (ms).
-- Returns {1 if something was put, else 0; number of puts without room; claims, five
-- values each: key, state, attempts, age (ms), value; time to the next due entry that this
-- call had room for (ms, -1: none); entries; age of the oldest (ms); number of ids settled;
-- false; now in ms}.
-- The scores of prepared entries are 1e13 less than when they are due: they are claimed
-- apart, so that they do not wait behind settled ones.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local at, put, full, settled = 6, 0, 0, 0
local function arg()
  at = at + 1
  return ARGV[at - 1]
end
local function due(key, state, after)
  redis.call('ZADD', KEYS[2], now + tonumber(after) - (state == 'p' and 1e13 or 0), key)
end
local function remove(key)
  redis.call('HDEL', KEYS[1], key)
  redis.call('ZREM', KEYS[2], key)
  redis.call('ZREM', KEYS[3], key)
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
for _ = 1, tonumber(arg()) do
  local key, id, state, after, remember, value = arg(), arg(), arg(), arg(), arg(), arg()
  if not redis.call('ZSCORE', KEYS[4], id) then
    if redis.call('ZSCORE', KEYS[3], key) or redis.call('ZCARD', KEYS[3]) < tonumber(ARGV[1]) then
      redis.call('HSET', KEYS[1], key, state .. '000' .. value)
      due(key, state, after)
      redis.call('ZADD', KEYS[3], 'NX', now, key)
      if state == 's' then
        redis.call('ZADD', KEYS[4], now + tonumber(remember), id)
        settled = settled + 1
      end
      put = 1
    else
      full = full + 1
    end
  elseif state == 's' and string.sub(redis.call('HGET', KEYS[1], key) or '', 1, 1) == 'p' then
    remove(key) -- another attempt of the same id was settled
  end
end
if put == 1 then
  for i = 1, 4 do
    redis.call('PEXPIREAT', KEYS[i], now + tonumber(ARGV[5]))
  end
end
for _ = 1, tonumber(arg()) do
  remove(arg())
end
for _ = 1, tonumber(arg()) do
  local key, attempts, after = arg(), tonumber(arg()), arg()
  local entry = redis.call('HGET', KEYS[1], key)
  if entry and tonumber(string.sub(entry, 2, 4)) == attempts then
    due(key, string.sub(entry, 1, 1), after)
  end
end
local claims, nearest = {}, -1
local function claim(want, from, offset)
  local keys = want > 0 and redis.call('ZRANGE', KEYS[2], from, now - offset, 'BYSCORE', 'LIMIT', 0, want) or {}
  for _, key in ipairs(keys) do
    local entry = redis.call('HGET', KEYS[1], key)
    if entry then
      local state, value = string.sub(entry, 1, 1), string.sub(entry, 5)
      local attempts = math.min(tonumber(string.sub(entry, 2, 4)) + 1, 999)
      redis.call('HSET', KEYS[1], key, state .. string.format('%03d', attempts) .. value)
      due(key, state, ARGV[2])
      local born = redis.call('ZSCORE', KEYS[3], key) or now
      for _, one in ipairs({key, state, attempts, now - tonumber(born), value}) do
        claims[#claims + 1] = one
      end
    else
      remove(key)
    end
  end
  if #keys < want then
    local next = redis.call('ZRANGE', KEYS[2], from, offset > 0 and 0 or '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')[2]
    local wait = next and math.max(0, next + offset - now)
    nearest = wait and (nearest < 0 or wait < nearest) and wait or nearest
  end
end
claim(tonumber(ARGV[4]), '-inf', 1e13)
claim(tonumber(ARGV[3]), 0, 0)
local oldest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
return {put, full, claims, nearest, redis.call('ZCARD', KEYS[3]), oldest[2] and now - oldest[2] or 0, settled, false, now}
