-- Takes the other entries of the list, and notes that an instance is between two waits, unless another
-- wait of it has begun since this one.
--
-- KEYS  1 the shares, as presence.lua has them  2 the list that wakes up the instance
-- ARGV  1 the field  2 the number of this wait  3 entries at most
-- Returns the entries. One by one: Redis takes several at once only as of 6.2.
local entries = {}
for i = 1, tonumber(ARGV[3]) do
  local entry = redis.call('LPOP', KEYS[2])
  if not entry then break end
  entries[i] = entry
end
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], '0') end
return entries
