-- Puts a token back, for the next one of its kind.
-- KEYS: the tokens. ARGV: the token, milliseconds that it is kept, how many are enough.
if redis.call('LLEN', KEYS[1]) < tonumber(ARGV[3]) then
    redis.call('LPUSH', KEYS[1], ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
