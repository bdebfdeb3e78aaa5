-- Decides requests for tokens one after the other, as decide() in domain/limits.py does, and writes what their buckets
-- lack then. A bucket is "FULL_AT REST", microseconds since 1970 and parts of one; it goes when it is full.
--
-- KEYS: the buckets. ARGV, for each request: how many takes it has, and for each of these the place of its bucket among
-- KEYS, the parts of a microsecond, then cost and capacity, each as microseconds and parts.
-- Returns for each request how many microseconds it would have to wait, 0 where it is granted.
--
-- Numbers are doubles; all that occur are whole and below 2^53.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local lacks, changed = {}, {}
for place, kept in ipairs(#KEYS > 0 and redis.call('MGET', unpack(KEYS)) or {}) do
  -- What is not one of our buckets is none.
  local full_at, rest = string.match(kept or '', '^(%d+) (%d+)$')
  local us = (tonumber(full_at) or 0) - now
  lacks[place] = us < 0 and { us = 0, rest = 0 } or { us = us, rest = tonumber(rest) }
end

local function longer(a, b)
  return a.us > b.us or (a.us == b.us and a.rest > b.rest)
end

local waits = {}
local at = 1
while ARGV[at] do
  local count = tonumber(ARGV[at])
  local refused, granted, wait = {}, {}, 0
  for take = at + 1, at + 6 * count, 6 do
    local place, parts = tonumber(ARGV[take]), tonumber(ARGV[take + 1])
    local capacity = { us = tonumber(ARGV[take + 4]), rest = tonumber(ARGV[take + 5]) }
    local lack = lacks[place]
    if lack.rest >= parts then -- those of another limit
      lack = { us = lack.us + 1, rest = 0 }
    end
    if longer(lack, capacity) then
      lack = capacity
    end
    local rest = lack.rest + tonumber(ARGV[take + 3])
    local wish = {
      us = lack.us + tonumber(ARGV[take + 2]) + math.floor(rest / parts),
      rest = rest % parts,
    }
    if longer(wish, capacity) then
      wait = math.max(wait, wish.us - capacity.us + (wish.rest > capacity.rest and 1 or 0))
    end
    refused[place], granted[place] = lack, wish
  end
  for place, lack in pairs(wait == 0 and granted or refused) do
    if lack ~= lacks[place] then
      lacks[place], changed[place] = lack, true
    end
  end
  waits[#waits + 1] = wait
  at = at + 6 * count + 1
end

for place in pairs(changed) do
  local lack = lacks[place]
  local bucket = string.format('%.0f %.0f', now + lack.us, lack.rest)
  redis.call('SET', KEYS[place], bucket, 'PX', math.floor(lack.us / 1000) + 1)
end
return waits
