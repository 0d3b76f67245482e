-- Deletes a consumer that has been silent, unless it still has pending entries: they would be lost for ever.
--
-- KEYS[1] stream, ARGV[1] group, ARGV[2] consumer, ARGV[3] how long it must have been silent, in ms
-- reply   1 if it was deleted, else 0

for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local about = {}
  for at = 1, #consumer, 2 do about[consumer[at]] = consumer[at + 1] end
  if about.name == ARGV[2] and about.pending == 0 and about.idle >= tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
    return 1
  end
end
return 0
