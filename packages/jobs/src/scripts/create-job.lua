-- Writes the record of a job, its queued inputs, their files and the results known at submit; all of it or, where the job exists
-- already, nothing. A job without chunks is settled as it is written.
-- KEYS[1] record   KEYS[2] inputs   KEYS[3] outputs   KEYS[4] events   KEYS[5] blobs   (one hash tag)
-- ARGV[1] life in ms   ARGV[2] life of the record alone in ms   ARGV[3] now in ms   ARGV[4] facts (JSON)
-- ARGV[5] to be taken by, in ms   ARGV[6] to be settled by, in ms, or '' where there is no such limit
-- ARGV[7] chunk count   ARGV[8] count of known results   ARGV[9] 1 where a worker has begun already
-- then one JSON payload per chunk, then slot and bytes per known result, then digest and bytes per file.
-- Answers 1 when written, 0 when the job was there.
if redis.call('HSETNX', KEYS[1], 'facts', ARGV[4]) == 0 then
  return 0
end
local chunks, known = tonumber(ARGV[7]), tonumber(ARGV[8])
local blobs = 10 + chunks + known * 2
redis.call('HSET', KEYS[1], 'status', 'queued', 'chunks', chunks, 'startBy', ARGV[5])
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[1], 'settleBy', ARGV[6])
end
if ARGV[9] == '1' then
  redis.call('HSET', KEYS[1], 'status', 'processing', 'started', ARGV[3], 'attempts', 1)
  redis.call('XADD', KEYS[4], '*', 'type', 'started', 'at', ARGV[3])
end
for chunk = 0, chunks - 1 do
  redis.call('HSET', KEYS[2], chunk, ARGV[10 + chunk])
end
for at = 10 + chunks, blobs - 1, 2 do
  redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1])
end
for at = blobs, #ARGV, 2 do
  redis.call('HSET', KEYS[5], ARGV[at], ARGV[at + 1])
end
if chunks == 0 then
  redis.call('HSET', KEYS[1], 'status', 'succeeded', 'started', ARGV[3], 'completed', ARGV[3])
  redis.call('XADD', KEYS[4], '*', 'type', 'succeeded')
end
-- What comes into being later gets its end then.
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if chunks > 0 then
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
if known > 0 then
  redis.call('PEXPIRE', KEYS[3], ARGV[1])
end
if chunks == 0 or ARGV[9] == '1' then
  redis.call('PEXPIRE', KEYS[4], ARGV[1])
end
if #ARGV >= blobs then
  redis.call('PEXPIRE', KEYS[5], ARGV[1])
end
return 1
