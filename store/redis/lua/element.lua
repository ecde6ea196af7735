-- Writes an element of a list, if it is still the one that the writer has read. Atomic,
-- so that an entry that came meanwhile is not undone.
-- KEYS: the list. ARGV: the element as read, the new one.
-- Returns 1, or 0 when it is not there any more.
if not list(KEYS[1]) then return 0 end
local at = redis.call('LPOS', KEYS[1], ARGV[1])
if not at then return 0 end
redis.call('LSET', KEYS[1], at, ARGV[2])
return 1
