-- Applies a list of transactions in one call, each of them wholly or not at all.
--
-- KEYS[1]  root of the owner; every key below is <root>:<name>, so all share one slot
-- ARGV[1]  flat msgpack array: the number of transactions, then the values of each transaction in turn
-- transaction number of values that follow, entry, operations
-- entry       ledger name, handler, expected state, next state, what to remember, life in ms; or only false
--             what to remember: a string, or the number of operation values before the operation whose event it is
-- operation   kind, key, number of values that follow, values
-- reply       { server time ms, outcome, ... }, one outcome per transaction:
--             "ok" | "is <state>" (not the expected ledger state) | "refused <n>" (guard n) | "malformed <n> <why>"
--             | "torn <why>" (a write failed half way: only an access rule that forbids the write can cause that)
--
-- Redis does not roll back: everything is checked before anything is written, so that no write can fail on its data.
-- A server that accepts no writes at all refuses the first write of the call, and so the whole call.
-- No JSON, no money: opaque strings, and integers of at most 15 digits. Values that are only passed on to a command
-- come as text, numbers too. Values stay in the flat array and are referred to by position: a table per operation would
-- cost as much as the operation itself.
--
-- The file is long because the server takes a script as one text: each operation has a check and a write here.

local root = KEYS[1] .. ':'
local values = cmsgpack.unpack(ARGV[1])
local call, try, unpack, type = redis.call, redis.pcall, unpack, type
local clock = call('TIME')
local now_ms = clock[1] .. string.format('%03d', math.floor(tonumber(clock[2]) / 1000))

local kinds = {}  -- key → type, cached for the call: no other client writes meanwhile
local claimed = {}  -- key → type that this transaction gives to a key that does not exist yet
local sums = {}  -- key and counter → its value after this transaction; key → which of its counters are counted
local counted = {}  -- key → counter → its value before any tally of this call
local tallies = {}  -- key → counter → amount to add, written once per call
local scheduled = {}  -- sorted set → member → its score, false once removed; written once per call
local mentions = {}  -- capped stream → names mentioned in it, written once per call as one entry
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
    found = call('TYPE', key).ok
    kinds[key] = found
  end
  if found == 'none' then
    found = claimed[key] or kind
    claimed[key] = found
  end
  return found == kind
end

-- The server's own syntax of integers: no leading zeros, no -0. Otherwise HINCRBY would fail after other writes.
local function integer(text)
  return text == '0' or string.find(text, '^%-?[1-9]%d*$') and #string.gsub(text, '-', '') <= 15
end

-- Returns a hash's field, false if it is absent, nil if the key is no hash: reading also finds out the key's type.
local function field(key, name)
  local found = kinds[key] or claimed[key]
  if found == 'none' then
    found = claimed[key] or 'hash'
    claimed[key] = found
    if found == 'hash' then return false end
  end
  if found and found ~= 'hash' then return nil end
  local value = try('HGET', key, name)
  if type(value) == 'table' then
    if string.find(value.err, 'WRONGTYPE', 1, true) then return nil end
    error(value)
  end
  if value then kinds[key] = 'hash' else claimed[key] = 'hash' end
  return value
end

-- Does the same for several fields at once, in their order.
local function fields(key, names)
  local found = kinds[key] or claimed[key]
  if found == 'none' then found = claimed[key] end
  if found and found ~= 'hash' then return nil end
  local said = try('HMGET', key, unpack(names))
  if said.err then
    if string.find(said.err, 'WRONGTYPE', 1, true) then return nil end
    error(said)
  end
  if found ~= 'hash' then claimed[key] = 'hash' end
  return said
end

local function named(key) return string.sub(key, #root + 1) end

-- Each check returns nil if the operation may be applied, else the reason: 'refused' or a sentence.
-- It takes the positions of the operation's first and last value.
local checks = {}

local function hash_check(key)
  if not is(key, 'hash') then return 'not a hash: ' .. named(key) end
end

local function counter(key, name)
  local stored = field(key, name)
  if stored == nil then return nil, 'not a hash: ' .. named(key) end
  stored = stored or '0'
  if not integer(stored) then return nil, 'not an integer: ' .. named(key) .. ' ' .. name end
  return tonumber(stored)
end

-- Sums amounts over the transaction, so that two lines of one product cannot pass the guard one by one.
local function counter_check(key, from)
  local name, amount = values[from], tonumber(values[from + 1])
  local at = key .. '\0' .. name
  local sum, problem = sums[at], nil
  if not sum then
    sum, problem = counter(key, name)
    if problem then return problem end
  end
  sum = sum + amount
  sums[at] = sum
  sums[key] = sums[key] or 'some'
  if amount < 0 and sum < 0 then return 'refused' end
  if sum > 999999999999999 then return 'too large: ' .. named(key) .. ' ' .. name end
end

function checks.expect(key, from)
  local value = field(key, values[from])
  if value == nil then return 'not a hash: ' .. named(key) end
  if value ~= values[from + 1] then return 'refused' end
end

function checks.at_least(key, from)
  local stored, problem = counter(key, values[from])
  if problem then return problem end
  if stored < values[from + 1] then return 'refused' end
end

checks.increase = counter_check
checks.decrease = counter_check
checks.set = hash_check
checks.unset = hash_check
function checks.tally(key, from, to)
  sums[key] = 'all'
  local known, names = counted[key] or {}, {}
  for at = from, to, 2 do
    if not known[values[at]] then names[#names + 1] = values[at] end
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
function checks.push(key)
  if not is(key, 'list') then return 'not a list: ' .. named(key) end
end
function checks.unschedule(key)
  if not is(key, 'zset') then return 'not a sorted set: ' .. named(key) end
end

-- Values: the member, its score, and, if the operation is a guard, the score that the member must have had until now.
function checks.schedule(key, from, to)
  local problem = checks.unschedule(key)
  if problem or to < from + 2 then return problem end
  local member = values[from]
  local score = (scheduled[key] or {})[member]
  if score == nil then score = call('ZMSCORE', key, member)[1] end
  if tonumber(score) ~= tonumber(values[from + 2]) then return 'refused' end
end
function checks.append(key)
  if not is(key, 'stream') then return 'not a stream: ' .. named(key) end
end

checks.publish = checks.append
checks.mention = checks.append

-- Allows one entry per period, however many transactions want it: the first one's instant decides about the others.
function checks.keep(key, from)
  local stream = root .. values[from]
  values[from] = stream
  if not is(key, 'hash') then return 'not a hash: ' .. named(key) end
  if not is(stream, 'stream') then return 'not a stream: ' .. named(stream) end
  local latest = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  if latest and tonumber(string.match(latest[1], '^%d+')) >= tonumber(values[from + 1]) then return 'refused' end
end

-- If a transaction also writes its own counter outright, the counter was checked against a wrong value.
local function is_at_odds(what, key, from, to)
  if what == 'remove' then return true end
  if what ~= 'set' and what ~= 'unset' then return false end
  for at = from, to, what == 'set' and 2 or 1 do
    if sums[key] == 'all' or sums[key .. '\0' .. values[at]] then return true end
  end
  return false
end

local writes = {}

local function written(command, key, told)
  for from = 1, #told, 1000 do call(command, key, unpack(told, from, math.min(from + 999, #told))) end
end

-- Writes a key's tallies before any other operation on that key. A later tally reads the counters again.
local function settle(key)
  local tally = tallies[key]
  if tally then
    local told = {}
    for name, amount in pairs(tally) do
      told[#told + 1] = name
      told[#told + 1] = string.format('%.0f', counted[key][name] + amount)
    end
    written('HSET', key, told)
    tallies[key] = nil
  end
  counted[key] = nil
end

-- Writes all of a call's members of a sorted set in two commands: one by one they would be a fifth of all commands.
local function arrange(key)
  local members = scheduled[key]
  if not members then return end
  local gone, there = {}, {}
  for member, score in pairs(members) do
    if score then
      there[#there + 1] = score
      there[#there + 1] = member
    else
      gone[#gone + 1] = member
    end
  end
  written('ZREM', key, gone)
  written('ZADD', key, there)
  scheduled[key] = nil
end

local function write_mentions(key)
  local names = mentions[key]
  if not names then return end
  call('XADD', key, 'MAXLEN', '~', names.most, '*', 'names', table.concat(names, ' '))
  mentions[key] = nil
end

-- Returns the scores of a sorted set's members that are yet to be written.
local function members_of(key)
  local members = scheduled[key]
  if not members then
    members = {}
    scheduled[key] = members
  end
  return members
end

function writes.expect() end
function writes.at_least() end
function writes.increase(key, from)
  settle(key)
  kinds[key] = 'hash'
  call('HINCRBY', key, values[from], values[from + 1])
end
writes.decrease = writes.increase
function writes.set(key, from, to)
  settle(key)
  kinds[key] = 'hash'
  call('HSET', key, unpack(values, from, to))
end
function writes.unset(key, from, to)
  settle(key)
  kinds[key] = nil
  call('HDEL', key, unpack(values, from, to))
end
function writes.tally(key, from, to)
  kinds[key] = 'hash'
  local tally = tallies[key]
  if not tally then
    tally = {}
    tallies[key] = tally
  end
  for at = from, to, 2 do
    local name = values[at]
    local known = counted[key]
    if not known or not known[name] then checks.tally(key, from, to) end  -- an earlier operation has settled it
    tally[name] = (tally[name] or 0) + values[at + 1]
  end
end
function writes.remove(key)
  kinds[key] = 'none'
  tallies[key], counted[key], scheduled[key], mentions[key] = nil, nil, nil, nil
  call('DEL', key)
end
function writes.expire(key, from)
  settle(key)
  arrange(key)
  write_mentions(key)
  call('PEXPIRE', key, values[from])
end
function writes.push(key, from, to)
  kinds[key] = 'list'
  call('RPUSH', key, unpack(values, from, to))
end
function writes.schedule(key, from)
  kinds[key] = 'zset'
  members_of(key)[values[from]] = values[from + 1]
end
function writes.unschedule(key, from)
  if kinds[key] == 'none' then return end
  members_of(key)[values[from]] = false
end
function writes.append(key, from, to)
  kinds[key] = 'stream'
  call('XADD', key, '*', unpack(values, from, to))
end

-- An event's values are those of Envelope.told(), the order of fields is that of Envelope.fields().
-- An event published before keeps its instant; a new one gets the server's time.
function writes.publish(key, from, to)
  if values[from + 4] == '' then values[from + 4] = now_iso() end
  local id, source, kind, subject, time, schema, saga, cause, initiator, definition, version, trace, data =
    unpack(values, from, to)
  kinds[key] = 'stream'
  call('XADD', key, '*', 'specversion', '1.0', 'id', id, 'source', source, 'type', kind,
    'subject', subject, 'datacontenttype', 'application/json', 'time', time, 'dataschema', schema,
    'correlationid', saga, 'causationid', cause, 'partitionkey', saga, 'initiatorid', initiator,
    'definition', definition, 'definitionversion', version, 'traceparent', trace, 'data', data)
end

function writes.mention(key, from)
  kinds[key] = 'stream'
  local names = mentions[key]
  if not names then
    names = { most = values[from + 1] }
    mentions[key] = names
  end
  names[#names + 1] = values[from]
end

-- Copies the hash as one text, because that fits at any size; the entry's id is the instant. Drops expired entries.
function writes.keep(key, from)
  settle(key)
  local stream, life_ms = values[from], values[from + 2]
  kinds[stream] = 'stream'
  local oldest = string.format('%.0f', math.max(0, tonumber(now_ms) - life_ms))
  call('XADD', stream, 'MINID', oldest, '*', 'hash', table.concat(call('HGETALL', key), '\n'))
end

-- Returns why the transaction with its entry and operations at these positions cannot be applied, nil if it can.
local function problem_in(entry, first, last)
  claimed, sums = {}, {}
  if values[entry] then
    local ledger = root .. values[entry]
    values[entry] = ledger
    local stands = field(ledger, values[entry + 1])
    if stands == nil then return 'malformed 0 not a hash: ' .. named(ledger) end
    local state = stands and string.match(stands, '^[^\n]*') or ''
    if state ~= values[entry + 2] then return 'is ' .. state end
    local remembers = values[entry + 4]
    if type(remembers) == 'number' and values[first + remembers] ~= 'publish' then
      return 'malformed 0 what is remembered is no event'
    end
  end
  local at, number = first, 0
  while at <= last do
    local key, to = root .. values[at + 1], at + 2 + values[at + 2]
    values[at + 1] = key
    number = number + 1
    local problem = checks[values[at]](key, at + 3, to)
    if problem == 'refused' then return 'refused ' .. number end
    if problem then return 'malformed ' .. number .. ' ' .. problem end
    at = to + 1
  end
  if not next(sums) then return end
  at, number = first, 0
  while at <= last do
    local key, to = values[at + 1], at + 2 + values[at + 2]
    number = number + 1
    if sums[key] and is_at_odds(values[at], key, at + 3, to) then
      return 'malformed ' .. number .. ' writes what it counts: ' .. named(key)
    end
    at = to + 1
  end
end

-- Returns the ledger's text for answering repeated requests: state, then what to remember; of an event its time, type,
-- id, cause and data.
local function ledger_says(state, remembers, first)
  if type(remembers) == 'string' then return state .. '\n' .. remembers end
  local event = first + remembers + 3
  return state .. '\n' .. values[event + 4] .. '\n' .. values[event + 2] .. '\n' .. values[event] .. '\n'
    .. values[event + 7] .. '\n' .. values[event + 12]
end

local function apply(entry, first, last)
  local at = first
  while at <= last do
    local to = at + 2 + values[at + 2]
    writes[values[at]](values[at + 1], at + 3, to)
    at = to + 1
  end
  local ledger, handler, _, becomes, remembers, life_ms = unpack(values, entry, entry + 5)
  if ledger then
    kinds[ledger] = 'hash'
    call('HSET', ledger, handler, ledger_says(becomes, remembers, first))
    call('PEXPIRE', ledger, life_ms)
  end
end

local function said_by(failure) return tostring(type(failure) == 'table' and failure.err or failure) end

local function is_unwilling(failure) return unwilling[string.match(said_by(failure), '^%-?(%u+) ')] end

-- Returns the positions of the entry, the first operation and the last value of the transaction at a position.
local function parts(at)
  local entry = at + 1
  return entry, values[entry] and entry + 6 or entry + 1, at + values[at]
end

-- An ill-formed transaction must not make the others of the call fail.
local outcomes = { now_ms }
local at = 2
for transaction = 1, values[1] do
  local entry, first, last = parts(at)
  local sound, problem = pcall(problem_in, entry, first, last)
  if not sound then
    problem = 'malformed 0 ' .. said_by(problem)
  elseif not problem then
    local applied, failure = pcall(apply, entry, first, last)
    if not applied then
      if is_unwilling(failure) then return { err = said_by(failure) } end
      problem = 'torn ' .. said_by(failure)
    end
  end
  outcomes[transaction + 1] = problem or 'ok'
  at = last + 1
end

-- Marks as torn each transaction with an operation on a key that could not be written at the end.
local function tear(torn, failure)
  local at = 2
  for transaction = 1, values[1] do
    local _, operation, last = parts(at)
    while outcomes[transaction + 1] == 'ok' and operation <= last do
      if values[operation + 1] == torn then outcomes[transaction + 1] = 'torn ' .. said_by(failure) end
      operation = operation + 3 + values[operation + 2]
    end
    at = last + 1
  end
end

-- Writes what is written once per call. If a write is forbidden, its transactions are torn. If the server accepts no
-- writes at all, returns its error.
local function conclude(write, keys)
  for key in pairs(keys) do
    local is_written, failure = pcall(write, key)
    if not is_written then
      if is_unwilling(failure) then return { err = said_by(failure) } end
      tear(key, failure)
    end
  end
end

return conclude(settle, tallies) or conclude(arrange, scheduled) or conclude(write_mentions, mentions) or outcomes
