"""Echo servers as users of sockserve write them: KIND FRAMING PORT [PEM].

REACTOR=asyncio or REACTOR=uvloop in the environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

if os.environ.get("REACTOR") == "asyncio":
    from twisted.internet import asyncioreactor

    asyncioreactor.install()
elif os.environ.get("REACTOR") == "uvloop":
    from sockserve.reactor import install

    install()

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint

from sockserve import Channel, MessageFactory, MessageProtocol, SocketServer
from sockserve.framing import parse

LIMIT = 64 * 1024 * 1024


class Answer(MessageProtocol):
    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(message)


def function(message: bytes, _: Channel) -> bytes:
    return message


async def coroutine(message: bytes, _: Channel) -> bytes:
    return message


async def conversation(channel: Channel) -> None:
    async for message in channel:
        await channel.write(message)


# KIND: how SocketServer is told to answer.
ANSWERS: dict[str, dict[str, object]] = {
    "subclass": {"handler": Answer},
    "function": {"handler": function},
    "async": {"handler": coroutine},
    "conversation": {"conversation": conversation},
    "threads": {"handler": function, "threads": True},
    "relay": {"handler": "relay"},
}


def serve(kind: str, framing: str, port: int, pem: str | None) -> None:
    if kind == "subclass" and not pem:
        # The way of other Twisted applications: a factory, and no limits around it.
        factory = MessageFactory(parse(framing, max_length=LIMIT), Answer)
        TCP4ServerEndpoint(reactor, port, backlog=1024, interface="127.0.0.1").listen(factory)
        return
    endpoint = f"tcp:{port}:interface=127.0.0.1:backlog=1024"
    tls = {"tls": {"certificate": pem}} if pem else {}
    make: Callable[..., SocketServer] = SocketServer
    make("echo", endpoint, framing, max_length=LIMIT, **ANSWERS[kind], **tls).startService()


if __name__ == "__main__":
    kind, framing, port, *pem = sys.argv[1:]
    serve(kind, framing, int(port), pem[0] if pem else None)
    reactor.run()
