"""A client that reconnects: it prints what a server says, and connects again whenever the connection is lost.

The time between attempts grows from a second to a minute. In a twistd application, the service would have a parent
that starts and stops it. Run it as: python reconnecting_client.py tcp:localhost:7000
"""

import sys

from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorCore

from sockserve import Channel, reconnecting


async def talk(channel: Channel) -> None:
    await channel.write(b"here I am")
    async for message in channel:
        print(message.decode(), flush=True)


async def main(reactor: IReactorCore, endpoint: str) -> None:
    service = reconnecting(endpoint, "windev", talk, reactor=reactor)
    service.startService()
    # What is owed is sent before the program ends.
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    await defer.Deferred()


task.react(main, sys.argv[1:])
