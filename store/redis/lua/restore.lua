-- Charges a digest that was analysed and has no charge any more. Atomic, so that
-- it counts once however many repair at the same time.
-- a: digest, period, at (µs), keep
-- Returns 1 when the charge was added, 0 when there was one.
local c = charge(a.digest)
if c then
  if not c.s then
    c.s = true
    redis.call('HSET', key('charges'), a.digest, cmsgpack.pack(c))
  end
  return 0
end
redis.call('HSET', key('charges'), a.digest, cmsgpack.pack({ p = a.period, t = a.at, s = true }))
redis.call('HINCRBY', key('quota:' .. a.period), 'used', 1)
-- Its live job needs no charge any more.
local j = load(redis.call('GET', key('key:' .. ANALYZE .. ':' .. a.digest)))
if j and j.st < DONE and j.charge then
  unplace(j)
  j.charge = false
  if j.st == PARKED then j.st = READY end
  save(j)
  trim()
end
return 1
