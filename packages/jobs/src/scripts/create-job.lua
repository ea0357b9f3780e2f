-- Writes the record of a job, its queued inputs and the results known at submit; all of it or, where the job exists
-- already, nothing.
-- KEYS[1] record   KEYS[2] inputs   KEYS[3] outputs   (one hash tag)
-- ARGV[1] life in ms   ARGV[2] facts (JSON)   ARGV[3] chunk count   ARGV[4] count of known results
-- then one JSON payload per chunk, then slot and bytes per known result.
-- Answers 1 when written, 0 when the job was there.
if redis.call('HSETNX', KEYS[1], 'facts', ARGV[2]) == 0 then
  return 0
end
local chunks = tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'status', 'queued', 'chunks', chunks)
for chunk = 0, chunks - 1 do
  redis.call('HSET', KEYS[2], chunk, ARGV[5 + chunk])
end
for known = 0, tonumber(ARGV[4]) - 1 do
  local at = 5 + chunks + known * 2
  redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1])
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[1])
end
return 1
