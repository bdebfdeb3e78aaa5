-- Takes the locks of jobs whose leases the store has just given: whoever held one holds it no more.
-- KEYS: the owner's heartbeat, and the locks. ARGV: milliseconds that a lock lives where there is no heartbeat, and
-- the lease ids. Answers the places of locks that others held, counted from 0, each with what stood there.
local lifetime = redis.call('PTTL', KEYS[1])
if lifetime <= 0 then
    lifetime = ARGV[1]
end
local contested = {}
for place = 2, #KEYS do
    local holder = redis.call('SET', KEYS[place], ARGV[place], 'PX', lifetime, 'GET')
    if holder and holder ~= ARGV[place] then
        contested[#contested + 1] = place - 2
        contested[#contested + 1] = holder
    end
end
return contested
