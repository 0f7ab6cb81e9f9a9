"""Echo servers on asyncio.Protocol, with the answers to one read in one write: FRAMING PORT [uvloop]."""

from __future__ import annotations

import asyncio
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


PROTOCOLS: dict[str, type[Raw]] = {
    "raw": Raw,
    "int32": Int32,
    "windev": Windev,
    "standard": Standard,
    "buffered": Buffered,
}


async def main(framing: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(PROTOCOLS[framing], "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    coroutine = main(sys.argv[1], int(sys.argv[2]))
    if "uvloop" in sys.argv[3:]:
        import uvloop

        uvloop.run(coroutine)
    else:
        asyncio.run(coroutine)
