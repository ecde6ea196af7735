-- A small value, for readers.
-- KEYS: the value
-- Returns it, '' when there is none.
return small(KEYS[1])
