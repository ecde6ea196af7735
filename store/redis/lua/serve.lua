-- Keeps the charge of a leased analysis from now on. Atomic, so that nobody gives
-- it back meanwhile.
-- a: id, epoch
-- Returns {"ok"}, or what leased says.
local j, no = leased(a.id, a.epoch)
if not j then return no end
if j.kind == ANALYZE then -- a resolve of the digest serves nothing for its analysis
  local c = charge(j.dig)
  if c and not c.s then
    c.s = true
    redis.call('HSET', key('charges'), j.dig, cmsgpack.pack(c))
  end
end
return { 'ok' }
