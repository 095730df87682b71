-- Notes that an instance is alive, and counts the others.
--
-- KEYS  1 the instances: a sorted set by the time of their last presence, which removes them after two
--         minutes
--       2 the epoch: set by the first instance that finds none; expires a day after the last presence
--       3 Redis' own id of its run: after a restart with an old copy of its data, or a failover to a
--         replica, Redis has lost grants just as an empty one has
-- ARGV  1 instance  2 an epoch, used if one is needed
-- Returns {epoch, alive, silent}. All times are by Redis' clock, so those of instances may differ.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local epoch = redis.call('GET', KEYS[2])
if not epoch or redis.call('GET', KEYS[3]) ~= run then epoch = ARGV[2] end
redis.call('SET', KEYS[3], run, 'PX', 86400000)
redis.call('SET', KEYS[2], epoch, 'PX', 86400000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 120000)
redis.call('PEXPIRE', KEYS[1], 120000)
local alive = redis.call('ZCOUNT', KEYS[1], now - 3500, '+inf')
return {epoch, alive, redis.call('ZCARD', KEYS[1]) - alive}
