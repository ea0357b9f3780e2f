-- Opens a failed or expired job again, under the same id, as its next run. What was computed stays; where all failed,
-- all is computed again. Of a job that waits since it was opened again nothing changes.
-- KEYS[1] record   KEYS[2] inputs   KEYS[3] outputs   KEYS[4] events   KEYS[5] blobs   (one hash tag)
-- ARGV[1] life in ms   ARGV[2] life of the record alone in ms
-- ARGV[3] to be taken by, in ms   ARGV[4] to be settled by, in ms, or ''
-- Answers { 'gone' }, { 'refused' } when its status is another, { 'gone' } also where its inputs are no more, or
-- { 'queued', record as a flat list, chunks to be queued... }.
local record = redis.call('HMGET', KEYS[1], 'status', 'facts', 'chunks', 'failed', 'run')
if not record[2] then
  return { 'gone' }
end
-- Whoever opened it again may have died before its chunks were queued: asked once more, it has no further run.
local waits = record[1] == 'queued' and record[5]
if not waits and record[1] ~= 'failed' and record[1] ~= 'expired' then
  return { 'refused' }
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  return { 'gone' }
end
if not waits then
  local slots = redis.call('HLEN', KEYS[3])
  if slots > 0 and slots == tonumber(record[4] or 0) then
    redis.call('DEL', KEYS[3])
    for chunk = 0, tonumber(record[3]) - 1 do
      redis.call('HDEL', KEYS[1], 'chunk:' .. chunk)
    end
    redis.call('HDEL', KEYS[1], 'failed', 'chunksDone', 'hits', 'joined', 'tokenizeUs', 'predictUs', 'batchSize')
  end
  redis.call('HDEL', KEYS[1], 'started', 'completed', 'error', 'attempts', 'settleBy', 'events')
  redis.call('HSET', KEYS[1], 'status', 'queued', 'startBy', ARGV[3])
  if ARGV[4] ~= '' then
    redis.call('HSET', KEYS[1], 'settleBy', ARGV[4])
  end
  redis.call('HINCRBY', KEYS[1], 'run', 1)
  redis.call('DEL', KEYS[4])
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIRE', key, ARGV[1])
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
local answer = { 'queued', redis.call('HGETALL', KEYS[1]) }
for chunk = 0, tonumber(record[3]) - 1 do
  if redis.call('HEXISTS', KEYS[1], 'chunk:' .. chunk) == 0 then
    table.insert(answer, chunk)
  end
end
return answer
