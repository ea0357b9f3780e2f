-- Takes tokens from a tenant's minute, or none at all where fewer are left: who is refused has paid nothing.
-- KEYS[1] count   ARGV[1] tokens   ARGV[2] window in s   ARGV[3] limit
-- Answers { the count with these tokens, also where they were refused; ms until the window ends }.
redis.call('SET', KEYS[1], 0, 'EX', ARGV[2], 'NX')
local count = redis.call('GET', KEYS[1]) + ARGV[1]
if count <= tonumber(ARGV[3]) then
  redis.call('INCRBY', KEYS[1], ARGV[1])
end
return { count, redis.call('PTTL', KEYS[1]) }
