-- Removes locks, and leaves those of others.
-- KEYS: the locks. ARGV: the lease ids. Answers the places of locks that others hold, counted from 0, each with what
-- stands there.
local contested = {}
for place = 1, #KEYS do
    local holder = redis.call('GET', KEYS[place])
    if holder == ARGV[place] then
        redis.call('DEL', KEYS[place])
    elseif holder then
        contested[#contested + 1] = place - 1
        contested[#contested + 1] = holder
    end
end
return contested
