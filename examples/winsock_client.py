"""The client of the Winsock sample, step by step, with the function that the sample calls next to each step.

It prints what the sample prints. It works with the sample's own server, with winsock_server.py and with
`twistd -n sockserve`. Run it as: python winsock_client.py tcp:localhost:27015
"""

import sys

from twisted.internet import error, task

from sockserve import connect, disconnect


async def main(reactor: object, endpoint: str) -> None:
    try:
        # getaddrinfo, then socket and connect for each address until one answers
        channel = await connect(endpoint, "raw:512", reactor=reactor)
    except (error.ConnectError, error.DNSLookupError):
        sys.exit("Unable to connect to server!")
    message = b"this is a test"
    await channel.write(message)  # send
    print("Bytes Sent:", len(message))
    channel.end()  # shutdown(ConnectSocket, SD_SEND): no more from us, but we go on reading
    async for data in channel:  # recv, until it returns 0
        print("Bytes received:", len(data))
    print("Connection closed")
    await disconnect(channel)  # closesocket(ConnectSocket)


task.react(main, sys.argv[1:])
