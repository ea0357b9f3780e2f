-- A worker takes a chunk: decides whether it is still worth computing, and marks the job as started.
-- KEYS[1] record   KEYS[2] inputs   (one hash tag)
-- ARGV[1] now in ms   ARGV[2] chunk   ARGV[3] which try this is
-- Answers { 'gone' } when there is no such job, { 'settled' } when it has its terminal status, { 'stored' } when this
-- chunk's outputs are in, { 'late', facts } when the job passed its deadline before anyone took it, and else
-- { 'taken', facts, payload, started at in ms }.
local record = redis.call('HMGET', KEYS[1], 'facts', 'status', 'started', 'chunk:' .. ARGV[2], 'attempts')
local facts, status, started, stored, attempts = record[1], record[2], record[3], record[4], record[5]
if not facts then
  return { 'gone' }
end
if status ~= 'queued' and status ~= 'processing' then
  return { 'settled' }
end
if stored then
  return { 'stored' }
end
if status == 'queued' then
  if tonumber(ARGV[1]) > cjson.decode(facts).deadlineAtMs then
    return { 'late', facts }
  end
  started = ARGV[1]
  redis.call('HSET', KEYS[1], 'status', 'processing', 'started', started)
end
if tonumber(ARGV[3]) > tonumber(attempts or 0) then
  redis.call('HSET', KEYS[1], 'attempts', ARGV[3])
end
return { 'taken', facts, redis.call('HGET', KEYS[2], ARGV[2]), started }
