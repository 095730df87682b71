-- Notes that an instance is alive and which share it has, and raises that towards its part.
--
-- KEYS  1 the shares: a hash by instance of "<after> <before> <from> <at> <seq> <weight>": the share of
--         every limit in millionths as of the minute <from>, the share before, the time and the number
--         of the last presence (0: it has ended), and the requests of a minute; "m", the latest
--         minute that has leases; "k", the sum of shares that a Redis which lost them has given, "ka",
--         since when, and "km", how much of it no owner has reported; "l", the last presence of all;
--         "g", when that had been silent; "p:<instance>", if a silent instance was probed;
--         "b:<instance>", the last wait of an instance, 0 when it has ended
--       2 the epoch: set by the first instance that finds none; expires a day after the last presence
--       3 Redis' own id of its run: after a restart with an old copy of its data, or a failover to a
--         replica, Redis has lost grants just as an empty one has
-- ARGV  1 instance  2 an epoch, used if one is needed  3 the epoch that the instance knows
--       4 seq  5, 6, 7 its share: after, before, from  8 the sum of all shares, as far as it knows
--       9 requests of a minute  10 the minute  11 prefix of the lists that wake up instances
-- Returns {epoch, instances, after, before, from, target, shares of the others}.
-- All times are by Redis' clock, so those of instances may differ.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local epoch = redis.call('GET', KEYS[2])
if not epoch or redis.call('GET', KEYS[3]) ~= run then
  epoch = ARGV[2]
  redis.call('DEL', KEYS[1])
end
redis.call('SET', KEYS[3], run, 'PX', 86400000)
redis.call('SET', KEYS[2], epoch, 'PX', 86400000)

local me, minute, weight = ARGV[1], tonumber(ARGV[10]), tonumber(ARGV[9])
local after, before, from = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local touched, known, missing, lost_at = 0, 0, 0, now
local has_reported, is_stale = false, false
local instances, weights, others, reserved = 1, weight, 0, 0
-- An instance is silent only as long as another one is not.
local heard, back = redis.call('HGET', KEYS[1], 'l') or 0, redis.call('HGET', KEYS[1], 'g') or 0
if now - heard > 3500 then back = now end
redis.call('HSET', KEYS[1], 'l', now, 'g', back)
local shares = redis.call('HGETALL', KEYS[1])
for i = 1, #shares, 2 do
  local field, value = shares[i], shares[i + 1]
  local s, b, f, at, seq, w = string.match(value, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  if field == 'm' then touched = tonumber(value) end
  if field == 'k' then known = tonumber(value) end
  if field == 'km' then missing = tonumber(value) end
  if field == 'ka' then lost_at = tonumber(value) end
  if s and field == me then
    has_reported, is_stale = true, tonumber(seq) > tonumber(ARGV[4])
  elseif s and at == '0' then
    -- It keeps the share of the minute that it ended in: it may have used it.
    if tonumber(f) <= minute then redis.call('HDEL', KEYS[1], field, 'b:' .. field, 'p:' .. field) end
  elseif s then
    local silent, wake = now - math.max(at, back), ARGV[11] .. field
    if silent > 3500 and redis.call('HEXISTS', KEYS[1], 'p:' .. field) == 0 then
      -- A connection takes this out of the list if it is open as far as Redis knows.
      redis.call('HSET', KEYS[1], 'p:' .. field, 1)
      redis.call('LPUSH', wake, 'p')
      redis.call('PEXPIRE', wake, 120000)
    end
    -- Between two waits an instance has no connection here, whether it has ended or not.
    local is_between = redis.call('HGET', KEYS[1], 'b:' .. field) == '0'
    local has_closed = silent > 25000 and redis.call('EXISTS', wake) == 1 and not is_between
    if has_closed or silent > 600000 then
      -- One that fell silent before this minute has used nothing of it.
      local held = 0
      if at + 3500 >= minute * 60000 then held = tonumber(minute >= tonumber(f) and s or b) end
      redis.call('HSET', KEYS[1], field, string.format('0 %d %d 0 0 0', held, minute + 1))
      redis.call('HDEL', KEYS[1], 'p:' .. field)
      redis.call('DEL', wake)
    else
      instances, weights, others = instances + 1, weights + w, others + s
      if tonumber(f) > math.max(minute, touched) + 1 then s = math.max(s, b) end
      reserved = reserved + s
    end
  end
end
-- Shares that a Redis gave which has lost them, and whose owners have not appeared yet. They may
-- still use them; ten minutes later that is no longer expected. An owner reports its share once:
-- what it or Redis does with it afterwards changes nothing about the others'.
local sum = tonumber(ARGV[8])
if ARGV[3] ~= epoch and sum > 0 and not has_reported then
  missing = math.max(0, missing + math.max(0, sum - known) - after)
  redis.call('HSET', KEYS[1], 'k', math.max(known, sum), 'km', missing, 'ka', lost_at)
end
if missing > 0 and now - lost_at > 600000 then
  missing = 0
  redis.call('HSET', KEYS[1], 'km', 0)
end

-- Up to four instances have equal shares. Of more, half of a limit is shared by their requests: all
-- of a quarter may come to one of them.
local target = math.floor(1000000 / instances)
if instances > 4 and weights > 0 then
  target = math.floor(500000 / instances + 500000 * weight / weights)
end
if not is_stale then
  local free = 1000000 - reserved - missing - after
  local next = math.max(minute, touched) + 1
  if after < target and free > 0 and (from <= minute or from == next) then
    if from <= minute then before = after end
    after, from = after + math.min(free, target - after), next
  end
  local share = string.format('%d %d %d %d %s %d', after, before, from, now, ARGV[4], weight)
  redis.call('HSET', KEYS[1], me, share)
  redis.call('HDEL', KEYS[1], 'p:' .. me)
end
redis.call('PEXPIRE', KEYS[1], 86400000)
return {epoch, instances, after, before, from, target, others + missing}
