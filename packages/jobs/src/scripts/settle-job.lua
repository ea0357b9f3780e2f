-- Gives a job its one terminal status from outside its chunks (expired, failed). The first write wins.
-- KEYS[1] record   KEYS[2] inputs   KEYS[3] outputs   (one hash tag)
-- ARGV[1] now in ms   ARGV[2] status   ARGV[3] life after settling in ms   ARGV[4] error (JSON)
-- Answers { 'gone' }, { 'settled' } when it was terminal before, or { status, record as a flat list }.
local record = redis.call('HMGET', KEYS[1], 'status', 'facts')
if not record[2] then
  return { 'gone' }
end
if record[1] ~= 'queued' and record[1] ~= 'processing' then
  return { 'settled' }
end
redis.call('HSET', KEYS[1], 'status', ARGV[2], 'completed', ARGV[1], 'error', ARGV[4])
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[3])
end
return { ARGV[2], redis.call('HGETALL', KEYS[1]) }
