-- Puts a charge of another store in its place, unless there is one (see
-- store.ImportCharge). Atomic, so that no charge that is made meanwhile is lost.
-- a: digest, period, at (µs), served
-- Returns 1 when it was written, 0 when what is here stays.
local c = charge(a.digest)
if not c then
  c = { p = a.period, t = a.at, s = a.served }
elseif c.s or not a.served then
  return 0
end
c.s = a.served
redis.call('HSET', key('charges'), a.digest, cmsgpack.pack(c))
return 1
