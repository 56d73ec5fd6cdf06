-- Sets a name if it is not set. KEYS[1]: the name. ARGV: random value, lifetime (ms).
-- Returns 1 to the first caller, else 0. A repeated call with the same value gets the
-- same answer: a client library repeats a script after a timeout.
local value = redis.call('GET', KEYS[1])
if value then
  return value == ARGV[1] and 1 or 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
