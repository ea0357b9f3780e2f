-- Puts jobs into their tenant's list, and takes out some whose time is over: more leave than come, so it never grows stale.
-- The list itself ends with the last of its jobs, also where its tenant never comes back.
-- KEYS[1] by age: members '<created in ms, 12 hex digits>:<id>', all of one score   KEYS[2] by end of life: the same
-- members, scored by their last moment in ms   (one hash tag)
-- ARGV[1] now in ms   then last moment in ms and member per job
local byAge, byEnd, last = {}, {}, 0
for at = 2, #ARGV, 2 do
  byAge[at - 1], byAge[at] = 0, ARGV[at + 1]
  byEnd[at - 1], byEnd[at] = ARGV[at], ARGV[at + 1]
  last = math.max(last, ARGV[at])
end
redis.call('ZADD', KEYS[1], unpack(byAge))
redis.call('ZADD', KEYS[2], unpack(byEnd))
local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, 2 * (#ARGV - 1))
for _, member in ipairs(over) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZREM', KEYS[2], member)
end
local life = last - ARGV[1]
if redis.call('PTTL', KEYS[1]) < life then
  redis.call('PEXPIRE', KEYS[1], life)
  redis.call('PEXPIRE', KEYS[2], life)
end
return #over
