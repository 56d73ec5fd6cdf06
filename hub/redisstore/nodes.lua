-- Replaces a node's line in the list of nodes. KEYS[1]: the list, one line a node:
-- NODE EXPIRES(ms) STATUS. ARGV: node, its status (no line break), lifetime of a line (ms).
-- The node's own line is the first, so that the limit of lines never drops it. Lines of
-- nodes that have stopped writing expire. Lines that no node writes are dropped: too long,
-- or of a node that expires later than this one. Returns {the list, now in ms}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local last = now + ARGV[3]
local lines = {ARGV[1] .. ' ' .. string.format('%.0f', last) .. ' ' .. ARGV[2]}
for line in string.gmatch(redis.call('GET', KEYS[1]) or '', '[^\n]+') do
  local node, expires, status = string.match(line, '^(%S+) (%d+) (.*)$')
  local time = tonumber(expires)
  if time and time > now and time <= last and node ~= ARGV[1] and #lines < 500 and #node <= 64 and #expires <= 16 and #status <= 1024 then
    table.insert(lines, line)
  end
end
local list = table.concat(lines, '\n') .. '\n'
redis.call('SET', KEYS[1], list, 'PX', ARGV[3])
return {list, now}
