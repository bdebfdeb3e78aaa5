-- Says of how many jobs a worker would start at once, in place of what it said before.
-- KEYS: the availability, the sets of available workers. ARGV: milliseconds that this holds, the worker's name, its incarnation,
-- its types as they are listed, how many jobs. Answers how many of what it said before were taken.
local lifetime, name, left = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[5])
local before = redis.call('HMGET', KEYS[1], 'made', 'left')
if left == 0 then
    redis.call('DEL', KEYS[1])
    for place = 2, #KEYS do
        redis.call('ZREM', KEYS[place], name)
    end
else
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('HSET', KEYS[1], 'owner', ARGV[3], 'types', ARGV[4], 'made', left, 'left', left)
    redis.call('PEXPIRE', KEYS[1], lifetime)
    for place = 2, #KEYS do
        redis.call('ZREMRANGEBYSCORE', KEYS[place], '-inf', now)
        redis.call('ZADD', KEYS[place], now + lifetime, name)
        redis.call('PEXPIRE', KEYS[place], lifetime)
    end
end
return (tonumber(before[1]) or 0) - (tonumber(before[2]) or 0)
