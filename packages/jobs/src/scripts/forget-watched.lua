-- Forgets a watched job, unless it was put on a new time since it was taken.
-- KEYS[1] watched jobs   ARGV[1] job id   ARGV[2] the end of the lease under which it was taken, in ms
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or -1) == tonumber(ARGV[2]) then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
