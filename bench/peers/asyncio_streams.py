"""Echo servers on asyncio streams: FRAMING PORT [uvloop]."""

from __future__ import annotations

import asyncio
import sys
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

LIMIT = 64 * 1024 * 1024


async def raw(reader: StreamReader) -> bytes:
    return await reader.read(65536)


async def int32(reader: StreamReader) -> bytes:
    header = await reader.readexactly(4)
    return header + await reader.readexactly(int.from_bytes(header, "big"))


async def windev(reader: StreamReader) -> bytes:
    header = await reader.readuntil(b"\r\n")
    return header + await reader.readexactly(int(header))


async def standard(reader: StreamReader) -> bytes:
    return await reader.readuntil(b"<EOF>")


async def buffered(reader: StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n")


FRAMINGS: dict[str, Callable[[StreamReader], Awaitable[bytes]]] = {
    "raw": raw,
    "int32": int32,
    "windev": windev,
    "standard": standard,
    "buffered": buffered,
}


async def main(framing: str, port: int) -> None:
    read = FRAMINGS[framing]

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while frame := await read(reader):
                writer.write(frame)
                await writer.drain()
        except (IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=LIMIT, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    coroutine = main(sys.argv[1], int(sys.argv[2]))
    if "uvloop" in sys.argv[3:]:
        import uvloop

        uvloop.run(coroutine)
    else:
        asyncio.run(coroutine)
