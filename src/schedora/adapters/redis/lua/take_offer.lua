-- Takes one offer to start a job of a type, from any of the workers that make any: not always from the same.
-- KEYS: the sets of those that offer. ARGV: how the key of an offer begins, the type (",a,"). Answers the incarnation and
-- for how many milliseconds the offer would have stood, or nothing where there is none.
local time = redis.call('TIME')
local after = '(' .. time[1] * 1000 + math.floor(time[2] / 1000)
local looked = 0
for _, offering in ipairs(KEYS) do
    local names = redis.call('ZRANGEBYSCORE', offering, after, '+inf')
    local start = tonumber(time[2])
    for place = 1, #names do
        local key = ARGV[1] .. names[(start + place) % #names + 1]
        local offer = redis.call('HMGET', key, 'owner', 'types', 'left')
        if offer[1] and tonumber(offer[3]) > 0 and string.find(offer[2], ARGV[2], 1, true) then
            redis.call('HINCRBY', key, 'left', -1)
            return { offer[1], redis.call('PTTL', key) }
        end
        looked = looked + 1
        if looked == 32 then
            return {}
        end
    end
end
return {}
