-- Writes what belongs to one digest, if its record is still the one that the
-- writer has read. Atomic, so that of two writers one starts again.
-- KEYS: record, locations, large value (any of the digest when there is none), history
-- ARGV: the record as read ("" for none), the new record, the large value ("" for
--       none), an entry of the history ("" for none), how many it keeps, then field and
--       value of each location
-- Returns 1, or 0 when the record was another.
if small(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then redis.call('SET', KEYS[3], ARGV[3]) end
if ARGV[4] ~= '' then
  if not list(KEYS[4]) then redis.call('DEL', KEYS[4]) end
  redis.call('RPUSH', KEYS[4], ARGV[4])
  redis.call('LTRIM', KEYS[4], -tonumber(ARGV[5]), -1)
end
if #ARGV > 5 and not hash(KEYS[2]) then redis.call('DEL', KEYS[2]) end
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
