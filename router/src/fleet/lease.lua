-- Grants a portion of a deployment's minute to one instance, takes back what it returns, and asks the
-- others for what they do not use if requests wait for more than there is.
--
-- KEYS  1 the minute of the deployment: a hash by instance of what it holds (r:, t:, requests and
--         tokens; without a field, its share), of what it had used in its last report (ur:, ut:),
--         of what its waiting requests were granted with it, and when (gr:, gt:, g:), and of when it
--         was asked for what it does not use and has not replied since (w:); expires two minutes
--         after its last use
--       2 the epoch: another one means that Redis has lost what it had granted
--       3 the shares, as presence.lua has them
-- ARGV  1 instance  2 epoch  3 minute  4 rpm  5 tpm (-1: no limit)  6, 7 wanted  8, 9 returned
--       10, 11 used so far by this instance  12, 13 of what is wanted, what waiting requests use at once
--       14 1 if grants of this minute were lost: then there is no more until all have reported theirs
--       15, 16 held by this instance, where Redis has lost that
--       17 prefix of the lists that wake up instances  18 id of the deployment
-- Returns {requests, tokens, remaining requests, remaining tokens, lost, unused elsewhere}: the grant,
-- what no instance holds, 1 for another epoch, and 1 if other instances were asked.
-- A single script because a grant must see every other grant; MULTI could not decide in between.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return {0, 0, 0, 0, 1, 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, minute = ARGV[1], tonumber(ARGV[3])
local n = {}
for i = 4, 16 do n[i] = tonumber(ARGV[i]) end
local values, fields = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do values[fields[i]] = tonumber(fields[i + 1]) end
-- By instance: its share of this minute; and whether it is alive.
local share, alive, is_complete = {[me] = 0}, {}, true
local touched, missing, shares = 0, 0, redis.call('HGETALL', KEYS[3])
for i = 1, #shares, 2 do
  local field, value = shares[i], shares[i + 1]
  local after, before, from, at = string.match(value, '^(%d+) (%d+) (%d+) (%d+)')
  if after then
    share[field] = tonumber(minute >= tonumber(from) and after or before)
    alive[field] = now - at <= 3500
  elseif field == 'm' then
    touched = tonumber(value)
  elseif field == 'km' then
    -- Shares of instances that have not reported since Redis lost them: they may be serving.
    missing = tonumber(value)
    if missing > 0 then is_complete = false end
  end
end
if minute > touched then redis.call('HSET', KEYS[3], 'm', minute) end
for field, _ in pairs(values) do
  local departed = string.match(field, '^[rt]:(%d+)$')
  if departed and not share[departed] then share[departed] = 0 end
end
local asked, set = {}, {}
local function store(field, value)
  set[#set + 1] = field
  set[#set + 1] = value
end
-- What an instance uses. A request that waits takes what it is granted at once, or it has given up or
-- gone to another deployment: then the instance does not use that, and does not report it by itself.
local function used_by(total, instance)
  local used = values['u' .. total .. ':' .. instance] or 0
  local is_young = math.abs(now - (values['g:' .. instance] or 0)) <= 100
  return is_young and used + (values['g' .. total .. ':' .. instance] or 0) or used
end
local function take(total, limit, wanted, returned, used, waiting, held)
  if limit < 0 then return 0, 0, 0, 0 end
  local function held_by(instance)
    return values[total .. ':' .. instance] or math.floor(limit * share[instance] / 1000000)
  end
  -- What an instance has used it has held, even if Redis has lost that.
  local own = math.max(held_by(me), held, used)
  own = own - math.min(returned, own - used)
  local taken = own + math.floor(limit * missing / 1000000)
  for instance, _ in pairs(share) do
    if instance ~= me then
      taken = taken + held_by(instance)
      if not values[total .. ':' .. instance] then is_complete = false end
    end
  end
  local remaining = math.max(0, limit - taken)
  local is_closed = n[14] == 1 and not is_complete
  if is_closed then remaining = 0 end
  local grant = math.min(wanted, remaining)
  remaining = remaining - grant
  store(total .. ':' .. me, own + grant)
  store('u' .. total .. ':' .. me, used)
  local unused, fleet_used = 0, used
  if remaining == 0 and not is_closed then
    -- As many as should have enough: of what they have not reported, some is used.
    local enough = 4 * math.max(waiting - grant, 0) + 8
    for instance, _ in pairs(share) do
      local of_it = used_by(total, instance)
      if instance ~= me then fleet_used = fleet_used + of_it end
      if instance ~= me and alive[instance] and held_by(instance) > of_it and unused < enough then
        -- One that does not reply in time may be asked again later.
        local since = now - (values['w:' .. instance] or 0)
        if since > 1000 and waiting > grant then asked[instance] = true end
        if since > 1000 or since <= 300 then unused = unused + held_by(instance) - of_it end
      end
    end
    -- While the fleet uses little, each keeps a reserve.
    if fleet_used * 4 > limit then asked.all = true end
  end
  return grant, remaining, unused, math.min(grant, waiting)
end
local r, remaining_r, unused_r, awaited_r = take('r', n[4], n[6], n[8], n[10], n[12], n[15])
local t, remaining_t, unused_t, awaited_t = take('t', n[5], n[7], n[9], n[11], n[13], n[16])
if awaited_r > 0 or awaited_t > 0 then
  store('gr:' .. me, awaited_r)
  store('gt:' .. me, awaited_t)
  store('g:' .. me, now)
elseif values['g:' .. me] then
  redis.call('HDEL', KEYS[1], 'g:' .. me)
end
local message = (asked.all and 'a' or 'h') .. ARGV[18]
asked.all = nil
for instance, _ in pairs(asked) do
  store('w:' .. instance, now)
  redis.call('LPUSH', ARGV[17] .. instance, message)
  redis.call('PEXPIRE', ARGV[17] .. instance, 120000)
end
redis.call('HDEL', KEYS[1], 'w:' .. me)
if #set > 0 then redis.call('HSET', KEYS[1], unpack(set)) end
redis.call('PEXPIRE', KEYS[1], 120000)
return {r, t, remaining_r, remaining_t, 0, (unused_r > 0 or unused_t > 0) and 1 or 0}
