-- A record with its locations, for readers.
-- KEYS: record, locations. ARGV: what the reader has a copy of, if it has one
-- Returns {record, then field and value of each location}, or {1} when they are those of
-- the copy. Of a hash that is
-- larger than any honest one nothing is returned but a field that nobody has
-- signed.
if same(KEYS[1], KEYS[2], ARGV[1]) then return { 1 } end
local out = { small(KEYS[1]) }
if not hash(KEYS[2]) then return { out[1], '', '!' } end
local FIELDS, BYTES = 20000, 8 * SMALL
local bytes = 0
if redis.call('HLEN', KEYS[2]) > FIELDS then return { out[1], '', '!' } end
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  bytes = bytes + #field + redis.call('HSTRLEN', KEYS[2], field)
  if bytes > BYTES then return { out[1], '', '!' } end
  out[#out + 1] = field
  out[#out + 1] = redis.call('HGET', KEYS[2], field)
end
return out
