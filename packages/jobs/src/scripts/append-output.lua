-- Writes more of an item's output to the events of its job, while the job is worked on. What was written before, by a
-- try that died, is not written again.
-- KEYS[1] record   KEYS[2] events   (one hash tag)
-- ARGV[1] run   ARGV[2] slot   ARGV[3] which input it is   ARGV[4] bytes of output before this piece   ARGV[5] the piece
-- ARGV[6] events kept   ARGV[7] least life of the record from now in ms
-- Answers 1 when there was something to write, else 0.
local record = redis.call('HMGET', KEYS[1], 'status', 'run')
if record[1] ~= 'processing' or ARGV[1] ~= (record[2] or '0') then
  return 0
end
local field = 'told:' .. ARGV[1] .. ':' .. ARGV[2]
local told = tonumber(redis.call('HGET', KEYS[1], field) or 0)
local start, piece = tonumber(ARGV[4]), ARGV[5]
if start < told then
  piece = string.sub(piece, told - start + 1)
  start = told
end
if piece == '' then
  return 0
end
redis.call('HSET', KEYS[1], field, start + string.len(piece))
-- Its place in the run, behind the start (event-id.ts).
local id = ARGV[1] .. '-' .. (redis.call('HINCRBY', KEYS[1], 'events', 1) + 1)
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[6], id, 'type', 'output', 'index', ARGV[3], 'start', start, 'text', piece)
-- A text may take longer than its job was to live.
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[7]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[7] * 2)
end
redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
redis.call('PUBLISH', KEYS[2], '')
return 1
