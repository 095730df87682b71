-- Takes a portion of a deployment's minute for one instance, and takes back what it does not use.
--
-- KEYS  1 the minute of the deployment: a hash of what is taken in all (r, t: requests and tokens) and by each
--         instance (r:<instance>, t:<instance>), what each had used or was about to when it last told (ur:, ut:), and when
--         that was (at:, milliseconds); expires two minutes after its last use
--       2 the epoch, which tells whether Redis still knows what it was told
-- ARGV  1 instance  2 epoch  3 rpm  4 tpm (-1: no limit)  5, 6 wanted  7, 8 given back  9, 10 used so far by this instance
--       11 instances that are silent and may use their shares  12 all instances, those included
--       13 1 if what others took has been forgotten: then each has its share and no more before all of them have told
--       14, 15 of what is wanted, what waiting requests use at once
-- Returns the granted, what is left, whether the epoch is another one, so that Redis does not know what was taken, and whether
-- others hold what they may give back: {requests, tokens, left, left, 0 or 1, 0 or 1}. An instance that is idle gives back within
-- 120 ms; what another has held for half a second without a word it has used, or is using.
-- A single script because a grant must see every other grant; MULTI could not decide in between.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return {0, 0, 0, 0, 1, 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'at:' .. ARGV[1], now)
local n = {}
for i = 3, 15 do n[i] = tonumber(ARGV[i]) end
local function take(all, limit, want, back, used, waiting)
  local mine = all .. ':' .. ARGV[1]
  local taken = tonumber(redis.call('HGET', KEYS[1], all) or '0')
  local held = tonumber(redis.call('HGET', KEYS[1], mine) or '0')
  -- What it has used it must have held, whether Redis remembers or not.
  if used > held then taken = taken + used - held; held = used end
  back = math.min(back, held - used)
  taken = taken - back
  held = held - back
  local grant, left = 0, 0
  if limit >= 0 then
    local reserved = 0
    if n[12] > 0 then reserved = n[11] * math.floor(limit / n[12]) end
    left = math.max(0, limit - reserved - taken)
    local known = true
    if n[13] == 1 then
      local tellers = 0
      for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
        if string.sub(field, 1, #all + 1) == all .. ':' then tellers = tellers + 1 end
      end
      if redis.call('HEXISTS', KEYS[1], mine) == 0 then tellers = tellers + 1 end
      known = tellers >= n[12] - n[11]
    end
    if not known then left = math.min(left, math.max(0, math.floor(limit / n[12]) - held)) end
    grant = math.min(want, left)
    left = left - grant
  end
  redis.call('HSET', KEYS[1], all, taken + grant, mine, held + grant, 'u' .. mine, used + math.min(grant, waiting))
  local unused = 0
  if limit >= 0 and left == 0 and grant < want then
    local fields = redis.call('HGETALL', KEYS[1])
    local of = {}
    for i = 1, #fields, 2 do of[fields[i]] = tonumber(fields[i + 1]) end
    for field, value in pairs(of) do
      local is_others = string.sub(field, 1, 2) == all .. ':' and field ~= mine
      local told = of['at:' .. string.sub(field, #all + 2)] or 0
      if is_others and value > (of['u' .. field] or 0) and now - told <= 500 then unused = 1 end
    end
  end
  return grant, left, unused
end
local r, left_r, unused_r = take('r', n[3], n[5], n[7], n[9], n[14])
local t, left_t, unused_t = take('t', n[4], n[6], n[8], n[10], n[15])
redis.call('PEXPIRE', KEYS[1], 120000)
return {r, t, left_r, left_t, 0, math.max(unused_r, unused_t)}
