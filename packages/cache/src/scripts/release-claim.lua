-- Gives a claim back, if it is still the owner's.
-- KEYS[1] claim   ARGV[1] owner
-- Answers 1 when released, 0 when it was gone or another's.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
