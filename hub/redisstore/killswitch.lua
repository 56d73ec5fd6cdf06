-- Writes one client's kill switch. KEYS[1]: the hash of all switches.
-- ARGV: client, value, and optionally the value that it must replace ('' for none).
-- Returns {1 written | 0 another value is stored, false, now in ms}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[3] and (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[3] then
  return {0, false, now}
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return {1, false, now}
