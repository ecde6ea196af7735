-- Reads the feed. Atomic, so that what is trimmed meanwhile shows as a conflict,
-- never as a gap.
-- a: after, limit
-- Returns {entries, 0, 0}, or {nil, floor, newest} when a reader at after must
-- rebuild: it is behind the floor, ahead of the store, or at a change that the
-- store has lost. The number before a change is as good as a change's own.
local floor = tonumber(redis.call('GET', key('floor')) or '0')
if floor == 0 and redis.call('XLEN', key('feed')) >= a.keep then -- trimmed, and the floor was evicted
  floor = tonumber(string.match(redis.call('XRANGE', key('feed'), '-', '+', 'COUNT', 1)[1][1], '^%d+')) - 1
end
local last = redis.call('XREVRANGE', key('feed'), '+', '-', 'COUNT', 1)
local newest = last[1] and tonumber(string.match(last[1][1], '^%d+')) or floor
local known = a.after >= floor and a.after <= newest
if known and a.after ~= floor then
  known = #redis.call('XRANGE', key('feed'), int(a.after), int(a.after + 1), 'COUNT', 1) > 0
end
if not known then return { false, int(floor), int(newest) } end
return { redis.call('XRANGE', key('feed'), int(a.after + 1), '+', 'COUNT', a.limit), '0', '0' }
