-- Writes the small records of jobs that were answered in full at submit; all of one second share a hash, so that a
-- gateway that answers thousands of hits per second writes one command for many of them.
-- KEYS[1] the second's hash
-- ARGV[1] life in ms   then job id and record (JSON) per job.
for at = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 1
