"""Echo servers on asyncio.Protocol, with the answers to one read in one write: echo|relay FRAMING PORT [PEM].

LOOP=uvloop in the environment. `relay` has only int32.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from typing import cast


class Raw(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Framed(Raw):
    """Keeps what is unfinished; `frames` takes whole frames out of it."""

    def __init__(self) -> None:
        self.held = bytearray()

    def data_received(self, data: bytes) -> None:
        self.held += data
        answers = self.frames()
        if answers:
            self.transport.writelines(answers)

    def frames(self) -> list[bytes]:
        raise NotImplementedError


class Int32(Framed):
    def frames(self) -> list[bytes]:
        held = self.held
        found: list[bytes] = []
        start = 0
        while len(held) - start >= 4:
            stop = start + 4 + int.from_bytes(held[start : start + 4], "big")
            if stop > len(held):
                break
            found.append(bytes(held[start:stop]))
            start = stop
        del held[:start]
        return found


class Windev(Framed):
    def frames(self) -> list[bytes]:
        held = self.held
        found: list[bytes] = []
        start = 0
        while (mark := held.find(b"\r\n", start, start + 12)) >= 0:
            stop = mark + 2 + int(held[start:mark])
            if stop > len(held):
                break
            found.append(bytes(held[start:stop]))
            start = stop
        del held[:start]
        return found


class Buffered(Framed):
    delimiter = b"\r\n"
    searched = 0

    def frames(self) -> list[bytes]:
        held = self.held
        found: list[bytes] = []
        start = 0
        size = len(self.delimiter)
        while (mark := held.find(self.delimiter, max(start, self.searched))) >= 0:
            found.append(bytes(held[start : mark + size]))
            start = mark + size
        del held[:start]
        self.searched = max(0, len(held) - size + 1)
        return found


class Standard(Buffered):
    delimiter = b"<EOF>"


class Relay(Int32):
    """Sends each message of a client to all other clients."""

    clients: set[Relay] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.clients.add(self)

    def data_received(self, data: bytes) -> None:
        self.held += data
        for frame in self.frames():
            for client in self.clients:
                if client is not self:
                    client.transport.write(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self.clients.discard(self)


PROTOCOLS: dict[str, type[Raw]] = {
    "raw": Raw,
    "int32": Int32,
    "windev": Windev,
    "standard": Standard,
    "buffered": Buffered,
}


async def main(kind: str, framing: str, port: int, pem: str | None) -> None:
    context = None
    if pem:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pem)
    protocol = Relay if kind == "relay" else PROTOCOLS[framing]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", port, backlog=1024, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    kind, framing, port, *pem = sys.argv[1:]
    coroutine = main(kind, framing, int(port), pem[0] if pem else None)
    if os.environ.get("LOOP") == "uvloop":
        import uvloop

        uvloop.run(coroutine)
    else:
        asyncio.run(coroutine)
