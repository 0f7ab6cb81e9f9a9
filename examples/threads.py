"""A handler that blocks: hashing each message takes a long time, so it runs in the threads of the named socket.

Each client gets its answers in the order of its messages, and other clients are served in the meantime. Threads are
for calls that block, not for connections: the reactor serves all of those, with select, poll, epoll or a completion
port, as `twistd --reactor` chooses. Run it as: python threads.py tcp:7000:interface=127.0.0.1
"""

import hashlib
import sys

from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorCore

from sockserve import Channel, SocketServer


def slow_hash(message: bytes, _: Channel) -> bytes:
    # This runs in a thread: anything it did with the channel would have to go through reactor.callFromThread.
    return hashlib.pbkdf2_hmac("sha256", message, b"salt", 100_000).hex().encode()


async def main(reactor: IReactorCore, endpoint: str) -> None:
    server = SocketServer("hashes", endpoint, "buffered", slow_hash, threads=True, max_pending=10, reactor=reactor)
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    print("listens on", server.ports[0].getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
