import sys

from sockserve import Channel, SocketServer, run


def upper(message: bytes, channel: Channel) -> bytes:
    return message.upper()


run(SocketServer("upper", sys.argv[1], "windev", upper))
