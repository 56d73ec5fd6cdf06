-- Gives a value and removes it, unless it is under a key that the caller does not
-- have: another node can take it then. ARGV are what such values begin with.
local value = redis.call('GET', KEYS[1])
if not value then
  return false
end
for _, front in ipairs(ARGV) do
  if string.sub(value, 1, #front) == front then
    return redis.call('GETDEL', KEYS[1])
  end
end
return value
