-- Extends a lease and stores the progress. Atomic, so that a lease that somebody
-- has taken over is never extended.
-- a: id, epoch, extend (µs), progress (JSON), limits, keep
-- Returns {"ok", 1 when more urgent work waits}, or what leased says.
local j, no = leased(a.id, a.epoch)
if not j then return no end
local fresh = a.progress ~= j.prog
j.lease, j.prog, j.updated = now + a.extend, a.progress, now
place(j)
if fresh then tell(JOB, j.id) end
trim()
-- Work is more urgent if it is of a kind that the worker takes and could be
-- claimed if this job gave its slot back: yielding to a registry at its limits
-- would only bring it back.
for _, l in ipairs(lanes(j.mask)) do
  if l.prio < j.prio then
    local less = (l.reg == j.reg and l.kind == j.kind) and 1 or 0
    if not blocked(l, less) and head(l) then return { 'ok', 1 } end
  end
end
return { 'ok', 0 }
