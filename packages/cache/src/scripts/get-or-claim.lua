-- Reads results or, where there is none, claims the right to compute it; one step, so that a result that is
-- stored between a read and a claim is never computed again.
-- KEYS result and claim of each item, in turn
-- ARGV[1] owner    ARGV[2] lease in ms
-- Answers for each item the result's bytes; 1 when the claim is the owner's (now or already); 0 when someone else holds it.
local answers = {}
for at = 1, #KEYS, 2 do
  local answer = redis.call('GET', KEYS[at])
  if not answer then
    local claim = KEYS[at + 1]
    if redis.call('SET', claim, ARGV[1], 'NX', 'PX', ARGV[2]) then
      answer = 1
    elseif redis.call('GET', claim) == ARGV[1] then
      redis.call('PEXPIRE', claim, ARGV[2])
      answer = 1
    else
      answer = 0
    end
  end
  answers[#answers + 1] = answer
end
return answers
