-- The newest analyze jobs of digests, and the time, for admission: one call.
-- a: digests
-- Returns {time in µs, a job or nil for each digest…}.
local out = { int(now) }
-- A key of another type is not a job; who wants one asks again.
local function get(name)
  local value = redis.pcall('GET', key(name))
  return type(value) == 'string' and value
end
for i, digest in ipairs(a.digests) do
  local id = get('key:' .. ANALYZE .. ':' .. digest)
  out[i + 1] = id and get('job:' .. id)
end
return out
