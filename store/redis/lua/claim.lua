-- Leases the next job to a worker. Atomic, so that no two workers get one job,
-- no limit is passed and no digest is charged twice.
-- a: worker, mask, norescan, yielding (a registry, ''), single, limits, period,
--    quota (0: unlimited), lease (µs), max (attempts), waits (µs by the number of
--    attempts), rescan (its class), classes, patience, lost (a reason's label),
--    retention (µs of ended jobs), nonce, keep, behind
-- Returns the job, or nil.
local reply = key('claimed:' .. a.nonce)
local done = redis.call('GET', reply)
if done then -- the answer to the first try was lost on its way
  local epoch, id = string.match(done, '^(%d+) (.*)$')
  local j = load(id)
  -- Only while that claim still holds: the epoch of whoever has the job now must
  -- not get into other hands.
  if j and j.st == RUNNING and int(j.epoch) == epoch then return cmsgpack.pack(j) end
end

-- Takes back jobs whose lease has run out. Each loses an attempt: a job that
-- takes its worker down must not go on for ever. The first time it goes on at its
-- place, since its worker may have been killed for another reason.
local function clock(t)
  local s = math.floor(t / 1000000) % 86400
  return string.format('%02d:%02d:%02d.%03d', math.floor(s / 3600), math.floor(s / 60) % 60, s % 60, math.floor(t / 1000) % 1000)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', int(now), 'LIMIT', 0, BATCH)) do
  local j = load(id)
  if not j or j.st ~= RUNNING then
    redis.call('ZREM', key('leases'), id)
  else
    unplace(j)
    j.err = 'worker "' .. j.worker .. '" was lost: no heartbeat until ' .. clock(j.lease)
    j.why, j.att = a.lost, j.att + 1
    if j.att >= a.max then
      finish(j, FAILED)
    elseif j.att == 1 then
      restore(j)
    else
      requeue(j, a.waits[math.min(j.att, #a.waits)])
    end
  end
end

-- Moves jobs whose delay is over into their lanes, behind what has not been tried
-- and waits there by now.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('delayed'), '-inf', int(now), 'LIMIT', 0, BATCH)) do
  local j = load(id)
  redis.call('ZREM', key('delayed'), id)
  if j then
    j.st = READY
    behind(j)
    place(j)
  end
end

-- Takes over what earlier versions have queued, or queue while they are being
-- replaced: their lanes were lines of all repositories together.
local old = redis.call('SMEMBERS', key('lanes'))
table.sort(old, function(x, y) return string.match(x, ':%d:(%d):') < string.match(y, ':%d:(%d):') end)
local may = BATCH
for _, text in ipairs(old) do
  local from = key('lane:' .. text)
  local ids = may > 0 and redis.call('ZRANGE', from, 0, may - 1) or {}
  may = may - #ids
  for _, id in ipairs(ids) do
    redis.call('ZREM', from, id)
    local j = load(id)
    if j and j.st == READY then line(j) end
  end
  if redis.call('EXISTS', from) == 0 then redis.call('SREM', key('lanes'), text) end
end

-- Looks at what the period has left. With room, parked jobs return to the queue,
-- oldest first, as many as there is room for; without, jobs that need a charge are
-- parked, so that everybody sees what they wait for.
local room = true
local function move(ids, state)
  for _, id in ipairs(ids) do
    local j = load(id)
    if j then
      unplace(j)
      j.st = state
      save(j)
    else
      redis.call('ZREM', key('parked'), id)
    end
  end
end
if bit.band(a.mask, ANALYZE) ~= 0 then
  local left = BATCH
  if a.quota > 0 then
    left = a.quota - tonumber(redis.call('HGET', key('quota:' .. a.period), 'used') or '0')
  end
  room = left > 0
  if room then
    move(redis.call('ZRANGE', key('parked'), 0, math.min(left, BATCH) - 1), READY)
  else
    local may = BATCH
    for _, l in ipairs(lanes(ANALYZE)) do
      for _, repository in ipairs(l.charge and may > 0 and redis.call('ZRANGE', ring(l.text), 0, may - 1) or {}) do
        local ids = may > 0 and redis.call('ZRANGE', queue(l.text, repository), 0, may - 1) or {}
        may = may - #ids
        move(ids, PARKED)
      end
    end
  end
end

-- Removes jobs that are over and whose time to be read is too, once a minute. The
-- newest failed or cancelled job of a key stays: it decides what may restart.
if now - tonumber(redis.call('GET', key('tidied')) or '0') > 60000000 then
  redis.call('SET', key('tidied'), int(now))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('ended'), '-inf', '(' .. int(now - a.retention), 'LIMIT', 0, 2000)) do
    local j = load(id)
    redis.call('ZREM', key('ended'), id)
    if j and (j.old or j.st == DONE) then
      redis.call('DEL', key('job:' .. id))
      if redis.call('GET', key('key:' .. name(j))) == id then redis.call('DEL', key('key:' .. name(j))) end
      tell(JOB, id)
    end
  end
end

-- Looks at the classes in the order of urgency, but first at those that have
-- waited beyond their patience, the longest waiting first.
local list = lanes(a.mask)
local turns = {}
for n in string.gmatch(redis.call('HGET', key('turns'), a.mask) or '', '%d+') do table.insert(turns, tonumber(n)) end
for class = 1, a.classes do turns[class] = turns[class] or 0 end
local function due(class) return math.max(turns[class + 1] - a.patience + 1, 0) end
local order = {}
for class = 0, a.classes - 1 do
  if not (class == a.rescan and a.norescan) then table.insert(order, class) end
end
table.sort(order, function(x, y)
  if due(x) ~= due(y) then return due(x) > due(y) end
  return x < y
end)

-- better puts the fairest first: the registry with the fewest running jobs of the
-- kinds asked for, then the one whose turn is longest ago.
local function fill(l)
  if l.work then return end
  l.work = 0
  for kind = 0, 7 do
    if bit.band(a.mask, 2 ^ kind) ~= 0 then l.work = l.work + redis.call('SCARD', running(2 ^ kind, l.reg)) end
  end
  l.served = tonumber(redis.call('HGET', key('served'), a.mask .. ':' .. l.reg) or '0')
  l.open = (room or not l.charge) and not blocked(l, 0)
end
local function better(x, y)
  if x.work ~= y.work then return x.work < y.work end
  return x.served < y.served
end

-- options are the lanes of a class that may be served, fairest first. ofclass is the
-- next job of such: of the fairest registry; among those that are equal, and among
-- the lanes of one, the repository with the fewest running jobs and then age decide.
local function options(class, yielding)
  local open = {}
  for _, l in ipairs(list) do
    if l.prio == class and not (yielding and (l.reg == yielding or class == a.rescan)) then
      fill(l)
      if l.open then table.insert(open, l) end
    end
  end
  table.sort(open, better)
  return open
end
local function ofclass(options, tried)
  local best
  for i, l in ipairs(options) do
    if best and better(options[i - 1], l) then break end
    local h = head(l)
    if h and (tried or not l.tried or h.place <= now) then
      if not best or h.work < best.work or (h.work == best.work and h.place < best.place) then best = h end
    end
  end
  return best
end

-- newcomer is the registry that began to wait last, with its lanes, among those without
-- a running job that may be taken ahead of the others; nil when there is none. A
-- registry may not be taken ahead if it had a turn after another one that still waits
-- began to wait. So each is ahead of another at most once before the other has its turn.
local function newcomer(options)
  local idle, several
  for _, l in ipairs(options) do
    if l.work == 0 then
      several = several or (idle and l.reg ~= idle)
      idle = l.reg
    end
  end
  if not several then return nil end
  local waiting, count = {}, 0
  for _, l in ipairs(options) do
    local first = l.work == 0 and redis.call('ZRANGE', ring(l.text), 0, 0, 'WITHSCORES') or {}
    if #first > 0 and l.tried then
      local h = head(l)
      if not h or h.place > now then first = {} end
    end
    if #first > 0 then
      local q, since = waiting[l.reg], tonumber(first[2])
      if not q then
        q, count = { reg = l.reg, since = since, served = l.served, lanes = {} }, count + 1
        waiting[l.reg] = q
      end
      q.since, q.returned = math.min(q.since, since), q.returned or l.tried
      table.insert(q.lanes, l)
    end
  end
  if count < 2 then return nil end
  local longest = math.huge -- since when the one that waits longest for a turn has waited
  for _, q in pairs(waiting) do longest = math.min(longest, math.max(q.since, q.served)) end
  local last
  for _, q in pairs(waiting) do
    if q.served < longest and not q.returned and (not last or q.since > last.since) then last = q end
  end
  return last
end

-- holder is the registry that has all running jobs of the requested kinds, false when
-- no registry has.
local function holder()
  local registry = false
  for _, id in ipairs(redis.call('ZRANGE', key('leases'), 0, BATCH - 1)) do
    local j = load(id)
    if j and bit.band(j.kind, a.mask) ~= 0 then
      if registry and j.reg ~= registry then return false end
      registry = j.reg
    end
  end
  return registry
end

-- pick is the next job of the first class that has one, and whether it passes over a
-- newcomer: then the next turn is a newcomer's. What has not been tried comes
-- before what has, unless that has let others pass for long enough. The registry that
-- yields comes last.
local owed = {} -- by class: whether its last claim passed over a newcomer
local yields = a.yielding ~= '' and a.yielding
if a.single then yields = holder() end
local function pick()
  for _, yielding in ipairs(yields and { yields, false } or { false }) do
    for _, class in ipairs(order) do
      local open = options(class, yielding)
      local new = newcomer(open)
      if new and owed[class] == nil then owed[class] = redis.call('HGET', key('turns'), a.mask .. ':' .. class) ~= false end
      local h = new and owed[class] and ofclass(new.lanes, false)
      if h then return h, false end
      h = ofclass(open, false) or ofclass(open, true)
      if h then return h, new and h.lane.reg ~= new.reg end
    end
  end
end
local j, from
local passes
for _ = 1, BATCH do
  local h
  h, passes = pick()
  if not h then break end
  from, j = h.lane, load(h.id)
  if j and j.st == READY and lane(j) == from.text then break end
  -- Evicted or damaged: whoever still wants it asks again.
  redis.call('ZREM', queue(from.text, h.repo), h.id)
  j = nil
end
if not j then
  trim()
  return nil
end
local served = from.prio
unplace(j)
local turn = tick()
redis.call('HSET', key('served'), a.mask .. ':' .. j.reg, int(turn))
redis.call('ZADD', ring(from.text), 'XX', turn, j.repo)
local needs = j.charge
j.st, j.epoch, j.worker, j.mask, j.charge = RUNNING, tick(), a.worker, a.mask, false
j.started, j.lease, j.nbf, j.prog = now, now + a.lease, 0, ''
if needs then reserve(j, a.period) end
local limits = a.limits[j.reg]
if j.kind == ANALYZE and limits and limits[2] > 0 then
  local starts = key('starts:' .. j.reg)
  redis.call('ZREMRANGEBYSCORE', starts, '-inf', int(now - HOUR))
  redis.call('ZADD', starts, now, int(j.epoch))
  redis.call('PEXPIRE', starts, HOUR / 1000)
end

if passes and not owed[served] then
  redis.call('HSET', key('turns'), a.mask .. ':' .. served, 1)
elseif not passes and owed[served] ~= false then
  redis.call('HDEL', key('turns'), a.mask .. ':' .. served)
end

-- Notes that a class was served and which others had to wait.
local before, after = table.concat(turns, ','), {}
local waits = {}
for _, l in ipairs(list) do
  if room or not l.charge then waits[l.prio] = true end
end
for class = 0, a.classes - 1 do
  local n = turns[class + 1]
  if class == served then n = 0 elseif waits[class] then n = n + 1 end
  after[class + 1] = n
end
if table.concat(after, ',') ~= before then redis.call('HSET', key('turns'), a.mask, table.concat(after, ',')) end

redis.call('SET', reply, int(j.epoch) .. ' ' .. j.id, 'EX', 60)
local text = save(j)
trim()
return text
