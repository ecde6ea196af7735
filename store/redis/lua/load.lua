-- A record with its locations, for readers.
-- KEYS: record, locations
-- Returns {record, then field and value of each location}. Of a hash that is
-- larger than any honest one nothing is returned but a field that nobody has
-- signed.
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
