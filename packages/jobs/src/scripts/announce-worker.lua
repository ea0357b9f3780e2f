-- A worker says that it is alive, by Redis' own clock, so that clocks of hosts need not agree.
-- KEYS[1] workers   KEYS[2] models   (one hash tag)
-- ARGV[1] worker id   ARGV[2] announcement (JSON)   then alias and facts (JSON) per model.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], ARGV[1], now .. ':' .. ARGV[2])
for at = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
end
return now
