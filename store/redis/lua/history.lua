-- A history, for readers.
-- KEYS: the hash. ARGV: how many entries at most, the most bytes
-- Returns number and value of each entry, the newest first; the oldest of a hash that is
-- larger than any honest one are left out.
if not hash(KEYS[1]) then return { '', '!' } end
if redis.call('HLEN', KEYS[1]) > 100 * tonumber(ARGV[1]) then return { '', '!' } end
local numbers, out, bytes = redis.call('HKEYS', KEYS[1]), {}, 0
table.sort(numbers, function(a, b) return (tonumber(a) or 0) > (tonumber(b) or 0) end)
for i = 1, math.min(#numbers, tonumber(ARGV[1])) do
  bytes = bytes + #numbers[i] + redis.call('HSTRLEN', KEYS[1], numbers[i])
  if bytes > tonumber(ARGV[2]) then break end
  out[2 * i - 1] = numbers[i]
  out[2 * i] = redis.call('HGET', KEYS[1], numbers[i])
end
return out
