-- Replaces a ticket's record. KEYS[1]: the record.
-- ARGV: tag of the version that the change is based on, next sealed record
--       ('': repeat the change that made the tagged version),
--       not before and not after (ms; 0: no bound), time of expiry (ms),
--       node to exclude, head of the message to publish, which the record follows,
--       prefix of the mailboxes' names,
--       prefix of the sharded mailboxes in the record's slot ('': none).
-- Returns {1 done | 0 not done, the stored record if not done, now in ms}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local got = redis.call('HMGET', KEYS[1], 'rec', 'nodes')
local rec = got[1]
if not rec then
  return {0, false, now}
end
local tagged = ARGV[1] ~= '' and string.sub(rec, 1, #ARGV[1]) == ARGV[1]
-- The stored record equals the offered one, or is the tagged one: a repeated call,
-- answered as the first time. It writes the expiry again, so that a following WAIT has a
-- write to wait for.
if rec == ARGV[2] or ARGV[2] == '' and tagged then
  redis.call('PEXPIREAT', KEYS[1], ARGV[5])
  return {1, false, now}
end
local from, till = tonumber(ARGV[3]), tonumber(ARGV[4])
if ARGV[2] == '' or not tagged or now < from or (till > 0 and now >= till) then
  return {0, rec, now}
end
redis.call('HSET', KEYS[1], 'rec', ARGV[2])
redis.call('PEXPIREAT', KEYS[1], ARGV[5])
local sent, message = 0, nil
for node in string.gmatch(got[2] or '', '[^,]+') do
  if node ~= ARGV[6] and sent < 4 then
    message = message or ARGV[7] .. ARGV[2]
    -- No node receives it in this slot: the node does not use sharded mailboxes, or it is
    -- subscribing again, or the slot is moving here and the subscription is not.
    if ARGV[9] == '' or redis.call('SPUBLISH', ARGV[9] .. node, message) == 0 then
      redis.call('PUBLISH', ARGV[8] .. node, message)
    end
    sent = sent + 1
  end
end
return {1, false, now}
