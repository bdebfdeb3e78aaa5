-- Batches of events, in order, until they hold as many as asked for. Whoever reads keeps the feed alive.
-- KEYS: the stream, the feed. ARGV: an epoch, used where there is none; milliseconds that the feed is kept; from where on,
-- as for XRANGE; how many notices.
-- Answers the epoch, the number and the id of the last batch, and the batches: each its id and its fields.
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
    epoch = ARGV[1]
    redis.call('HSET', KEYS[2], 'epoch', epoch, 'number', 0)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local from, wanted, batches = ARGV[3], tonumber(ARGV[4]), {}
while wanted > 0 do
    local batch = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1)[1]
    if not batch then
        break
    end
    batches[#batches + 1] = batch
    wanted = wanted - math.max(1, tonumber(batch[2][6]))
    from = '(' .. batch[1]
end
return {epoch, tonumber(redis.call('HGET', KEYS[2], 'number')), last[1] and last[1][1] or '0-0', batches}
