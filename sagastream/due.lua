-- Returns the sagas whose timer ran out by the instant up to which everything published has been read and settled.
-- The whole reply is as of one instant.
--
-- KEYS[1] the timers, then the streams, then the streams that must be empty
-- ARGV[1] the group of the readers, [2] how many streams, [3] how many sagas to skip, [4] how many to return
-- reply   the time in ms; when the first timer runs out (nil: there is none); and if that is not in the future, the
--         instant up to which everything is settled, the key that limits it (nil: it delays no timer), and the sagas

local function ms(id) return tonumber(string.match(id, '^%d+')) end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local first = tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2])
if not first or first > now then return {now, first or false} end

local function settled_until(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  for _, group in ipairs(groups) do
    local about = {}
    for at = 1, #group, 2 do about[group[at]] = group[at + 1] end
    if about.name == ARGV[1] then
      local delivered, upto = about['last-delivered-id'], now
      if about.pending > 0 then upto = ms(redis.call('XPENDING', stream, ARGV[1])[2]) - 1 end
      -- Look for undelivered entries instead of counting: entries trimmed before the group began are never delivered.
      if #redis.call('XREVRANGE', stream, '+', '(' .. delivered, 'COUNT', 1) > 0 then
        upto = math.min(upto, ms(delivered) - 1)
      end
      return upto
    end
  end
  return 0
end

local function held_back(upto)
  return redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', upto), string.format('%.0f', now)) > 0
end

local upto, behind = now, false
for at = 2, #KEYS do
  local is_stream = at <= ARGV[2] + 1
  local until_ms = is_stream and settled_until(KEYS[at]) or redis.call('XLEN', KEYS[at]) == 0 and now or 0
  if until_ms < upto then upto, behind = until_ms, KEYS[at] end
end
local due = redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.0f', upto), 'BYSCORE', 'LIMIT', ARGV[3], ARGV[4])
return {now, first, upto, behind and held_back(upto) and behind, due}
