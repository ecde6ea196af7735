-- Writes what belongs to one digest, if its record is still the one that the
-- writer has read. Atomic, so that of two writers one starts again.
-- KEYS: record, locations, large value (any of the digest when there is none), history
-- ARGV: the record as read ("" for none), the new record, the large value ("" for
--       none), number and value of an entry of the history ("" for none), how many it
--       keeps and since when (µs, 0 for no limit), then field and value of each location
-- Returns 1, or 0 when the record was another.
if small(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then redis.call('SET', KEYS[3], ARGV[3]) end
if ARGV[5] ~= '' then
  if not hash(KEYS[4]) then redis.call('DEL', KEYS[4]) end
  redis.call('HSET', KEYS[4], ARGV[4], ARGV[5])
  local many = redis.call('HLEN', KEYS[4])
  if many > tonumber(ARGV[6]) or many % 16 == 0 then -- sorting costs more than a few entries too many
    local numbers, since = redis.call('HKEYS', KEYS[4]), tonumber(ARGV[7])
    table.sort(numbers, function(a, b) return (tonumber(a) or 0) > (tonumber(b) or 0) end)
    for i = #numbers, 2, -1 do
      local at = string.match(redis.call('HGET', KEYS[4], numbers[i]), '^(%d+):')
      if i <= tonumber(ARGV[6]) and at and tonumber(at) >= since then break end
      redis.call('HDEL', KEYS[4], numbers[i])
    end
  end
end
if #ARGV > 7 and not hash(KEYS[2]) then redis.call('DEL', KEYS[2]) end
for i = 8, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
