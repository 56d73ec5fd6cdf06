-- The first who claims a name has it. The same claimant asking again (a client
-- library repeats a script after a time-out) hears the same answer.
local holder = redis.call('GET', KEYS[1])
if holder then
  return holder == ARGV[1] and 1 or 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
