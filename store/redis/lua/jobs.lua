-- Follows common.lua in the scripts that touch jobs.

-- load is a job, nil when there is none. What is no job counts as none: one value
-- that somebody has spoilt must not hold up the queue.
local function load(id)
  local text = id and redis.pcall('GET', key('job:' .. id))
  if type(text) ~= 'string' then return nil end
  local good, j = pcall(cmsgpack.unpack, text)
  return good and type(j) == 'table' and type(j.st) == 'number' and j or nil
end

local function name(j) return j.kind .. ':' .. j.key end
local function flag(b) return b and 1 or 0 end
local function lane(j) return table.concat({ j.kind, flag(j.charge), j.prio, flag(j.tried), j.reg }, ':') end
local function ring(lane) return key('ring:' .. lane) end
local function queue(lane, repository) return key('queue:' .. lane .. '/' .. repository) end
local function running(kind, registry) return key('running:' .. kind .. ':' .. registry) end
local function where(kind, registry, repository) return key('where:' .. kind .. ':' .. registry .. '/' .. repository) end

-- leave takes a repository without waiting jobs out of a lane.
local function leave(lane, repository)
  redis.call('ZREM', ring(lane), repository)
  if redis.call('EXISTS', ring(lane)) == 0 then redis.call('SREM', key('waiting'), lane) end
end

-- unplace takes a job out of where its state has put it; before a change.
local function unplace(j)
  if j.st == READY then
    redis.call('ZREM', queue(lane(j), j.repo), j.id)
    if redis.call('EXISTS', queue(lane(j), j.repo)) == 0 then leave(lane(j), j.repo) end
  elseif j.st == DELAYED then
    redis.call('ZREM', key('delayed'), j.id)
  elseif j.st == PARKED then
    redis.call('ZREM', key('parked'), j.id)
  elseif j.st == RUNNING then
    redis.call('ZREM', key('leases'), j.id)
    redis.call('SREM', running(j.kind, j.reg), j.id)
    redis.call('SREM', where(j.kind, j.reg, j.repo), j.id)
  end
end

-- line puts a job where its state belongs. Repeating it is harmless, and mends
-- what a server that evicts keys has taken away. A repository joins the ring of a
-- lane behind those that are there, and is moved behind them when it is served. The
-- number of a new job, which may be ahead of the clock, tells who came last.
local function line(j)
  if j.st == READY then
    redis.call('ZADD', queue(lane(j), j.repo), j.place or j.seq, j.id)
    redis.call('ZADD', ring(lane(j)), 'NX', math.max(now, j.seq), j.repo)
    redis.call('SADD', key('waiting'), lane(j))
  elseif j.st == DELAYED then
    redis.call('ZADD', key('delayed'), j.nbf, j.id)
  elseif j.st == PARKED then
    redis.call('ZADD', key('parked'), j.seq, j.id)
  elseif j.st == RUNNING then
    redis.call('ZADD', key('leases'), j.lease, j.id)
    redis.call('SADD', running(j.kind, j.reg), j.id)
    redis.call('SADD', where(j.kind, j.reg, j.repo), j.id)
  elseif j.st == DONE or j.old then
    redis.call('ZADD', key('ended'), j.finished, j.id) -- may be removed one day
  end
end

-- place puts a job in line and writes it; after a change. Returns what is stored.
local function place(j)
  line(j)
  local text = cmsgpack.pack(j)
  redis.call('SET', key('job:' .. j.id), text)
  return text
end

-- save places a job that has changed and tells of it.
local function save(j)
  j.updated = now
  local text = place(j)
  tell(JOB, j.id)
  return text
end

local function charge(digest)
  local text = redis.call('HGET', key('charges'), digest)
  return text and cmsgpack.unpack(text) or nil
end

-- reserve charges the digest of a job that is being claimed, unless it is charged:
-- a server that evicts keys may have made the digest two jobs.
local function reserve(j, period)
  if charge(j.dig) then return end
  redis.call('HSET', key('charges'), j.dig, cmsgpack.pack({ p = period, t = now, s = false }))
  redis.call('HINCRBY', key('quota:' .. period), 'used', 1)
end

-- giveback returns the charge of an analysis that ended before a layer byte was
-- pulled.
local function giveback(j)
  if j.kind ~= ANALYZE or j.charge then return end
  local c = charge(j.dig)
  if c and not c.s then
    redis.call('HDEL', key('charges'), j.dig)
    redis.call('HINCRBY', key('quota:' .. c.p), 'used', -1)
    j.charge = true
  end
end

-- restore puts a claimed job back at its place. Its next run reads everything
-- anew, so that "again" is served by it.
local function restore(j)
  j.st, j.again, j.nbf, j.lease, j.worker = READY, false, 0, 0, ''
  return save(j)
end

-- behind gives a job that has been tried its place: behind what has not been, for
-- as long as store.TriedBehind says.
local function behind(j) j.tried, j.place = true, now + a.behind end

-- requeue puts a claimed job back, to be claimed after a wait; when that is over,
-- claim.lua gives it its place.
local function requeue(j, after)
  behind(j)
  if after <= 0 then return restore(j) end
  j.st, j.nbf = DELAYED, now + after
  j.again, j.lease, j.worker = false, 0, ''
  return save(j)
end

-- finish ends a claimed or waiting job for good, unless an ask with new facts
-- has arrived meanwhile: then it is queued once more. A cancelled job never is.
local function finish(j, state)
  if j.again and state ~= CANCELLED then
    j.att, j.rep, j.tried, j.place, j.ref = 0, true, false, now, 0
    return restore(j)
  end
  giveback(j)
  j.st, j.finished = state, now
  j.again, j.nbf, j.lease, j.worker = false, 0, 0, ''
  return save(j)
end

-- leased is the job of a lease that still holds, or what to answer instead. A
-- lease that has run out holds until somebody has taken the job back.
local function leased(id, epoch)
  local j = load(id)
  if not j then return nil, { 'gone' } end
  if j.epoch == epoch and j.st == CANCELLED then return nil, { 'cancelled' } end
  if j.epoch ~= epoch or j.st ~= RUNNING then return nil, { 'fenced', j.st, int(j.epoch) } end
  return j
end

-- lanes lists the parts of the queue that may hold a job of the kinds in mask.
local function lanes(mask)
  local list = {}
  for _, text in ipairs(redis.call('SMEMBERS', key('waiting'))) do
    local kind, needs, prio, tried, registry = string.match(text, '^(%d+):(%d):(%d):(%d):(.*)$')
    kind = tonumber(kind)
    if bit.band(kind, mask) ~= 0 then
      table.insert(list, { text = text, kind = kind, charge = needs == '1', prio = tonumber(prio), tried = tried == '1', reg = registry })
    end
  end
  return list
end

-- fairest is the repository of a lane with the fewest running jobs, of several the
-- one whose turn is longest ago. No more are looked at than have running jobs, and
-- one, since each has one at least.
local function fairest(l)
  local best
  for _, repository in ipairs(redis.call('ZRANGE', ring(l.text), 0, redis.call('SCARD', running(l.kind, l.reg)))) do
    local h = { repo = repository, work = redis.call('SCARD', where(l.kind, l.reg, repository)) }
    if not best or h.work < best.work then best = h end
    if best.work == 0 then break end
  end
  return best
end

-- head is the next job of a lane. A lane that is empty is forgotten.
local function head(l)
  while true do
    local best = fairest(l)
    if not best then
      redis.call('SREM', key('waiting'), l.text)
      return nil
    end
    local first = redis.call('ZRANGE', queue(l.text, best.repo), 0, 0, 'WITHSCORES')
    if #first > 0 then
      best.lane, best.id, best.place = l, first[1], tonumber(first[2])
      return best
    end
    leave(l.text, best.repo)
  end
end

-- blocked says whether the registry of a lane rests or is at one of its limits
-- (a.limits: registry → {concurrency, pulls per hour, µs of rest}). While it rests, its
-- resolves are passed over, and of its other jobs what has been tried: the others may
-- find their image in another registry. less is how many of its
-- running jobs do not count.
local HOUR = 3600 * 1000000
local function blocked(l, less)
  local limits = a.limits[l.reg]
  if not limits then return false end
  if limits[3] > 0 and (l.kind == RESOLVE or l.tried) then return true end
  if limits[1] > 0 and redis.call('SCARD', running(l.kind, l.reg)) - less >= limits[1] then
    local ghosts = 0 -- jobs that a server has evicted hold no place
    for _, id in ipairs(redis.call('SMEMBERS', running(l.kind, l.reg))) do
      if redis.call('EXISTS', key('job:' .. id)) == 0 then
        ghosts = ghosts + redis.call('SREM', running(l.kind, l.reg), id)
      end
    end
    for _, repository in ipairs(ghosts > 0 and redis.call('ZRANGE', ring(l.text), 0, -1) or {}) do
      local at = where(l.kind, l.reg, repository)
      for _, id in ipairs(redis.call('SMEMBERS', at)) do
        if redis.call('EXISTS', key('job:' .. id)) == 0 then redis.call('SREM', at, id) end
      end
    end
    if ghosts == 0 or redis.call('SCARD', running(l.kind, l.reg)) - less >= limits[1] then return true end
  end
  if limits[2] > 0 and l.kind == ANALYZE then
    return redis.call('ZCOUNT', key('starts:' .. l.reg), '(' .. int(now - HOUR), '+inf') >= limits[2]
  end
  return false
end
