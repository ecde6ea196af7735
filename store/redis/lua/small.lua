-- Begins every script that touches the value of a digest, a tag or a setting. Who
-- can write to this server must not be able to break or to blow up those who
-- read: a value of another type, or over all limits, reads as one that nobody
-- has signed, and gives way to the next write.
local SMALL = 2097152 -- 2 MiB: a setting of 1 MiB in base64, and far more than any record

-- small is a string of at most SMALL bytes and one, '' when there is none.
local function small(key)
  local value = redis.pcall('GETRANGE', key, 0, SMALL)
  if type(value) == 'string' then return value end
  if string.find(value.err, 'WRONGTYPE', 1, true) then return '!' end
  error(value.err)
end

-- hash says whether a key holds a hash, or nothing.
local function hash(key)
  local kind = redis.call('TYPE', key).ok
  return kind == 'hash' or kind == 'none'
end

-- item is a field of a hash, false when there is none.
local function item(key, field)
  if redis.call('HSTRLEN', key, field) > SMALL then return '!' end
  return redis.call('HGET', key, field)
end

-- same says whether a value is the one that a reader has a copy of. claim is how the
-- reader describes it: the hash of all of it, and how many fields the hash has that belongs
-- to it. Everything else is sent, and checked again.
local function same(key, fields, claim)
  if not claim or claim == '' then return false end
  local count = fields and redis.pcall('HLEN', fields) or 0
  return type(count) == 'number' and redis.sha1hex(small(key)) .. ' ' .. count == claim
end
