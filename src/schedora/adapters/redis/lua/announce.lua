-- Tells that there are workers of a kind, and that the one who says so hears what is put into its inbox.
-- KEYS: the inbox, the sets of kinds, the listeners. ARGV: milliseconds that this holds, the kind, the inbox's id, what to put
-- into it, how many sets there are. Answers 1, or 0 where any of this was not known before.
local lifetime, kind, sets = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = 1
for place = 2, 1 + sets do
    redis.call('ZREMRANGEBYSCORE', KEYS[place], '-inf', now)
    if not redis.call('ZSCORE', KEYS[place], kind) then
        known = 0
    end
    redis.call('ZADD', KEYS[place], now + lifetime, kind)
    redis.call('PEXPIRE', KEYS[place], lifetime)
end
for place = 2 + sets, #KEYS do
    if redis.call('SET', KEYS[place], ARGV[3], 'PX', lifetime, 'GET') ~= ARGV[3] then
        known = 0
    end
end
redis.call('RPUSH', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[1], lifetime)
return known
