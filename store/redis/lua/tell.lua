-- Appends changes of records, tags and settings to the feed, after they are
-- durable in their own slots. Atomic, because numbers must grow.
-- a: changes ({kind, name, number of the history entry}…), keep, per, most, fresh (a record that is new)
for _, c in ipairs(a.changes) do tell(c[1], c[2], c[3]) end
if a.fresh then
  local made = redis.pcall('GET', key('records'))
  redis.call('SET', key('records'), int((tonumber(type(made) == 'string' and made or 0) or 0) + 1))
end
trim()
return 1
