-- Takes one free slot of any worker that is available for a type: not always of the same.
-- KEYS: the sets of available workers. ARGV: how the key of an availability begins, the type as it is listed with others,
-- how an inbox begins, what to put into that of a worker whose last free slot this is, milliseconds that it is kept. Answers
-- the incarnation and for how many milliseconds its availability would have stood, or nothing where there is none. Of very
-- many workers it looks at some.
local start = tonumber(redis.call('TIME')[2])
for _, available in ipairs(KEYS) do
    local names = redis.call('ZRANDMEMBER', available, 32)
    for place = 1, #names do  -- which begin with any: as they come, they may always be the same
        local name = names[(start + place) % #names + 1]
        local key = ARGV[1] .. name
        local worker = redis.call('HMGET', key, 'owner', 'types', 'left')
        if worker[1] and tonumber(worker[3]) > 0 and string.find(worker[2], ARGV[2], 1, true) then
            if redis.call('HINCRBY', key, 'left', -1) == 0 then
                local inbox = ARGV[3] .. name
                redis.call('RPUSH', inbox, ARGV[4])
                if redis.call('PTTL', inbox) < tonumber(ARGV[5]) then  -- what lies there may be kept for longer
                    redis.call('PEXPIRE', inbox, ARGV[5])
                end
            end
            return { worker[1], redis.call('PTTL', key) }
        end
    end
end
return {}
