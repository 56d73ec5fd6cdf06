-- Creates a ticket. KEYS[1]: the record.
-- ARGV: sealed record, its deadline, its lifetime, its time of expiry (all ms).
-- Returns {1 created | 0 the id is taken | -1 the caller's clock is wrong, now in ms}.
-- Equal bytes are a repeated call: a client library repeats a script after a timeout.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local old = redis.call('HGET', KEYS[1], 'rec')
if old then
  return {old == ARGV[1] and 1 or 0, now}
end
-- The deadline is sealed, so the caller had to estimate this clock.
if math.abs(ARGV[2] - ARGV[3] - now) > 1000 then
  return {-1, now}
end
redis.call('HSET', KEYS[1], 'rec', ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[4])
return {1, now}
