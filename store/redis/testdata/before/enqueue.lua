-- Makes a request durable as a new job, as a part of the live one, or not at all
-- where the trigger may not restart what has ended. Atomic, so that a key has one
-- live job however many ask at once.
-- a: kind, key, registry, repository, digest, tag, trigger, priority, force,
--    random (end of a new id), rest (µs a failed job rests), restart (whether a
--    cancelled one may), maxTags, resolve (bit of the kind), keep
-- Returns {outcome, job}, or {"busy"}.
local id = redis.call('GET', key('key:' .. a.kind .. ':' .. a.key))
local j = load(id)
local tags = {}

local function has(tag)
  for _, t in ipairs(j.tags) do
    if t == tag then return true end
  end
  return false
end

if j and j.st < DONE then
  local changed, again, priority, trigger = false, false, j.prio, j.trig
  if a.priority < j.prio then priority, trigger, changed = a.priority, a.trigger, true end
  local new = a.tag ~= '' and not has(a.tag)
  if new and #j.tags >= a.maxTags then return { 'busy' } end
  local force = a.force and not j.force
  -- A running resolve may have read the tag before whatever this ask is about,
  -- also when it is a tag that the job knows.
  again = (force or (a.kind == a.resolve and a.tag ~= '')) and j.st == RUNNING and not j.again
  if not (changed or new or force or again) then
    line(j)
    return { 'joined', cmsgpack.pack(j) }
  end
  unplace(j)
  j.prio, j.trig = priority, trigger
  if new then table.insert(j.tags, a.tag) end
  j.force, j.again = j.force or force, j.again or again
  local text = save(j)
  trim()
  return { 'joined', text }
end

if j then
  local may = j.st == DONE or (j.st == FAILED and now - j.finished >= a.rest) or (j.st == CANCELLED and a.restart)
  if not may then return { 'left', cmsgpack.pack(j) } end
  if j.st ~= DONE then tags = j.tags end -- which it has left unconfirmed
  j.old = true
  place(j)
end

local seq = tick()
j = {
  id = int(seq) .. '-' .. a.random, seq = seq, kind = a.kind, key = a.key, reg = a.registry, repo = a.repository,
  dig = a.digest, tags = tags, trig = a.trigger, prio = a.priority, force = a.force, st = READY, epoch = 0, att = 0,
  retr = 0, worker = '', mask = 0, again = false, rep = false, charge = false, created = now, updated = now,
  started = 0, finished = 0, nbf = 0, lease = 0, prog = '', err = '', why = '', fin = '', old = false,
}
if a.tag ~= '' and #tags < a.maxTags and not has(a.tag) then table.insert(j.tags, a.tag) end
j.charge = a.kind == ANALYZE and not charge(a.digest)
redis.call('SET', key('key:' .. name(j)), j.id)
local text = save(j)
trim()
return { 'new', text }
