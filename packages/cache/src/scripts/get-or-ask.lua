-- Reads a result or, where there is none, claims it for an owner and tells that owner what to compute; one step, so that it
-- begins before the asker has even heard that the result is missing.
-- KEYS[1] result   KEYS[2] claim   (one hash tag)
-- ARGV[1] owner    ARGV[2] lease in ms   ARGV[3] channel   ARGV[4] message
-- Answers the result's bytes; 1 when the owner was told and holds the claim; 0 when another holds it; -1 when the owner does
-- not listen: then nothing is claimed.
local result = redis.call('GET', KEYS[1])
if result then
  return result
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  if redis.call('PUBLISH', ARGV[3], ARGV[4]) > 0 then
    return 1
  end
  redis.call('DEL', KEYS[2])
  return -1
end
return 0
