-- Gives a job its one terminal status from outside its chunks (canceled, expired, failed). The first write wins.
-- KEYS[1] record   KEYS[2] inputs   KEYS[3] outputs   KEYS[4] events   KEYS[5] blobs   (one hash tag)
-- ARGV[1] now in ms   ARGV[2] status   ARGV[3] life after settling in ms   ARGV[4] the same of the record
-- ARGV[5] error (JSON)   ARGV[6] the run this is said of, or '' for whichever it is
-- Answers { 'gone' }, { 'retried' } when the job has had a later run, { 'settled' } when it was terminal before, or
-- { status, record as a flat list }.
local record = redis.call('HMGET', KEYS[1], 'status', 'facts', 'run')
if not record[2] then
  return { 'gone' }
end
if ARGV[6] ~= '' and ARGV[6] ~= (record[3] or '0') then
  return { 'retried' }
end
if record[1] ~= 'queued' and record[1] ~= 'processing' then
  return { 'settled' }
end
redis.call('HSET', KEYS[1], 'status', ARGV[2], 'completed', ARGV[1], 'error', ARGV[5])
redis.call('XTRIM', KEYS[4], 'MAXLEN', 128)
if ARGV[2] == 'canceled' then
  redis.call('DEL', KEYS[2], KEYS[5])
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', KEYS[4], '')
return { ARGV[2], redis.call('HGETALL', KEYS[1]) }
