-- Reads a result or, where there is none, claims the right to compute it; one step, so that a result that is
-- stored between a read and a claim is never computed again.
-- KEYS[1] result   KEYS[2] claim   (one hash tag)
-- ARGV[1] owner    ARGV[2] lease in ms
-- Answers the result's bytes; 1 when the claim is the owner's (now or already); 0 when someone else holds it.
local result = redis.call('GET', KEYS[1])
if result then
  return result
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return 1
end
return 0
