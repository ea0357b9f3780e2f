-- Stores results, then gives claims back, those that are still the owner's; one step, so that nobody who waits for a claim finds
-- neither it nor the result. Where a result cannot be stored the claims go all the same: somebody else may compute it.
-- KEYS as many results as there are values, then claims
-- ARGV[1] owner    ARGV[2] life of a result in ms    then the values
local results = #ARGV - 2
local fault
for at = 1, results do
  local answer = redis.pcall('SET', KEYS[at], ARGV[at + 2], 'PX', ARGV[2])
  if answer.err then
    fault = answer
  end
end
for at = results + 1, #KEYS do
  if redis.call('GET', KEYS[at]) == ARGV[1] then
    redis.call('DEL', KEYS[at])
  end
end
return fault or results
