-- Checks that this master accepts writes and that the node's mailbox receives what is
-- published here. KEYS[1]: the node's key on this master.
-- ARGV: lifetime of the key (ms), the mailbox, the liveness probe, PUBLISH or SPUBLISH.
-- The write comes first: a master that refuses writes (NOREPLICAS, OOM, READONLY,
-- CLUSTERDOWN) must not look healthy because publishing still works.
-- Returns now in ms.
local t = redis.call('TIME')
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[1])
redis.call(ARGV[4], ARGV[2], ARGV[3])
return t[1] * 1000 + math.floor(t[2] / 1000)
