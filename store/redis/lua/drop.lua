-- Removes a job that has ended. Atomic, so that no request starts it again meanwhile.
-- a: id, keep
-- Returns {"ok"}, {"gone"}, or {"live", state}.
local j = load(a.id)
if not j then return { 'gone' } end
if j.st < DONE then return { 'live', j.st } end
redis.call('ZREM', key('ended'), a.id)
redis.call('DEL', key('job:' .. a.id))
if redis.call('GET', key('key:' .. name(j))) == a.id then redis.call('DEL', key('key:' .. name(j))) end
tell(JOB, a.id)
trim()
return { 'ok' }
