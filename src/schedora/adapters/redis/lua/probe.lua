-- Writes, as everything else does: a server that is full, a replica or closed to this user can be read from.
-- KEYS: probe. ARGV: milliseconds that it is kept.
return redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
