-- Writes the records of jobs, each with its queued inputs, their files and the results known at submit; of each all or, where the
-- job exists already, nothing. A job without chunks is settled as it is written.
-- KEYS record, inputs, outputs and blobs of each job, in turn (one hash tag per job)
-- ARGV for each job: life in ms, life of the record alone in ms, now in ms, facts (JSON), to be taken by, in ms, to be settled
-- by, in ms, or '' where there is no such limit, 1 where a worker has begun already, count of chunks, of known results and of
-- files, then one JSON payload per chunk, slot and bytes per known result, digest and bytes per file
-- Answers for each 1 when written, 0 when the job was there.
local function create(record, inputs, outputs, blobs, at, chunks, known, files)
  local life, recordLife, now, settleBy, begun = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 5], ARGV[at + 6]
  if redis.call('HSETNX', record, 'facts', ARGV[at + 3]) == 0 then
    return 0
  end
  redis.call('HSET', record, 'status', 'queued', 'chunks', chunks, 'startBy', ARGV[at + 4])
  if settleBy ~= '' then
    redis.call('HSET', record, 'settleBy', settleBy)
  end
  if begun == '1' then
    redis.call('HSET', record, 'status', 'processing', 'started', now, 'attempts', 1)
  end
  local payloads = at + 10
  local results = payloads + chunks
  local contents = results + 2 * known
  for chunk = 0, chunks - 1 do
    redis.call('HSET', inputs, chunk, ARGV[payloads + chunk])
  end
  for one = results, contents - 1, 2 do
    redis.call('HSET', outputs, ARGV[one], ARGV[one + 1])
  end
  for one = contents, contents + 2 * files - 1, 2 do
    redis.call('HSET', blobs, ARGV[one], ARGV[one + 1])
  end
  if chunks == 0 then
    redis.call('HSET', record, 'status', 'succeeded', 'started', now, 'completed', now)
  end
  -- What comes into being later gets its end then.
  redis.call('PEXPIRE', record, recordLife)
  if chunks > 0 then
    redis.call('PEXPIRE', inputs, life)
  end
  if known > 0 then
    redis.call('PEXPIRE', outputs, life)
  end
  if files > 0 then
    redis.call('PEXPIRE', blobs, life)
  end
  return 1
end

local answers, at = {}, 1
for key = 1, #KEYS, 4 do
  local chunks, known, files = tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9])
  answers[#answers + 1] =
    create(KEYS[key], KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], at, chunks, known, files)
  at = at + 10 + chunks + 2 * (known + files)
end
return answers
