-- The newest entries of a history, for readers.
-- KEYS: the list. ARGV: how many at most, the most bytes
-- Returns them, the oldest first; those of a list that is larger than any honest one are
-- left out from the oldest on.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return {} end
if kind ~= 'list' then return { '!' } end
local out, bytes = {}, 0
for i = -1, -tonumber(ARGV[1]), -1 do
  local entry = redis.call('LINDEX', KEYS[1], i)
  if not entry then break end
  bytes = bytes + #entry
  if bytes > tonumber(ARGV[2]) then break end
  table.insert(out, 1, entry)
end
return out
