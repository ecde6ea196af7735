-- Makes the next number higher than an epoch that came from elsewhere. Atomic,
-- so that numbers only grow.
-- a: least
-- Returns the number below which none is handed out any more.
local n = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), a.least)
redis.call('SET', KEYS[1], int(n))
return int(n)
