-- Applies a list of transactions, each wholly or not at all, in one call.
--
-- KEYS[1]  root of the owner; every key below is <root>:<name>, so all share one slot
-- ARGV[1]  msgpack array of transactions: { entry or false, { operation, ... } }
-- entry       { ledger name, handler, expected state, next state, what to remember, life in ms }
--             what to remember: a string, or the number of the operation whose event is remembered
-- reply       { server time ms, outcome, ... }, one outcome per transaction:
--             "ok" | "is <state>" (the ledger says otherwise) | "refused <n>" (guard n) | "malformed <n> <why>"
--             | "torn <why>" (a write failed half way: only an access rule that forbids it can do that)
--
-- Redis does not roll back: everything is checked before anything is written, and what is written afterwards
-- cannot fail on its data. A server that takes no writes at all refuses the first of the call, and so the call.
-- No JSON, no money: opaque strings, and integers of at most 15 digits.

local root = KEYS[1] .. ':'
local transactions = cmsgpack.unpack(ARGV[1])
local clock = redis.call('TIME')
local now_ms = clock[1] .. string.format('%03d', math.floor(tonumber(clock[2]) / 1000))

local kinds = {}  -- key → type, remembered for the call: nobody else writes meanwhile
local claimed = {}  -- key → what this transaction makes of a key that is not there yet
local counted = {}  -- key → counter → what it said before anything was tallied in this call
local tallies = {}  -- key → counter → what is to be added to it, written once per call
local scheduled = {}  -- sorted set → member → its score, false once it is taken out; written once per call
local mentions = {}  -- capped stream → what is mentioned in it, written once per call as one entry
local unwilling = { OOM = true, READONLY = true, MISCONF = true, NOREPLICAS = true, MASTERDOWN = true }
local now_text

-- Source: Howard Hinnant, days to civil date (proleptic Gregorian), for days since 1970-01-01.
local function now_iso()
  if now_text then return now_text end
  local seconds = tonumber(clock[1])
  local days = math.floor(seconds / 86400)
  local rest = seconds - days * 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  now_text = string.format('%04d-%02d-%02dT%02d:%02d:%02d.%sZ', year, month, day,
    math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60, string.sub(now_ms, -3))
  return now_text
end

local function is(key, kind)
  local found = kinds[key] or claimed[key]
  if not found then
    found = redis.call('TYPE', key).ok
    kinds[key] = found
  end
  if found == 'none' then
    found = claimed[key] or kind
    claimed[key] = found
  end
  return found == kind
end

-- As the server itself reads one: no leading zeros, no -0. Otherwise HINCRBY fails after other writes.
local function integer(text)
  return text == '0' or #text <= 16 and string.find(text, '^%-?[1-9]%d*$') and #string.gsub(text, '-', '') <= 15
end

-- What a hash says, false if it says nothing, nil if the key is something else: reading it tells its type as well.
local function field(key, name)
  local found = kinds[key] or claimed[key]
  if found == 'none' then
    found = claimed[key] or 'hash'
    claimed[key] = found
    if found == 'hash' then return false end
    return nil
  end
  if found and found ~= 'hash' then return nil end
  local value = redis.pcall('HGET', key, name)
  if type(value) == 'table' then
    if string.find(value.err, 'WRONGTYPE', 1, true) then return nil end
    error(value)
  end
  if value then kinds[key] = 'hash' else claimed[key] = 'hash' end
  return value
end

-- The same of several fields at once, in their order.
local function fields(key, names)
  local found = kinds[key] or claimed[key]
  if found == 'none' then found = claimed[key] end
  if found and found ~= 'hash' then return nil end
  local values = redis.pcall('HMGET', key, unpack(names))
  if values.err then
    if string.find(values.err, 'WRONGTYPE', 1, true) then return nil end
    error(values)
  end
  if found ~= 'hash' then claimed[key] = 'hash' end
  return values
end

local function named(key) return string.sub(key, #root + 1) end

-- Each check returns nil when the operation may be applied, else why not: 'refused' or a sentence.
-- `sums` holds what this transaction adds to and takes from counters, so that two lines of one product
-- cannot pass one by one.
local checks = {}

local function hash_check(op)
  if not is(op[2], 'hash') then return 'not a hash: ' .. named(op[2]) end
end

local function counter(op)
  local stored = field(op[2], op[3])
  if stored == nil then return nil, 'not a hash: ' .. named(op[2]) end
  stored = stored or '0'
  if not integer(stored) then return nil, 'not an integer: ' .. named(op[2]) .. ' ' .. op[3] end
  return tonumber(stored)
end

local function counter_check(op, sums, amount)
  local at = op[2] .. '\0' .. op[3]
  local sum, problem = sums[at], nil
  if not sum then
    sum, problem = counter(op)
    if problem then return problem end
  end
  sum = sum + amount
  sums[at] = sum
  sums[op[2]] = 'some'
  if amount < 0 and sum < 0 then return 'refused' end
  if sum > 999999999999999 or sum < -999999999999999 then return 'too large: ' .. named(op[2]) .. ' ' .. op[3] end
end

function checks.expect(op)
  local value = field(op[2], op[3])
  if value == nil then return 'not a hash: ' .. named(op[2]) end
  if value ~= op[4] then return 'refused' end
end

function checks.at_least(op)
  local stored, problem = counter(op)
  if problem then return problem end
  if stored < op[4] then return 'refused' end
end

function checks.increase(op, sums) return counter_check(op, sums, op[4]) end
function checks.decrease(op, sums) return counter_check(op, sums, -op[4]) end
checks.set = hash_check
checks.unset = hash_check
function checks.tally(op, sums)
  local key = op[2]
  sums[key] = 'all'
  local known, names = counted[key] or {}, {}
  for at = 1, #op[3], 2 do
    if not known[op[3][at]] then names[#names + 1] = op[3][at] end
  end
  if #names == 0 then return end
  local stored = fields(key, names)
  if not stored then return 'not a hash: ' .. named(key) end
  for at, name in ipairs(names) do
    local said = stored[at] or '0'
    if not integer(said) then return 'not an integer: ' .. named(key) .. ' ' .. name end
    known[name] = tonumber(said)
  end
  counted[key] = known
end
function checks.remove() end
function checks.expire() end
function checks.push(op)
  if not is(op[2], 'list') then return 'not a list: ' .. named(op[2]) end
end
function checks.unschedule(op)
  if not is(op[2], 'zset') then return 'not a sorted set: ' .. named(op[2]) end
end

function checks.schedule(op)
  local problem = checks.unschedule(op)
  if problem or not op[5] then return problem end
  local score = (scheduled[op[2]] or {})[op[4]]
  if score == nil then score = tonumber(redis.call('ZMSCORE', op[2], op[4])[1]) end
  if score ~= op[5] then return 'refused' end
end
function checks.append(op)
  if not is(op[2], 'stream') then return 'not a stream: ' .. named(op[2]) end
end

checks.publish = checks.append
checks.mention = checks.append

-- One entry per period, however many ask for it: the first one's instant is what the others are measured by.
function checks.keep(op)
  op[3] = root .. op[3]
  if not is(op[2], 'hash') then return 'not a hash: ' .. named(op[2]) end
  if not is(op[3], 'stream') then return 'not a stream: ' .. named(op[3]) end
  local latest = redis.call('XREVRANGE', op[3], '+', '-', 'COUNT', 1)[1]
  if latest and tonumber(string.match(latest[1], '^%d+')) >= op[4] then return 'refused' end
end

-- A counter that its own transaction also writes outright would have been checked on another value.
local function is_at_odds(op, sums)
  local key = op[2]
  local counted = sums[key]
  if not counted then return false end
  if op[1] == 'remove' then return true end
  if op[1] ~= 'set' and op[1] ~= 'unset' then return false end
  for at = 1, #op[3], op[1] == 'set' and 2 or 1 do
    if counted == 'all' or sums[key .. '\0' .. op[3][at]] then return true end
  end
  return false
end

local writes = {}

local function written(command, key, told)
  for from = 1, #told, 1000 do redis.call(command, key, unpack(told, from, math.min(from + 999, #told))) end
end

-- Before anything else is done to what was counted. What it says then is read anew if it is counted on.
local function settle(key)
  local told = {}
  for name, amount in pairs(tallies[key] or {}) do
    told[#told + 1] = name
    told[#told + 1] = string.format('%.0f', counted[key][name] + amount)
  end
  written('HSET', key, told)
  tallies[key], counted[key] = nil, nil
end

-- Members of a sorted set, all of a call in two commands: one by one they would be a fifth of them.
local function arrange(key)
  local gone, there = {}, {}
  for member, score in pairs(scheduled[key] or {}) do
    if score then
      there[#there + 1] = score
      there[#there + 1] = member
    else
      gone[#gone + 1] = member
    end
  end
  scheduled[key] = nil
  written('ZREM', key, gone)
  written('ZADD', key, there)
end

function writes.expect() end
function writes.at_least() end
function writes.increase(op)
  settle(op[2])
  kinds[op[2]] = 'hash'
  redis.call('HINCRBY', op[2], op[3], op[4])
end
function writes.decrease(op)
  settle(op[2])
  kinds[op[2]] = 'hash'
  redis.call('HINCRBY', op[2], op[3], 0 - op[4])  -- -0 would be sent as "-0", which is no integer
end
function writes.set(op)
  local key = op[2]
  settle(key)
  kinds[key] = 'hash'
  redis.call('HSET', key, unpack(op[3]))
end
function writes.unset(op)
  local key = op[2]
  settle(key)
  kinds[key] = nil
  redis.call('HDEL', key, unpack(op[3]))
end
function writes.tally(op)
  local key = op[2]
  kinds[key] = 'hash'
  local tally = tallies[key]
  if not tally then
    tally = {}
    tallies[key] = tally
  end
  local counters = op[3]
  for at = 1, #counters, 2 do
    tally[counters[at]] = (tally[counters[at]] or 0) + counters[at + 1]
  end
end
function writes.remove(op)
  kinds[op[2]] = 'none'
  tallies[op[2]], counted[op[2]], scheduled[op[2]] = nil, nil, nil
  redis.call('DEL', op[2])
end
function writes.expire(op)
  settle(op[2])
  arrange(op[2])
  redis.call('PEXPIRE', op[2], op[3])
end
function writes.push(op)
  kinds[op[2]] = 'list'
  redis.call('RPUSH', op[2], unpack(op[3]))
end
function writes.schedule(op)
  kinds[op[2]] = 'zset'
  scheduled[op[2]] = scheduled[op[2]] or {}
  scheduled[op[2]][op[4]] = op[3]
end
function writes.unschedule(op)
  if kinds[op[2]] == 'none' then return end
  scheduled[op[2]] = scheduled[op[2]] or {}
  scheduled[op[2]][op[3]] = false
end
function writes.append(op)
  kinds[op[2]] = 'stream'
  redis.call('XADD', op[2], '*', unpack(op[3]))
end

-- An event: id, source, type, subject, time, schema, saga, cause, initiator, definition, its version, trace, data.
-- One already told keeps its instant; a new one gets the server's. The order of fields is Envelope.fields().
function writes.publish(op)
  local told = op[3]
  if told[5] == '' then told[5] = now_iso() end
  kinds[op[2]] = 'stream'
  redis.call('XADD', op[2], '*', 'specversion', '1.0', 'id', told[1], 'source', told[2], 'type', told[3],
    'subject', told[4], 'datacontenttype', 'application/json', 'time', told[5], 'dataschema', told[6],
    'correlationid', told[7], 'causationid', told[8], 'partitionkey', told[7], 'initiatorid', told[9],
    'definition', told[10], 'definitionversion', told[11], 'traceparent', told[12], 'data', told[13])
end

function writes.mention(op)
  local key = op[2]
  kinds[key] = 'stream'
  mentions[key] = mentions[key] or { most = op[4] }
  table.insert(mentions[key], op[3])
end
local function write_mentions(key)
  local names = mentions[key]
  redis.call('XADD', key, 'MAXLEN', '~', names.most, '*', 'names', table.concat(names, ' '))
end

-- All of a hash as one text, since a hash of any size fits; the entry's id says when. What is older than op[5] ms goes.
function writes.keep(op)
  local key = op[2]
  settle(key)
  kinds[op[3]] = 'stream'
  local oldest = string.format('%.0f', math.max(0, tonumber(now_ms) - op[5]))
  redis.call('XADD', op[3], 'MINID', oldest, '*', 'hash', table.concat(redis.call('HGETALL', key), '\n'))
end

-- time, type, id, cause, data: what a repeated request is answered with
local function remembered_event(told)
  return table.concat({ told[5], told[3], told[1], told[8], told[13] }, '\n')
end

local function problem_in(entry, operations)
  claimed = {}
  if entry then
    entry[1] = root .. entry[1]
    local remembered = field(entry[1], entry[2])
    if remembered == nil then return 'malformed 0 not a hash: ' .. named(entry[1]) end
    local state = remembered and string.match(remembered, '^[^\n]*') or ''
    if state ~= entry[3] then return 'is ' .. state end
  end
  local sums = {}
  for at, op in ipairs(operations) do
    op[2] = root .. op[2]
    local problem = checks[op[1]](op, sums)
    if problem == 'refused' then return 'refused ' .. at end
    if problem then return 'malformed ' .. at .. ' ' .. problem end
  end
  if next(sums) then
    for at, op in ipairs(operations) do
      if is_at_odds(op, sums) then return 'malformed ' .. at .. ' writes what it counts: ' .. named(op[2]) end
    end
  end
end

local function apply(entry, operations)
  for _, op in ipairs(operations) do writes[op[1]](op) end
  if entry then
    local told = entry[5]
    if type(told) == 'number' then told = remembered_event(operations[told][3]) end
    kinds[entry[1]] = 'hash'
    redis.call('HSET', entry[1], entry[2], entry[4] .. '\n' .. told)
    redis.call('PEXPIRE', entry[1], entry[6])
  end
end

local function said_by(failure) return tostring(type(failure) == 'table' and failure.err or failure) end

local function is_unwilling(failure) return unwilling[string.match(said_by(failure), '^%-?(%u+) ')] end

-- One transaction that is ill-formed must not take the others of the call with it.
local outcomes = { now_ms }
for _, transaction in ipairs(transactions) do
  local entry, operations = transaction[1], transaction[2]
  local sound, problem = pcall(problem_in, entry, operations)
  if not sound then
    problem = 'malformed 0 ' .. said_by(problem)
  elseif not problem then
    local applied, failure = pcall(apply, entry, operations)
    if not applied then
      if is_unwilling(failure) then return { err = said_by(failure) } end
      problem = 'torn ' .. said_by(failure)
    end
  end
  outcomes[#outcomes + 1] = problem or 'ok'
end

-- What is written once per call. If it may not be written, whoever asked for it is torn.
local function conclude(write, keys)
  for key in pairs(keys) do
    local is_written, failure = pcall(write, key)
    if not is_written and is_unwilling(failure) then error(failure) end
    for at, transaction in ipairs(is_written and {} or transactions) do
      for _, op in ipairs(transaction[2]) do
        if op[2] == key and outcomes[at + 1] == 'ok' then outcomes[at + 1] = 'torn ' .. said_by(failure) end
      end
    end
  end
end

conclude(settle, tallies)
conclude(arrange, scheduled)
conclude(write_mentions, mentions)
return outcomes
