-- Reads a ticket and notes the node that waits for it. KEYS[1] the record.
-- ARGV[1] the node to note, or '' to look only.
-- Answers {sealed record or nil, now in ms}.
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
  -- At most four, oldest out: a page that wanders leaves notes behind.
  redis.call('HSET', KEYS[1], 'nodes', table.concat(list, ',', math.max(1, #list - 3)))
end
return {got[1], now}
