"""The first question to Redis, before anything is started: whether the stream can be read and written, and its end.

It blocks, because no reactor runs yet: for a few seconds at most.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, BinaryIO

from sockserve.redis.commands import ENDLESS, Argument, Unavailable, read_command, trim_command
from sockserve.text import printable, reason_of

if TYPE_CHECKING:
    from sockserve.redis.address import RedisAddress

TIMEOUT = 3.0
"""Seconds for each step."""


def probe(address: RedisAddress, key: str) -> tuple[int, str]:
    """How many entries the stream ever had, and the id of its last one. Raises Unavailable."""
    try:
        with _connected(address) as connection, connection.makefile("rb") as replies:
            for command in (*address.greeting, trim_command(key, address.maxlen)):
                ask(connection, replies, command)
            reply = ask(connection, replies, read_command(key, ENDLESS, 0, 0))
    except (OSError, ValueError) as error:
        # An error of TLS has more in its strerror than in its arguments; a timeout has none.
        raise Unavailable(reason_of(error)) from None
    match reply:
        case [int(added), _, _, bytes(last)]:
            return added, last.decode()
    raise Unavailable(f"this is no answer of Redis: {printable(repr(reply))}")


def _connected(address: RedisAddress) -> socket.socket:
    if address.path:
        connection = socket.socket(socket.AF_UNIX)
    else:
        connection = socket.create_connection((address.host, address.port), TIMEOUT)
    try:
        if address.path:
            connection.settimeout(TIMEOUT)
            connection.connect(address.path)
        if address.tls is not None:
            connection = address.tls.wrap_socket(connection, server_hostname=address.host)
    except BaseException:
        connection.close()
        raise
    return connection


def ask(connection: socket.socket, replies: BinaryIO, command: tuple[Argument, ...]) -> object:
    """The answer to a command. Raises Unavailable for an error."""
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    wire = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    connection.sendall(b"*%d\r\n%s" % (len(parts), wire))
    return _reply(replies)


def _reply(replies: BinaryIO) -> object:
    """One reply, as Redis writes it. Raises Unavailable for an error, ValueError for what is no reply."""
    line = replies.readline(4096)
    kind, rest = line[:1], line[1:].strip()
    match kind:
        case b"":
            raise Unavailable("it has closed the connection")
        case b"-":
            raise Unavailable(printable(rest.removeprefix(b"ERR ")))
        case b"+":
            return rest
        case b":":
            return int(rest)
        case b"$" if int(rest) >= 0:
            return replies.read(int(rest) + 2)[:-2]
        case b"*" if int(rest) >= 0:
            return [_reply(replies) for _ in range(int(rest))]
    raise ValueError(f"this is no answer of Redis: {printable(line)}")
