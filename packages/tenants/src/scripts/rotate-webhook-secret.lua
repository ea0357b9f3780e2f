-- Puts a new webhook secret in front and keeps the newest ones.
-- KEYS[1] secrets (list)   ARGV[1] the new secret   ARGV[2] how many are kept
-- Answers the list, newest first.
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
return redis.call('LRANGE', KEYS[1], 0, -1)
