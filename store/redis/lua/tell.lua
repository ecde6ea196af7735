-- Appends changes of records, tags and settings to the feed, after they are
-- durable in their own slots. Atomic, because numbers must grow.
-- a: changes ({kind, name}…), keep
for _, c in ipairs(a.changes) do tell(c[1], c[2]) end
trim()
return 1
