-- Writes a chunk's outputs, once; the last chunk settles the job.
-- KEYS[1] record   KEYS[2] inputs   KEYS[3] outputs   KEYS[4] events   KEYS[5] blobs   (one hash tag)
-- ARGV[1] now in ms   ARGV[2] chunk   ARGV[3] run   ARGV[4] life after settling in ms   ARGV[5] the same of the record
-- ARGV[6] slots that failed   ARGV[7] hits found at the worker   ARGV[8] joined   ARGV[9] tokenize in us
-- ARGV[10] predict in us   ARGV[11] batch size
-- ARGV[12] channel and ARGV[13] message to publish where this call settles the job as succeeded; '' for none: who says what is
-- then to be told knows the record already
-- then slot and bytes per result.
-- Answers { outcome, record as a flat list of fields and values }; outcome is 'gone', 'retried' (the job has had a later
-- run), 'settled' (was terminal before), 'stored' (this chunk was in before), 'more' (chunks are missing), 'told' (settled by
-- this call, which published the message), 'succeeded' or 'failed' (settled by this call). Only the last two bring the record.
local stored = 'chunk:' .. ARGV[2]
local record = redis.call('HMGET', KEYS[1], 'status', 'chunks', 'run', stored)
local status, chunks = record[1], tonumber(record[2])
if not status then
  return { 'gone' }
end
if ARGV[3] ~= (record[3] or '0') then
  return { 'retried' }
end
if status ~= 'queued' and status ~= 'processing' then
  return { 'settled' }
end
if record[4] then
  return { 'stored' }
end
redis.call('HSET', KEYS[3], unpack(ARGV, 14))
local failed, done = tonumber(ARGV[6]), 1
if chunks == 1 then
  redis.call('HSET', KEYS[1], stored, 1, 'hits', ARGV[7], 'joined', ARGV[8], 'tokenizeUs', ARGV[9], 'predictUs', ARGV[10],
    'batchSize', ARGV[11], 'failed', failed, 'chunksDone', 1)
else
  redis.call('HSET', KEYS[1], stored, 1)
  redis.call('HINCRBY', KEYS[1], 'hits', ARGV[7])
  redis.call('HINCRBY', KEYS[1], 'joined', ARGV[8])
  redis.call('HINCRBY', KEYS[1], 'tokenizeUs', ARGV[9])
  redis.call('HINCRBY', KEYS[1], 'predictUs', ARGV[10])
  redis.call('HSET', KEYS[1], 'batchSize', math.max(tonumber(redis.call('HGET', KEYS[1], 'batchSize') or 0), tonumber(ARGV[11])))
  failed = redis.call('HINCRBY', KEYS[1], 'failed', failed)
  done = redis.call('HINCRBY', KEYS[1], 'chunksDone', 1)
end
if done < chunks then
  redis.call('XADD', KEYS[4], 'MAXLEN', 128, '*', 'type', 'progress', 'slots', redis.call('HLEN', KEYS[3]))
  -- As long as the inputs; where those are over, as the record.
  local life = redis.call('PTTL', KEYS[2])
  if life < 0 then
    life = redis.call('PTTL', KEYS[1])
  end
  redis.call('PEXPIRE', KEYS[3], life)
  redis.call('PEXPIRE', KEYS[4], life)
  redis.call('PUBLISH', KEYS[4], '')
  return { 'more' }
end
local outcome = 'succeeded'
if failed > 0 and failed == redis.call('HLEN', KEYS[3]) then
  outcome = 'failed'
end
redis.call('HSET', KEYS[1], 'status', outcome, 'completed', ARGV[1])
redis.call('XADD', KEYS[4], 'MAXLEN', 128, '*', 'type', outcome)
if outcome == 'succeeded' then
  redis.call('DEL', KEYS[2], KEYS[5])
else
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  redis.call('PEXPIRE', KEYS[5], ARGV[4])
end
redis.call('PEXPIRE', KEYS[3], ARGV[4])
redis.call('PEXPIRE', KEYS[4], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', KEYS[4], '')
if outcome == 'succeeded' and ARGV[12] ~= '' then
  redis.call('PUBLISH', ARGV[12], ARGV[13])
  return { 'told' }
end
return { outcome, redis.call('HGETALL', KEYS[1]) }
