/*
 * Each write has one key and three arguments: the head that the entry must have (see redis-entry.ts; empty: absent), the
 * new entry (empty: delete), and when it is over in milliseconds since 1970 (empty: never).
 */

const apply = `
local function matches(i)
  return redis.call('GETRANGE', KEYS[i], 0, 7) == ARGV[3 * i - 2]
end
local function apply(i)
  local entry, expires = ARGV[3 * i - 1], ARGV[3 * i]
  if entry == '' then redis.call('DEL', KEYS[i])
  elseif expires == '' then redis.call('SET', KEYS[i], entry)
  else redis.call('SET', KEYS[i], entry, 'PXAT', expires) end
end`;

/** Applies each write whose entry has the expected version. Answers 1 or 0 for each. */
export const compareAndSetScript = `${apply}
local applied = {}
for i = 1, #KEYS do
  if matches(i) then apply(i) applied[i] = 1 else applied[i] = 0 end
end
return applied`;

/** Applies all writes or none. Answers 1 or 0. */
export const transactScript = `${apply}
for i = 1, #KEYS do
  if not matches(i) then return 0 end
end
for i = 1, #KEYS do apply(i) end
return 1`;
