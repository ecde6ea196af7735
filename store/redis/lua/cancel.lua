-- Ends a live job whatever it does. Atomic, so that no claim takes it meanwhile.
-- a: id, nonce, keep
-- Returns {"ok", job}, {"gone"}, or {"ended", state}.
local j = load(a.id)
if not j then return { 'gone' } end
if j.fin == a.nonce then return { 'ok', cmsgpack.pack(j) } end
if j.st >= DONE then return { 'ended', j.st } end
unplace(j)
j.err, j.why, j.fin = '', '', a.nonce
local text = finish(j, CANCELLED)
trim()
return { 'ok', text }
