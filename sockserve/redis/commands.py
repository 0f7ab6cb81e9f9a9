"""What is asked of Redis: two scripts, so that what belongs together is done or told at once; and what goes wrong.

An entry of the stream is one message: a field ORIGIN:NUMBER, which says whose message it is and which of them, and the
message. Entries that other programs add may have other fields; each value is a message then too.
"""

from __future__ import annotations

ENDLESS = "0-0"
"""The position before all entries."""

LONGEST = 512 * 1024 * 1024
"""Bytes that a message can have (proto-max-bulk-len)."""

READ_BYTES = 1024 * 1024
READ_COUNT = 500
"""How much is read at once, in bytes and entries."""

# KEYS: the stream. ARGV: the last id that was read, how many entries at most, and bytes.
# Returns how many entries were ever added, how many there are, the ids of the first of these and of the last that was
# added, and then, for each message, its id, field and value. XREAD alone cannot bound what it returns in bytes, and
# does not say what is missing.
READ = """\
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0, '0-0', '0-0'} end
local told, about = redis.call('XINFO', 'STREAM', KEYS[1]), {}
for i = 1, #told, 2 do about[told[i]] = told[i + 1] end
if not about['entries-added'] then return redis.error_reply('ERR it needs Redis 7 or newer, or Valkey') end
local first = about['first-entry']
local reply = {about['entries-added'], about['length'], first and first[1] or '0-0', about['last-generated-id']}
local after, room = ARGV[1], tonumber(ARGV[3])
for _ = 1, tonumber(ARGV[2]) do
  local entry = redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', 1)[1]
  if not entry or room <= 0 then break end
  after = entry[1]
  for i = 1, #entry[2], 2 do
    reply[#reply + 1] = after
    reply[#reply + 1] = entry[2][i]
    reply[#reply + 1] = entry[2][i + 1]
    room = room - #entry[2][i + 1]
  end
end
return reply
"""

# KEYS: the stream. ARGV: how many entries are kept, then a field and a value for each message. Returns the last id.
ADD = """\
local id
for i = 2, #ARGV, 2 do id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', ARGV[i], ARGV[i + 1]) end
return id
"""

Argument = str | bytes | int


class Unavailable(Exception):
    """Redis cannot be reached, does not answer, or refuses a command. str() is one line."""


def read_command(key: str, position: str, count: int, size: int) -> tuple[Argument, ...]:
    """Read at most `count` entries after the position, of which all but the last have at most `size` bytes."""
    return ("EVAL", READ, 1, key, position, count, size)


def add_command(key: str, maxlen: int, pairs: list[bytes]) -> tuple[Argument, ...]:
    """Add messages: all of them, or none. pairs: the field and the value of each."""
    return ("EVAL", ADD, 1, key, maxlen, *pairs)


def wait_command(key: str, position: str, seconds: float) -> tuple[Argument, ...]:
    """Wait until there is an entry after the position, at most so long."""
    return ("XREAD", "COUNT", 1, "BLOCK", round(seconds * 1000), "STREAMS", key, position)


def trim_command(key: str, maxlen: int) -> tuple[Argument, ...]:
    """Change nothing that an added entry would not; shows whether this may be written."""
    return ("XTRIM", key, "MAXLEN", "~", maxlen)
