-- Writes a chunk's outputs, once; the last chunk settles the job.
-- KEYS[1] record   KEYS[2] inputs   KEYS[3] outputs   (one hash tag)
-- ARGV[1] now in ms   ARGV[2] chunk   ARGV[3] life after settling in ms   ARGV[4] slots that failed
-- ARGV[5] hits found at the worker   ARGV[6] joined   ARGV[7] tokenize in µs   ARGV[8] predict in µs   ARGV[9] batch size
-- then slot and bytes per result.
-- Answers { outcome, record as a flat list of fields and values }; outcome is 'gone', 'settled' (was terminal before),
-- 'stored' (this chunk was in before), 'more' (chunks are missing), 'succeeded' or 'failed' (settled by this call).
local record = redis.call('HMGET', KEYS[1], 'status', 'chunks', 'facts')
local status, chunks = record[1], tonumber(record[2])
if not record[3] then
  return { 'gone' }
end
if status ~= 'queued' and status ~= 'processing' then
  return { 'settled' }
end
if redis.call('HSETNX', KEYS[1], 'chunk:' .. ARGV[2], 1) == 0 then
  return { 'stored' }
end
for at = 10, #ARGV, 2 do
  redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1])
end
redis.call('HINCRBY', KEYS[1], 'hits', ARGV[5])
redis.call('HINCRBY', KEYS[1], 'joined', ARGV[6])
redis.call('HINCRBY', KEYS[1], 'tokenizeUs', ARGV[7])
redis.call('HINCRBY', KEYS[1], 'predictUs', ARGV[8])
redis.call('HSET', KEYS[1], 'batchSize', math.max(tonumber(redis.call('HGET', KEYS[1], 'batchSize') or 0), tonumber(ARGV[9])))
local failed = redis.call('HINCRBY', KEYS[1], 'failed', ARGV[4])
if redis.call('HINCRBY', KEYS[1], 'chunksDone', 1) < chunks then
  redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[1]))
  return { 'more' }
end
local outcome = 'succeeded'
if failed == redis.call('HLEN', KEYS[3]) then
  outcome = 'failed'
end
redis.call('HSET', KEYS[1], 'status', outcome, 'completed', ARGV[1])
if outcome == 'succeeded' then
  redis.call('DEL', KEYS[2])
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[3])
end
return { outcome, redis.call('HGETALL', KEYS[1]) }
