-- Removes a tag's mapping, if it is still the one that was read. Atomic, so that a read
-- of the tag that comes meanwhile is not lost.
-- KEYS: the value. ARGV: the value as read.
-- Returns 1, or 0 when it was another.
if small(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
