-- The newest analyze jobs of digests, and the time, for admission: one call.
-- a: digests
-- Returns {time in µs, a job or nil for each digest…}.
local out = { int(now) }
for i, digest in ipairs(a.digests) do
  local id = redis.call('GET', key('key:' .. ANALYZE .. ':' .. digest))
  out[i + 1] = id and redis.call('GET', key('job:' .. id)) or false
end
return out
