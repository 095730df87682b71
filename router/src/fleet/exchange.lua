-- Publishes what an instance knows about a deployment, and returns what the others know.
--
-- KEYS  1 the deployment: a hash of requests in flight by instance (f:<instance> = "<count> <time>"),
--         the cooldown (c = its end, cf = its beginning, milliseconds) and the newest latency
--         estimates (l1, l2, l3 = "<at> <ms> <load> <best>"); expires an hour after its last use
-- ARGV  1 instance  2 in flight  3, 4 cooldown: beginning, end  5, 6, 7 estimates ("" for none)
-- Returns {in flight elsewhere, beginning, end, estimate, estimate, estimate}: the cooldown that
-- ends later, and the newer estimates. What was set more than two minutes ahead counts as none: the
-- clock of an instance was ahead.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local latest = now + 120000
local elsewhere = 0
local own = 'f:' .. ARGV[1]
if ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], own)
else
  redis.call('HSET', KEYS[1], own, ARGV[2] .. ' ' .. now)
end
local fields = redis.call('HGETALL', KEYS[1])
local stored = {}
for i = 1, #fields, 2 do
  local field, value = fields[i], fields[i + 1]
  if string.sub(field, 1, 2) == 'f:' then
    local count, at = string.match(value, '(%d+) (%d+)')
    if not at or now - tonumber(at) > 60000 then
      redis.call('HDEL', KEYS[1], field)
    elseif field ~= own and now - tonumber(at) <= 3500 then
      elsewhere = elsewhere + tonumber(count)
    end
  else
    stored[field] = value
  end
end
local from, till = stored['cf'] or '0', stored['c'] or '0'
if tonumber(from) > latest then from, till = '0', '0' end
if tonumber(ARGV[4]) > tonumber(till) and tonumber(ARGV[3]) <= latest then
  from, till = ARGV[3], ARGV[4]
  redis.call('HSET', KEYS[1], 'cf', from, 'c', till)
end
local function measured_at(estimate)
  local at = tonumber(string.match(estimate, '%d+') or '0')
  return at * 1000 <= latest and at or 0
end
local reply = {elsewhere, from, till}
for i = 1, 3 do
  local field, published = 'l' .. i, ARGV[4 + i]
  local newest = stored[field] or ''
  if measured_at(published) >= math.max(1, measured_at(newest)) then
    redis.call('HSET', KEYS[1], field, published)
    newest = published
  end
  reply[3 + i] = newest
end
redis.call('PEXPIRE', KEYS[1], 3600000)
return reply
