-- Takes jobs that are due to be looked at, and puts each off for the time of a lease.
-- KEYS[1] watched jobs, by when they are due   ARGV[1] now in ms   ARGV[2] lease in ms   ARGV[3] at most so many
-- Answers their ids.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(due) do
  redis.call('ZADD', KEYS[1], ARGV[1] + ARGV[2], id)
end
return due
