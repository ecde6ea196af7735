-- Begins every script of the scheduler. KEYS[1] is its clock, "{prefix}:clock";
-- every other key begins with the same "{prefix}:" and so lies in the same slot.
-- ARGV[1] is a msgpack map of the arguments that the script lists. Times are
-- microseconds since 1970, which Lua's numbers hold exactly until the year 2255.
local base = string.sub(KEYS[1], 1, -6)
local a = cmsgpack.unpack(ARGV[1])
local now = a.now
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end

local READY, DELAYED, PARKED, RUNNING, DONE, FAILED, CANCELLED = 0, 1, 2, 3, 4, 5, 6
local RESOLVE, ANALYZE = 1, 2
local RECORD, JOB = 0, 1
local BATCH = 500 -- bounds what one claim puts in order besides its own job

local function key(name) return base .. name end
local function int(n) return string.format('%.0f', n) end

-- tick is a number higher than all before. It follows the time, so that it is
-- also higher than those whose loss a failover has made us forget.
local function tick()
  local n = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, now)
  redis.call('SET', KEYS[1], int(n))
  return n
end

-- tell appends to the change feed and wakes those who follow it.
local told = false
local function tell(kind, name)
  redis.call('XADD', key('feed'), int(tick()) .. '-0', 'k', kind, 'n', name)
  if not told then
    told = true
    redis.call('PUBLISH', key('changed'), '')
  end
end

-- trim keeps the feed at a.keep changes, give or take 1,000, and the floor below
-- which they are gone.
local function trim()
  local over = redis.call('XLEN', key('feed')) - a.keep
  if over < 1000 then return end
  local gone = redis.call('XRANGE', key('feed'), '-', '+', 'COUNT', over)
  local last = tonumber(string.match(gone[#gone][1], '^%d+'))
  redis.call('SET', key('floor'), int(last))
  redis.call('XTRIM', key('feed'), 'MINID', int(last + 1))
end
