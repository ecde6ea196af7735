-- A large value with the record that names it, for readers.
-- KEYS: record, value. ARGV: the largest value in bytes
-- Returns {record, value}.
local length = redis.pcall('STRLEN', KEYS[2])
if type(length) ~= 'number' then
  if not string.find(length.err, 'WRONGTYPE', 1, true) then error(length.err) end
  return { small(KEYS[1]), '!' }
end
if length > tonumber(ARGV[1]) then return { small(KEYS[1]), '!' } end
return { small(KEYS[1]), redis.call('GET', KEYS[2]) }
