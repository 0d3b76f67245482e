-- Returns the same fields of several hashes in one reply: parsing two hundred replies costs a client more than parsing
-- their content.
--
-- KEYS[1] root of the owner
-- ARGV[1] how many fields, then these fields, then the names of the hashes below the root
-- reply   one list of values per name, or the error as a text

local count = tonumber(ARGV[1])
local fields = {}
for at = 1, count do fields[at] = ARGV[at + 1] end
local found = {}
for at = count + 2, #ARGV do
  local values = redis.pcall('HMGET', KEYS[1] .. ':' .. ARGV[at], unpack(fields))
  found[#found + 1] = values.err or values
end
return found
