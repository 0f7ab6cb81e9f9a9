"""A client like those of WINDEV, with the WLanguage function next to each step, and every way a read can end.

It sends each argument after the endpoint, and prints the answers. Run it as:
python windev_client.py tcp:localhost:27015 "Hello World"
or over TLS, as SocketConnectSSL does: python windev_client.py tls:example.org:27015 "Hello World"
"""

import sys

from twisted.internet import error, task

from sockserve import connect, disconnect
from sockserve.connection.channel import ChannelClosed, ReadTimeout
from sockserve.framing.errors import TruncatedMessage


async def main(reactor: object, endpoint: str, *requests: str) -> None:
    channel = await connect(endpoint, "windev", timeout=5, reactor=reactor)  # SocketConnect, or SocketConnectSSL
    for request in requests:
        try:
            await channel.write(request.encode())  # SocketWrite
            answer = await channel.read(timeout=1)  # SocketRead(name, False, 1000)
        # WLanguage returns an empty string for each of these, and for an empty message as well.
        except ReadTimeout:
            print("no answer yet")
        except ChannelClosed:
            print("the server has closed")
            break
        except TruncatedMessage as problem:
            print("an unfinished answer:", problem)
        except error.ConnectionLost:
            print("the connection is lost")
            break
        else:
            print(answer.decode())
    await disconnect(channel)  # SocketClose, after everything that was written has arrived


task.react(main, sys.argv[1:])
