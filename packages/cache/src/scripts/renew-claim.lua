-- Prolongs a claim, if it is still the owner's.
-- KEYS[1] claim   ARGV[1] owner   ARGV[2] lease in ms
-- Answers 1 when prolonged, 0 when it is gone or another's.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
