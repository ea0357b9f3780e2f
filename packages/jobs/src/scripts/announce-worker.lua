-- A worker says that it is alive, by Redis' own clock, so that clocks of hosts need not agree; and what its models turned
-- out to be. Where workers run a model at different versions, the facts of the one that started last stand while it is heard of.
-- KEYS[1] workers   KEYS[2] models, each `<started ms>:<heard ms>:<facts>`   (one hash tag)
-- ARGV[1] worker id   ARGV[2] announcement (JSON)   ARGV[3] when it started, ms   ARGV[4] ms after which silence is absence
-- then alias and facts (JSON) per model.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], ARGV[1], now .. ':' .. ARGV[2])
for at = 5, #ARGV, 2 do
  local started = tonumber(ARGV[3])
  local facts = ARGV[at + 1]
  local held = redis.call('HGET', KEYS[2], ARGV[at]) or ''
  local heldStarted, heardAt, heldFacts = string.match(held, '^(%d+):(%d+):(.*)$')
  local newer = heldFacts ~= nil and tonumber(heldStarted) > started
  if newer and heldFacts == facts then started = tonumber(heldStarted) end
  if not newer or heldFacts == facts or now - tonumber(heardAt) > tonumber(ARGV[4]) then
    redis.call('HSET', KEYS[2], ARGV[at], string.format('%.0f:%.0f:%s', started, now, facts))
  end
end
return now
