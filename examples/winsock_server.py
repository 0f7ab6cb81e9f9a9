"""The server of the Winsock sample, step by step, with the function that the sample calls next to each step.

It echoes to one client and ends. It prints what the sample prints. The sample's own client works with it, and so does
winsock_client.py. Run it as: python winsock_server.py tcp:27015:interface=127.0.0.1
"""

import sys

from twisted.internet import defer, task

from sockserve import Channel, SocketServer


async def main(reactor: object, endpoint: str) -> None:
    served: defer.Deferred[None] = defer.Deferred()

    async def talk(channel: Channel) -> None:
        # accept has returned: this is the client's socket.
        async for data in channel:  # recv, until it returns 0
            print("Bytes received:", len(data), flush=True)
            await channel.write(data)  # send, all of it; the sample does not check that everything was sent
            print("Bytes sent:", len(data), flush=True)
        print("Connection closing...", flush=True)
        channel.end()  # shutdown(ClientSocket, SD_SEND)
        channel.close()  # closesocket(ClientSocket)
        served.callback(None)

    # getaddrinfo and socket; raw:512 is recvbuf[DEFAULT_BUFLEN]. The sample closes its listening socket as soon as a
    # client has connected; here, a second client is refused.
    server = SocketServer(
        "echo", endpoint, "raw:512", conversation=talk, max_connections=1, when_full="refuse", reactor=reactor
    )
    server.startService()  # bind and listen
    print("listens on", server.ports[0].getHost(), flush=True)
    await served
    await server.stopService()  # closesocket(ListenSocket), once everything has been sent


task.react(main, sys.argv[1:])
