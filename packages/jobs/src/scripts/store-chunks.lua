-- Writes the outputs of chunks, of each once; the last chunk of a job settles it.
-- KEYS record, inputs, outputs, events and blobs of each chunk's job, in turn (one hash tag per job)
-- ARGV[1] channel to tell on   then for each chunk: now in ms, chunk, run, life after settling in ms, the same of the record,
-- slots that failed, hits found at the worker, joined, tokenize in us, predict in us, batch size, what to tell where this
-- call settles the job as succeeded ('' for nothing), whether the results are told with it (1 or 0), count of results, slot and
-- bytes per result
-- Told is in one message, laid out as settled-message.ts says: who says what to tell knows the record already.
-- Answers for each { outcome, record as a flat list of fields and values }; outcome is 'gone', 'retried' (the job has had a later
-- run), 'settled' (was terminal before), 'stored' (this chunk was in before), 'more' (chunks are missing), 'told' (settled by
-- this call, which told it), 'succeeded' or 'failed' (settled by this call). Only the last two bring the record.
local heads, bodies = {}, {}

local function store(job, inputs, outputs, events, blobs, at, results)
  local now, chunk, run, life, recordLife = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local failed, hits, joined, tokenizeUs = tonumber(ARGV[at + 5]), ARGV[at + 6], ARGV[at + 7], ARGV[at + 8]
  local predictUs, batchSize, telling = ARGV[at + 9], ARGV[at + 10], ARGV[at + 11]
  local from, to = at + 14, at + 13 + 2 * results
  local stored = 'chunk:' .. chunk
  local record = redis.call('HMGET', job, 'status', 'chunks', 'run', stored)
  local status, chunks = record[1], tonumber(record[2])
  if not status then
    return { 'gone' }
  end
  if run ~= (record[3] or '0') then
    return { 'retried' }
  end
  if status ~= 'queued' and status ~= 'processing' then
    return { 'settled' }
  end
  if record[4] then
    return { 'stored' }
  end
  redis.call('HSET', outputs, unpack(ARGV, from, to))
  if chunks > 1 then
    redis.call('HSET', job, stored, 1)
    redis.call('HINCRBY', job, 'hits', hits)
    redis.call('HINCRBY', job, 'joined', joined)
    redis.call('HINCRBY', job, 'tokenizeUs', tokenizeUs)
    redis.call('HINCRBY', job, 'predictUs', predictUs)
    redis.call('HSET', job, 'batchSize', math.max(tonumber(redis.call('HGET', job, 'batchSize') or 0), tonumber(batchSize)))
    failed = redis.call('HINCRBY', job, 'failed', failed)
    if redis.call('HINCRBY', job, 'chunksDone', 1) < chunks then
      -- Its place in the run, behind the start (event-id.ts).
      local id = run .. '-' .. (redis.call('HINCRBY', job, 'events', 1) + 1)
      redis.call('XADD', events, 'MAXLEN', 128, id, 'type', 'progress', 'slots', redis.call('HLEN', outputs))
      -- As long as the inputs; where those are over, as the record.
      local left = redis.call('PTTL', inputs)
      if left < 0 then
        left = redis.call('PTTL', job)
      end
      redis.call('PEXPIRE', outputs, left)
      redis.call('PEXPIRE', events, left)
      redis.call('PUBLISH', events, '')
      return { 'more' }
    end
  end
  local outcome = 'succeeded'
  if failed > 0 and failed == redis.call('HLEN', outputs) then
    outcome = 'failed'
  end
  if chunks > 1 then
    redis.call('HSET', job, 'status', outcome, 'completed', now)
  else
    redis.call('HSET', job, stored, 1, 'hits', hits, 'joined', joined, 'tokenizeUs', tokenizeUs, 'predictUs', predictUs,
      'batchSize', batchSize, 'failed', failed, 'chunksDone', 1, 'status', outcome, 'completed', now)
  end
  if outcome == 'succeeded' then
    redis.call('DEL', inputs, blobs)
  else
    redis.call('PEXPIRE', inputs, life)
    redis.call('PEXPIRE', blobs, life)
  end
  redis.call('PEXPIRE', outputs, life)
  if redis.call('PEXPIRE', events, life) == 1 then
    redis.call('XTRIM', events, 'MAXLEN', 128)
  end
  redis.call('PEXPIRE', job, recordLife)
  redis.call('PUBLISH', events, '')
  if outcome == 'succeeded' and telling ~= '' then
    heads[#heads + 1] = telling
    if ARGV[at + 12] == '1' then
      for bytes = from + 1, to, 2 do
        bodies[#bodies + 1] = ARGV[bytes]
      end
    end
    return { 'told' }
  end
  return { outcome, redis.call('HGETALL', job) }
end

local answers, at = {}, 2
for key = 1, #KEYS, 5 do
  local results = tonumber(ARGV[at + 13])
  answers[#answers + 1] = store(KEYS[key], KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], KEYS[key + 4], at, results)
  at = at + 14 + 2 * results
end
if #heads > 0 then
  local header = '[' .. table.concat(heads, ',') .. ']'
  redis.call('PUBLISH', ARGV[1], struct.pack('<I4', #header) .. header .. table.concat(bodies))
end
return answers
