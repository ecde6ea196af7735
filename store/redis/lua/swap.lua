-- Writes a tag's mapping or a setting, if it is still the one that the writer has
-- read. Atomic, so that of two writers one starts again.
-- KEYS: the value. ARGV: the value as read ("" for none), the new one.
-- Returns 1, or 0 when it was another.
if small(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
