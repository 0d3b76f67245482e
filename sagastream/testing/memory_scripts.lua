-- What a script of the in-memory Redis may see, and how it is compiled and run.
-- Arguments: functions of the host. Returns: compile(source) and run(function, keys, argv).
local dispatch, unpack_blob, pack_values, sha1hex, error_text = ...

local error, type, tostring, pcall = error, type, tostring, pcall
local getinfo, xpcall, loadstring, setfenv = debug.getinfo, xpcall, loadstring, setfenv

local redis = {LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3}

-- The host answers with a value, or with the text of a status, or with that of an error.
function redis.call(...)
  local reply, status, problem = dispatch(...)
  if problem then error({err = problem}, 0) end
  return status and {ok = status} or reply
end

function redis.pcall(...)
  local reply, status, problem = dispatch(...)
  return problem and {err = problem} or status and {ok = status} or reply
end

function redis.sha1hex(text) return sha1hex(tostring(text)) end
function redis.error_reply(text) return {err = error_text(text)} end
function redis.status_reply(text) return {ok = text} end
function redis.log() end
function redis.replicate_commands() return true end

local cmsgpack = {pack = pack_values}

function cmsgpack.unpack(blob)
  local value, problem = unpack_blob(blob)
  if problem then error(problem, 0) end
  return value
end

-- The server's pcall hands an error of redis.call to the script as its text, not as the table.
local function as_text(succeeded, problem, ...)
  if not succeeded and type(problem) == 'table' and problem.err then return false, problem.err end
  return succeeded, problem, ...
end

local globals = {
  assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, loadstring = loadstring,
  next = next, pairs = pairs, pcall = function(...) return as_text(pcall(...)) end, rawequal = rawequal, rawget = rawget, rawset = rawset,
  select = select, setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type,
  unpack = unpack, xpcall = xpcall,
  coroutine = coroutine, math = math, string = string, table = table, os = {clock = os.clock},
  redis = redis, cmsgpack = cmsgpack,
}
globals._G = globals

setmetatable(globals, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
  __newindex = function() error('Attempt to modify a readonly table', 2) end,
})

local function describe(problem)
  if type(problem) == 'userdata' then return problem end
  if type(problem) ~= 'table' then problem = {err = 'ERR ' .. tostring(problem)} end
  if problem.err == nil then problem.err = 'ERR unknown error' end
  local level, place = 2, getinfo(2, 'Sl')
  while place and place.source ~= '@user_script' do
    level = level + 1
    place = getinfo(level, 'Sl')
  end
  if place then
    problem.source = place.source
    problem.line = place.currentline
  end
  return problem
end

local function compile(source)
  local chunk, problem = loadstring('local KEYS,ARGV=...; ' .. source, '@user_script')
  if chunk then setfenv(chunk, globals) end
  return chunk, problem
end

local function run(chunk, keys, argv)
  return xpcall(function() return chunk(keys, argv) end, describe)
end

return compile, run
