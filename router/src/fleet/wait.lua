-- Notes that an instance is between two waits, unless another wait of it has begun since this one.
--
-- KEYS  1 the shares, as presence.lua has them
-- ARGV  1 the field  2 the number of this wait
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], '0') end
return {0}
