-- A tenant's webhook secrets, newest first; where there are none, the one offered becomes the first.
-- KEYS[1] secrets (list)   ARGV[1] a new secret
-- Answers the list. Who asks at the same moment gets the same one.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('LPUSH', KEYS[1], ARGV[1])
end
return redis.call('LRANGE', KEYS[1], 0, -1)
