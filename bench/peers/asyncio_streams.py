"""Echo servers on asyncio streams: FRAMING PORT [PEM]. LOOP=uvloop in the environment."""

from __future__ import annotations

import asyncio
import os
import ssl
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


async def main(framing: str, port: int, pem: str | None) -> None:
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

    context = None
    if pem:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pem)
    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=LIMIT, backlog=1024, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    framing, port, *pem = sys.argv[1:]
    coroutine = main(framing, int(port), pem[0] if pem else None)
    if os.environ.get("LOOP") == "uvloop":
        import uvloop

        uvloop.run(coroutine)
    else:
        asyncio.run(coroutine)
