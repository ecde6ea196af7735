-- Ends a claim. Atomic, so that a result is taken from the holder of the lease
-- only, and once.
-- a: id, epoch, verb (done, again, wait, attempt, fail, cancel), max (attempts),
--    after (µs, 0: backoff), backoff (µs by the number of waits), waits (µs by the
--    number of attempts), error, reason, progress (JSON, "" leaves what is stored),
--    nonce, keep, behind, refusal (as store.Refusal: 0 over, 1 open, 2 goes on,
--    3 begins), refusedFor (µs)
-- Returns {"ok", job}, or what leased says.
local j = load(a.id)
if j and j.fin == a.nonce then return { 'ok', cmsgpack.pack(j) } end -- the first answer was lost on its way
local no
j, no = leased(a.id, a.epoch)
if not j then return no end
unplace(j)
j.err, j.why, j.fin = a.error, a.reason, a.nonce
if a.progress ~= '' then j.prog = a.progress end
local verb = a.verb
if verb ~= 'wait' then j.retr = 0 end
if verb == 'attempt' and j.att + 1 >= a.max then verb = 'fail' end
if verb == 'attempt' or verb == 'fail' then j.att = j.att + 1 end
j.ref = j.ref or 0
local ends = false
if a.refusal == 0 then
  j.ref = 0
elseif a.refusal == 3 and j.ref == 0 then
  j.ref = now
else
  ends = a.refusal >= 2 and j.ref > 0 and now - j.ref >= a.refusedFor
end
local text
if ends then
  text = finish(j, FAILED)
elseif verb == 'done' then
  text = finish(j, DONE)
elseif verb == 'cancel' then
  text = finish(j, CANCELLED)
elseif verb == 'fail' then
  text = finish(j, FAILED)
elseif verb == 'wait' then
  local after = a.after
  if after == 0 then after = a.backoff[math.min(j.retr + 1, #a.backoff)] end
  j.retr = j.retr + 1
  text = requeue(j, after)
elseif verb == 'attempt' then
  text = requeue(j, a.waits[math.min(j.att, #a.waits)])
else
  text = requeue(j, 0)
end
trim()
return { 'ok', text }
