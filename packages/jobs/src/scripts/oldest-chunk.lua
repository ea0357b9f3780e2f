-- Which chunk has waited longest, if it is one that more urgent chunks would keep waiting. Reads BullMQ's own keys (6.7),
-- changes nothing: a chunk of priority 1-9 has the score priority * 2^32 + a running number, one of priority 0 lies in a list.
-- KEYS[1] wait   KEYS[2] prioritized   (one hash tag)
-- ARGV[1] what the key of a chunk begins with
-- Answers its BullMQ id, or nil when it is the next to be taken anyway.
local level = 4294967296
local function added(id)
  return tonumber(redis.call('HGET', ARGV[1] .. id, 'timestamp')) or math.huge
end
local head = redis.call('LINDEX', KEYS[1], -1)
local oldest, since
-- Of equally old ones the least urgent: it would wait longest.
for priority = 9, 1, -1 do
  local first = redis.call('ZRANGEBYSCORE', KEYS[2], priority * level, '(' .. (priority + 1) * level, 'LIMIT', 0, 1)[1]
  if first then
    local at = added(first)
    if not since or at < since then
      oldest, since = first, at
    end
  end
end
if not oldest or (head and added(head) < since) then
  return nil
end
if not head and redis.call('ZRANGE', KEYS[2], 0, 0)[1] == oldest then
  return nil
end
return oldest
