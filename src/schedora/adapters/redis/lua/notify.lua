-- Gives a token to each kind of workers that serves one of the queues, unless it has enough of them, and tells owners by
-- their inboxes.
-- KEYS: the set of kinds that serve all queues, the sets of those that serve each queue, the listeners of the owners.
-- ARGV: how a key of tokens begins, how an inbox begins, milliseconds that they are kept, how many are enough, how many to
-- give, how many queues there are; the queues, and the owners. Answers the places of those, counted from 0, whom nobody
-- hears, and those of queues whose workers had enough tokens.
local lifetime, enough, amount, queues = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local after = '(' .. time[1] * 1000 + math.floor(time[2] / 1000)
local given, unheard, sated = {}, {}, {}

local function give(kinds, queue)
    local some = false
    for _, kind in ipairs(kinds) do
        if given[kind] == nil then
            local tokens = ARGV[1] .. kind
            local more = math.min(amount, enough - redis.call('LLEN', tokens))
            for _ = 1, more do
                redis.call('RPUSH', tokens, queue)
            end
            if more > 0 then
                redis.call('PEXPIRE', tokens, lifetime)
            end
            given[kind] = more > 0
        end
        some = some or given[kind]
    end
    return some
end

local of_all = {}
if queues > 0 then
    of_all = redis.call('ZRANGEBYSCORE', KEYS[1], after, '+inf')
end
for place = 1, queues do
    local queue = ARGV[6 + place]
    local of_queue = redis.call('ZRANGEBYSCORE', KEYS[1 + place], after, '+inf')
    local some_of_all, some_of_queue = give(of_all, queue), give(of_queue, queue)
    if #of_all + #of_queue == 0 then
        unheard[#unheard + 1] = place - 1
    elseif not (some_of_all or some_of_queue) then
        sated[#sated + 1] = place - 1
    end
end
for place = queues + 1, #KEYS - 1 do
    local listener = redis.call('GET', KEYS[1 + place])
    if listener then
        local inbox = ARGV[2] .. listener
        if redis.call('LLEN', inbox) < 100 then
            redis.call('RPUSH', inbox, ARGV[6 + place])
        end
        redis.call('PEXPIRE', inbox, lifetime)
    else
        unheard[#unheard + 1] = place - 1
    end
end
return { unheard, sated }
