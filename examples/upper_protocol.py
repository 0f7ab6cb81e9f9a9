import sys

from twisted.internet import defer, endpoints, task

from sockserve import MessageFactory, MessageProtocol


class Upper(MessageProtocol):
    def messageReceived(self, message: bytes) -> None:
        self.sendMessage(message.upper())


async def main(reactor: object, endpoint: str) -> None:
    port = await endpoints.serverFromString(reactor, endpoint).listen(MessageFactory("windev", Upper))
    print("listens on", port.getHost(), flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
