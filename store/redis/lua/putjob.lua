-- Puts a job of another store in its place, unless a newer one is here (see
-- store.ImportJob). Atomic, so that a key has one live job.
-- a: job (as enqueue.lua makes it), keep
-- Returns 1 when it was written, 0 when what is here stays.
local j = a.job
local current = load(redis.call('GET', key('key:' .. name(j))))
if current then
  if current.id ~= j.id and current.st < DONE then return 0 end
  if current.updated >= j.updated then return 0 end
  unplace(current)
  if current.id ~= j.id then
    current.old = true
    place(current)
  end
end
j.charge = j.kind == ANALYZE and not charge(j.dig)
redis.call('SET', key('key:' .. name(j)), j.id)
place(j)
tell(JOB, j.id)
trim()
return 1
