-- Takes one from the budget of the present window. Atomic, so that the limit
-- holds across replicas.
-- a: name, limit, window (µs)
-- Returns 1 when it was there, 0 otherwise.
local budget = key('budget:' .. a.name)
local start = int(now - now % a.window)
local used = 0
local stored = redis.call('HMGET', budget, 'start', 'used')
if stored[1] == start then used = tonumber(stored[2]) end
if used >= a.limit then return 0 end
redis.call('HSET', budget, 'start', start, 'used', used + 1)
redis.call('PEXPIRE', budget, math.ceil(a.window / 1000))
return 1
