-- Replaces the record of a digest by one that is empty, and removes what belongs to it,
-- if the record is still the one that the writer has read. Atomic, so that a push that
-- comes meanwhile is neither lost nor joined to what was removed.
-- KEYS: record, locations, inventory, findings, history
-- ARGV: the record as read, the new record
-- Returns 1, or 0 when the record was another.
if small(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
return 1
