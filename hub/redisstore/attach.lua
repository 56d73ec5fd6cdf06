-- Reads a ticket and records the node that waits for it. KEYS[1]: the record.
-- ARGV[1]: the node, or '' to read only.
-- Returns {sealed record or nil, now in ms}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local got = redis.call('HMGET', KEYS[1], 'rec', 'nodes')
if not got[1] then
  return {false, now}
end
local node, nodes = ARGV[1], got[2] or ''
if node ~= '' and not string.find(',' .. nodes .. ',', ',' .. node .. ',', 1, true) then
  local list = {}
  for n in string.gmatch(nodes, '[^,]+') do list[#list + 1] = n end
  list[#list + 1] = node
  -- At most four, the oldest is dropped: a page that changes nodes leaves records behind.
  redis.call('HSET', KEYS[1], 'nodes', table.concat(list, ',', math.max(1, #list - 3)))
end
return {got[1], now}
