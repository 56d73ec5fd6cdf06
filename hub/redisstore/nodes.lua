-- Replaces a node's line in the list of nodes. KEYS[1]: the list, one line a node:
-- NODE EXPIRES(ms) STATUS. ARGV: node, its status (no line break), lifetime of a line (ms).
-- Lines of nodes that have stopped writing expire. Returns {the list, now in ms}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lines = {}
for node, expires, status in string.gmatch(redis.call('GET', KEYS[1]) or '', '(%S+) (%d+) ([^\n]*)\n') do
  if node ~= ARGV[1] and tonumber(expires) > now and #lines < 500 then
    table.insert(lines, node .. ' ' .. expires .. ' ' .. status)
  end
end
table.insert(lines, ARGV[1] .. ' ' .. string.format('%.0f', now + ARGV[3]) .. ' ' .. ARGV[2])
local list = table.concat(lines, '\n') .. '\n'
redis.call('SET', KEYS[1], list, 'PX', ARGV[3])
return {list, now}
