-- A value and the clock of the server that holds it, in one call.
-- KEYS: the value, a hash ("" names none). ARGV: fields of the hash.
-- Returns {time in µs, value or nil, hash values…}.
local t = redis.call('TIME')
local out = { string.format('%.0f', t[1] * 1000000 + t[2]), small(KEYS[1]) }
local readable = #ARGV > 0 and hash(KEYS[2])
for i, field in ipairs(ARGV) do out[i + 2] = readable and item(KEYS[2], field) end
return out
