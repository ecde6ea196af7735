-- Raises the counts of a period to those of another store (see
-- store.ImportQuota). Atomic, so that nothing that is counted meanwhile is lost.
-- a: period, used, avoided
-- Returns 1 when it wrote, 0 when what is here stays.
local quota = key('quota:' .. a.period)
local stored = redis.call('HMGET', quota, 'used', 'avoided')
local used, avoided = tonumber(stored[1] or -1), tonumber(stored[2] or -1)
if used >= a.used and avoided >= a.avoided then return 0 end
redis.call('HSET', quota, 'used', int(math.max(used, a.used)), 'avoided', int(math.max(avoided, a.avoided)))
return 1
