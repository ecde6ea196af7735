-- Writes a field of a hash, if it is still the one that the writer has read.
-- Atomic, so that a write meanwhile is not undone.
-- KEYS: the hash. ARGV: the field, its value as read, the new one.
-- Returns 1, or 0 when it was another.
if not hash(KEYS[1]) or (item(KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
