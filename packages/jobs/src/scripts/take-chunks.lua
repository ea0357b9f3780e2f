-- A worker takes chunks: decides of each whether it is still worth computing, and marks its job as started.
-- KEYS record, inputs, events and blobs of each chunk's job, in turn (one hash tag per job)
-- ARGV[1] least life from now in ms   then for each chunk: now in ms, chunk, which try this is, run
-- Answers for each { 'gone' } when there is no such job, { 'retried' } when the job has had a later run, { 'settled', facts, status }
-- when it has its terminal status, { 'stored' } when this chunk's outputs are in, { 'late', facts } when the job passed
-- a deadline, and else { 'taken', facts, payload, started at in ms, 1 when this call started the job, to be settled by
-- in ms where there is such a limit }.
local leastLife = ARGV[1]

local function take(job, inputs, events, blobs, at)
  local nowMs, chunk, try, run = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local record = redis.call('HMGET', job, 'facts', 'status', 'started', 'chunk:' .. chunk, 'attempts', 'run', 'startBy', 'settleBy')
  local facts, status, started, stored = record[1], record[2], record[3], record[4]
  if not facts then
    return { 'gone' }
  end
  if run ~= (record[6] or '0') then
    return { 'retried' }
  end
  if status ~= 'queued' and status ~= 'processing' then
    return { 'settled', facts, status }
  end
  if stored then
    return { 'stored' }
  end
  local now = tonumber(nowMs)
  if (status == 'queued' and now > tonumber(record[7])) or (record[8] and now > tonumber(record[8])) then
    return { 'late', facts }
  end
  local first, attempts = 0, tonumber(record[5] or 0)
  if status == 'queued' then
    first = 1
    started = nowMs
    attempts = tonumber(try)
    redis.call('HSET', job, 'status', 'processing', 'started', started, 'attempts', attempts)
    redis.call('PUBLISH', events, '')
  end
  if tonumber(try) > attempts then
    redis.call('HSET', job, 'attempts', try)
  end
  -- Work that takes longer than its job was to live keeps what it needs.
  if redis.call('PTTL', inputs) < tonumber(leastLife) then
    redis.call('PEXPIRE', job, leastLife * 2)
    redis.call('PEXPIRE', inputs, leastLife)
    redis.call('PEXPIRE', blobs, leastLife)
  end
  return { 'taken', facts, redis.call('HGET', inputs, chunk), started, first, record[8] }
end

local answers = {}
for n = 0, #KEYS / 4 - 1 do
  local key = 4 * n
  answers[n + 1] = take(KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], KEYS[key + 4], 2 + 4 * n)
end
return answers
