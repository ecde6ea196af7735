-- Leases the next job to a worker. Atomic, so that no two workers get one job,
-- no limit is passed and no digest is charged twice.
-- a: worker, mask, norescan, limits, period, quota (0: unlimited), lease (µs),
--    max (attempts), rescan (its class), classes, patience, lost (a reason's
--    label), retention (µs of ended jobs), nonce, keep
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
-- takes its worker down must not go on for ever.
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
    if j.att >= a.max then finish(j, FAILED) else requeue(j, 0) end
  end
end

-- Moves jobs whose delay is over into their lanes.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('delayed'), '-inf', int(now), 'LIMIT', 0, BATCH)) do
  local j = load(id)
  redis.call('ZREM', key('delayed'), id)
  if j then
    j.st = READY
    place(j)
  end
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
      if l.charge and may > 0 then
        local ids = redis.call('ZRANGE', key('lane:' .. l.text), 0, may - 1)
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

-- pick is the oldest job of the first class that has one, and its lane.
local function pick()
  for _, class in ipairs(order) do
    local from, oldest, number
    for _, l in ipairs(list) do
      if l.prio == class and (room or not l.charge) and not blocked(l, 0) then
        local id, seq = head(l)
        if id and (not number or seq < number) then from, oldest, number = l, id, seq end
      end
    end
    if oldest then return from, oldest end
  end
end
local j, from, id
for _ = 1, BATCH do
  from, id = pick()
  j = load(id)
  if not from or (j and j.st == READY and lane(j) == from.text) then break end
  -- Evicted or damaged: whoever still wants it asks again.
  redis.call('ZREM', key('lane:' .. from.text), id)
  j = nil
end
if not j then
  trim()
  return nil
end
local served = from.prio
unplace(j)
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
