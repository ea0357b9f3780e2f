-- A worker takes a chunk: decides whether it is still worth computing, and marks the job as started.
-- KEYS[1] record   KEYS[2] inputs   KEYS[3] events   KEYS[4] blobs   (one hash tag)
-- ARGV[1] now in ms   ARGV[2] chunk   ARGV[3] which try this is   ARGV[4] run   ARGV[5] least life from now in ms
-- Answers { 'gone' } when there is no such job, { 'retried' } when the job has had a later run, { 'settled', facts, status }
-- when it has its terminal status, { 'stored' } when this chunk's outputs are in, { 'late', facts } when the job passed
-- a deadline, and else { 'taken', facts, payload, started at in ms, 1 when this call started the job, to be settled by
-- in ms where there is such a limit }.
local record = redis.call('HMGET', KEYS[1],
  'facts', 'status', 'started', 'chunk:' .. ARGV[2], 'attempts', 'run', 'startBy', 'settleBy')
local facts, status, started, stored = record[1], record[2], record[3], record[4]
if not facts then
  return { 'gone' }
end
if ARGV[4] ~= (record[6] or '0') then
  return { 'retried' }
end
if status ~= 'queued' and status ~= 'processing' then
  return { 'settled', facts, status }
end
if stored then
  return { 'stored' }
end
local now = tonumber(ARGV[1])
if (status == 'queued' and now > tonumber(record[7])) or (record[8] and now > tonumber(record[8])) then
  return { 'late', facts }
end
local first, attempts = 0, tonumber(record[5] or 0)
if status == 'queued' then
  first = 1
  started = ARGV[1]
  attempts = tonumber(ARGV[3])
  redis.call('HSET', KEYS[1], 'status', 'processing', 'started', started, 'attempts', attempts)
  redis.call('XADD', KEYS[3], '*', 'type', 'started', 'at', started)
  redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[1]))
  redis.call('PUBLISH', KEYS[3], '')
end
if tonumber(ARGV[3]) > attempts then
  redis.call('HSET', KEYS[1], 'attempts', ARGV[3])
end
-- Work that takes longer than its job was to live keeps what it needs.
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[5]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[5] * 2)
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  redis.call('PEXPIRE', KEYS[4], ARGV[5])
end
return { 'taken', facts, redis.call('HGET', KEYS[2], ARGV[2]), started, first, record[8] }
