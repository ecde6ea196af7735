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
local function tell(kind, name, history)
  if history and history > 0 then
    redis.call('XADD', key('feed'), int(tick()) .. '-0', 'k', kind, 'n', name, 'h', int(history))
  else
    redis.call('XADD', key('feed'), int(tick()) .. '-0', 'k', kind, 'n', name)
  end
  if not told then
    told = true
    redis.call('PUBLISH', key('changed'), '')
  end
end

-- kept is how many changes the feed keeps (store.FeedFor): a.keep at least, and a.per
-- for each record up to a.most. Records lie in other slots. Those that were analysed
-- are charged here, and those that are new are counted in "records".
local function kept()
  local charged, made = redis.pcall('HLEN', key('charges')), redis.pcall('GET', key('records'))
  local records = math.max(tonumber(type(charged) == 'number' and charged or 0), tonumber(type(made) == 'string' and made or 0) or 0)
  return math.max(a.keep, math.min((a.per or 0) * records, a.most or 0))
end

-- trim keeps the feed at that many changes, give or take 1,000, and the floor below
-- which they are gone. It removes no more than 10,000 at a time.
local function trim()
  local long = redis.call('XLEN', key('feed'))
  if long - a.keep < 1000 then return end
  local over = math.min(long - kept(), 10000)
  if over < 1000 then return end
  local gone = redis.call('XRANGE', key('feed'), '-', '+', 'COUNT', over)
  local last = tonumber(string.match(gone[#gone][1], '^%d+'))
  redis.call('SET', key('floor'), int(last))
  redis.call('XTRIM', key('feed'), 'MINID', int(last + 1))
end
