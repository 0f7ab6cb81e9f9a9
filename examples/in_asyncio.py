"""A named socket in an asyncio program, on its event loop.

python in_asyncio.py tcp:7000:interface=127.0.0.1
"""

import asyncio
import signal
import sys

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.main import installReactor

from sockserve import Channel, SocketServer


async def upper(message: bytes, channel: Channel) -> bytes:
    # Anything of asyncio's can be awaited here.
    await asyncio.sleep(0.01)
    return message.upper()


async def main(listen: str) -> None:
    loop = asyncio.get_running_loop()
    # Twisted's reactor works on this loop from now on. It must be installed before anything uses a reactor.
    reactor = AsyncioSelectorReactor(loop)
    installReactor(reactor)
    reactor.startRunning(installSignalHandlers=False)
    server = SocketServer("upper", listen, "windev", upper)
    server.startService()
    print("listens on", server.ports[0].getHost(), flush=True)
    # Here the program does its own work.
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    # The clients get what they are owed.
    await server.stopService().asFuture(loop)


asyncio.run(main(sys.argv[1]))
