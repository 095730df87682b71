-- Tells what an instance knows about a deployment, and what the others know.
--
-- KEYS  1 the deployment: a hash of requests in flight by instance (f:<instance> = "<count> <time>"), the cooldown (c = its
--         end, cf = its beginning, milliseconds) and the newest estimates of latency (l1, l2, l3 = "<at> <ms> <load>");
--         expires an hour after its last use
-- ARGV  1 instance  2 in flight  3, 4 cooldown: beginning, end  5, 6, 7 estimates ("" for none)
-- Returns {in flight elsewhere, beginning, end, estimate, estimate, estimate}; the later cooldown and the newer estimate stand.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local elsewhere = 0
local own = 'f:' .. ARGV[1]
if ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], own)
else
  redis.call('HSET', KEYS[1], own, ARGV[2] .. ' ' .. now)
end
local all = redis.call('HGETALL', KEYS[1])
local known = {}
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 'f:' then
    local count, at = string.match(all[i + 1], '(%d+) (%d+)')
    if not at or now - tonumber(at) > 60000 then
      redis.call('HDEL', KEYS[1], all[i])
    elseif all[i] ~= own and now - tonumber(at) <= 3500 then
      elsewhere = elsewhere + tonumber(count)
    end
  else
    known[all[i]] = all[i + 1]
  end
end
local from, till = known['cf'] or '0', known['c'] or '0'
if tonumber(ARGV[4]) > tonumber(till) then
  from, till = ARGV[3], ARGV[4]
  redis.call('HSET', KEYS[1], 'cf', from, 'c', till)
end
local answer = {elsewhere, from, till}
for i = 1, 3 do
  local field, told = 'l' .. i, ARGV[4 + i]
  local stored = known[field] or ''
  if told ~= '' and tonumber(string.match(told, '%d+')) >= tonumber(string.match(stored, '%d+') or '0') then
    redis.call('HSET', KEYS[1], field, told)
    stored = told
  end
  answer[3 + i] = stored
end
redis.call('PEXPIRE', KEYS[1], 3600000)
return answer
