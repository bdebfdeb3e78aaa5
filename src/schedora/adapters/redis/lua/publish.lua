-- Appends one batch of events.
-- KEYS: the stream, the feed. ARGV: an epoch, used where there is none; how many batches are kept, about; milliseconds that
-- they are kept; how many notices are in it; how many were lost before them; the notices.
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
    epoch = ARGV[1]
    redis.call('HSET', KEYS[2], 'epoch', epoch, 'number', 0)
end
local number = redis.call('HINCRBY', KEYS[2], 'number', 1)
redis.call(
    'XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*',
    'epoch', epoch, 'number', number, 'amount', ARGV[4], 'lost', ARGV[5], 'notices', ARGV[6]
)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
