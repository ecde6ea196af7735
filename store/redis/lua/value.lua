-- A small value, for readers.
-- KEYS: the value. ARGV: what the reader has a copy of, if it has one
-- Returns it, '' when there is none, 1 when it is that of the copy.
if same(KEYS[1], nil, ARGV[1]) then return 1 end
return small(KEYS[1])
