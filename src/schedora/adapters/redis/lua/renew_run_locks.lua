-- Makes locks live as long as their owner's heartbeat, takes those that are not there, and leaves those of others.
-- KEYS: the owner's heartbeat, and the locks. ARGV: milliseconds that a lock lives where there is no heartbeat, and
-- the lease ids. Answers the places of locks that others hold, counted from 0, each with what stands there.
local lifetime = redis.call('PTTL', KEYS[1])
if lifetime <= 0 then
    lifetime = ARGV[1]
end
local contested = {}
for place = 2, #KEYS do
    local holder = redis.call('GET', KEYS[place])
    if holder and holder ~= ARGV[place] then
        contested[#contested + 1] = place - 2
        contested[#contested + 1] = holder
    else
        redis.call('SET', KEYS[place], ARGV[place], 'PX', lifetime)
    end
end
return contested
