-- Grants a portion of a deployment's minute to one instance, and takes back what it does not use.
--
-- KEYS  1 the minute of the deployment: a hash of what is held by all instances together (r, t:
--         requests and tokens) and by each (r:<instance>, t:<instance>), of what each had used, or was
--         about to use, in its last report (ur:, ut:), and of the time of that (at:, milliseconds);
--         expires two minutes after its last use
--       2 the epoch: another one means that Redis has lost what it had granted
-- ARGV  1 instance  2 epoch  3 rpm  4 tpm (-1: no limit)  5, 6 wanted  7, 8 returned
--       9, 10 used so far by this instance  11 silent instances, which may use their shares
--       12 all instances, those included  13 1 if grants of this minute were lost: then each instance
--       gets its share and no more until all of them have reported
--       14, 15 of what is wanted, what waiting requests use at once
-- Returns {requests, tokens, remaining requests, remaining tokens, lost, unused elsewhere}: the grant,
-- what no instance holds, 1 for another epoch, and 1 if other instances hold what they may return. An
-- idle instance returns that within 120 ms; what an instance has held for half a second without a
-- report it has used, or is using.
-- A single script because a grant must see every other grant; MULTI could not decide in between.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return {0, 0, 0, 0, 1, 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'at:' .. ARGV[1], now)
local n = {}
for i = 3, 15 do n[i] = tonumber(ARGV[i]) end
local silent, instances, is_lost = n[11], n[12], n[13] == 1
local function take(total, limit, wanted, returned, used, waiting)
  local own = total .. ':' .. ARGV[1]
  local taken = tonumber(redis.call('HGET', KEYS[1], total) or '0')
  local held = tonumber(redis.call('HGET', KEYS[1], own) or '0')
  -- What an instance has used it has held, even if Redis has lost that.
  if used > held then taken = taken + used - held; held = used end
  returned = math.min(returned, held - used)
  taken = taken - returned
  held = held - returned
  local grant, remaining = 0, 0
  if limit >= 0 then
    local reserved = 0
    if instances > 0 then reserved = silent * math.floor(limit / instances) end
    remaining = math.max(0, limit - reserved - taken)
    local is_complete = true
    if is_lost then
      local reports = 0
      for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
        if string.sub(field, 1, #total + 1) == total .. ':' then reports = reports + 1 end
      end
      if redis.call('HEXISTS', KEYS[1], own) == 0 then reports = reports + 1 end
      is_complete = reports >= instances - silent
    end
    if not is_complete then
      local share = math.floor(limit / instances)
      remaining = math.min(remaining, math.max(0, share - held))
    end
    grant = math.min(wanted, remaining)
    remaining = remaining - grant
  end
  local will_use = used + math.min(grant, waiting)
  redis.call('HSET', KEYS[1], total, taken + grant, own, held + grant, 'u' .. own, will_use)
  local unused = 0
  if limit >= 0 and remaining == 0 and grant < wanted then
    local fields = redis.call('HGETALL', KEYS[1])
    local values = {}
    for i = 1, #fields, 2 do values[fields[i]] = tonumber(fields[i + 1]) end
    for field, value in pairs(values) do
      local is_others = string.sub(field, 1, 2) == total .. ':' and field ~= own
      local reported_at = values['at:' .. string.sub(field, #total + 2)] or 0
      if is_others and value > (values['u' .. field] or 0) and now - reported_at <= 500 then
        unused = 1
      end
    end
  end
  return grant, remaining, unused
end
local r, remaining_r, unused_r = take('r', n[3], n[5], n[7], n[9], n[14])
local t, remaining_t, unused_t = take('t', n[4], n[6], n[8], n[10], n[15])
redis.call('PEXPIRE', KEYS[1], 120000)
return {r, t, remaining_r, remaining_t, 0, math.max(unused_r, unused_t)}
