-- Puts a job into its tenant's list, and takes out some whose time is over: more leave than come, so it never grows stale.
-- The list itself ends with the last of its jobs, also where its tenant never comes back.
-- KEYS[1] by age: members '<created in ms, 12 hex digits>:<id>', all of one score   KEYS[2] by end of life: the same
-- members, scored by their last moment in ms   (one hash tag)
-- ARGV[1] member   ARGV[2] last moment in ms   ARGV[3] now in ms
redis.call('ZADD', KEYS[1], 0, ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[3], 'LIMIT', 0, 4)
for _, member in ipairs(over) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZREM', KEYS[2], member)
end
local life = ARGV[2] - ARGV[3]
if redis.call('PTTL', KEYS[1]) < life then
  redis.call('PEXPIRE', KEYS[1], life)
  redis.call('PEXPIRE', KEYS[2], life)
end
return #over
