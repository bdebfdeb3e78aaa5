-- Removes batches of events that are older.
-- KEYS: the stream. ARGV: milliseconds.
local time = redis.call('TIME')
local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1]) + 1
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%d', math.max(0, oldest)))
