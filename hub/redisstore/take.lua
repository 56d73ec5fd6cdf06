-- Returns a value and removes it. A value under a key that the caller does not have is
-- kept, because another node can take it. KEYS[1]: the value.
-- ARGV: the beginnings of values under the caller's keys.
local value = redis.call('GET', KEYS[1])
if not value then
  return false
end
for _, prefix in ipairs(ARGV) do
  if string.sub(value, 1, #prefix) == prefix then
    return redis.call('GETDEL', KEYS[1])
  end
end
return value
