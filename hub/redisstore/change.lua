-- Changes a ticket. KEYS[1] the record.
-- ARGV: tag of the version the change was decided on, next sealed record,
--       not before, only before (ms; 0: no bound), when to forget it (ms),
--       node to skip, message to publish, what mailboxes' names begin with.
-- Answers {1 done | 0 it does not fit, the stored record where it does not fit, now in ms}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local got = redis.call('HMGET', KEYS[1], 'rec', 'nodes')
local rec = got[1]
if not rec then
  return {0, false, now}
end
-- What is stored is what is offered: the same call again, answered as the first
-- time. It writes all the same, so that a WAIT that follows has something to wait for.
if rec == ARGV[2] then
  redis.call('PEXPIREAT', KEYS[1], ARGV[5])
  return {1, false, now}
end
local from, till = tonumber(ARGV[3]), tonumber(ARGV[4])
if ARGV[1] == '' or string.sub(rec, 1, #ARGV[1]) ~= ARGV[1] or now < from or (till > 0 and now >= till) then
  return {0, rec, now}
end
redis.call('HSET', KEYS[1], 'rec', ARGV[2])
redis.call('PEXPIREAT', KEYS[1], ARGV[5])
local told = 0
for node in string.gmatch(got[2] or '', '[^,]+') do
  if node ~= ARGV[6] and told < 4 then
    redis.call('PUBLISH', ARGV[8] .. node, ARGV[7])
    told = told + 1
  end
end
return {1, false, now}
