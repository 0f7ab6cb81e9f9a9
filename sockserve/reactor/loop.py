"""Twisted's asyncio reactor on a uvloop loop, with transports that read and wait through uvloop's streams."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

try:
    import uvloop
except ImportError as error:
    # twistd and trial show it in a line of theirs.
    raise ImportError(
        "uvloop is not installed: pip install 'sockserve[uvloop]', on Linux or macOS with CPython", name="uvloop"
    ) from error

from twisted.internet import tcp, unix
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.error import UnsupportedAddressFamily
from twisted.internet.main import installReactor
from twisted.internet.process import reapAllProcesses
from twisted.python import context, log
from twisted.python.log import ILogContext

from sockserve.reactor.streams import Client, Server, Stream, UnixClient, UnixServer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IConnector, IListeningPort, IProtocolFactory
    from twisted.internet.protocol import ClientFactory, P


class UvloopReactor(AsyncioSelectorReactor):
    """A reactor that runs a uvloop loop.

    Its TCP and unix connections, those that were adopted included, are streams of the loop. All else is as with
    Twisted's asyncio reactor: listening ports, UDP, processes, threads, signals, other readers and writers.

    loop: the loop. serving: the stream whose event is being handled; None: no stream's.
    reading, handed: the streams that read, and those that send what they were handed.
    serverTransport, unixServerTransport: the classes of accepted connections, for a Port that is not made by a method
        of the reactor: it sets its `transport` to one of them.
    """

    serverTransport = Server
    unixServerTransport = UnixServer

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        if loop is None:
            loop = uvloop.new_event_loop()
            # As the asyncio reactor does: what asyncio makes before it runs belongs to it.
            asyncio.set_event_loop(loop)
        elif not isinstance(loop, uvloop.Loop):
            raise TypeError(f"{loop!r} is not a loop of uvloop")
        self.loop = loop
        self.reading: set[Stream] = set()
        self.handed: set[Stream] = set()
        self.serving: Stream | None = None
        self._unwritten: list[Stream] = []
        super().__init__(self.loop)

    def runFor(self, stream: Stream, function: Callable[..., object], *args: object) -> None:
        """Call a function that handles an event of a stream, and log what it raises."""
        before, self.serving = self.serving, stream
        try:
            function(*args)
        except BaseException:
            log.err()
        finally:
            self.serving = before

    def writeSoon(self, stream: Stream) -> None:
        """Call the stream's `writeNow` in the next turn of the loop."""
        if not self._unwritten:
            self.loop.call_soon(self._write)
        self._unwritten.append(stream)

    def _write(self) -> None:
        streams, self._unwritten = self._unwritten, []
        for stream in streams:
            stream.writeNow()

    def run(self, installSignalHandlers: bool = True) -> None:
        tracker = context.theContextTracker.currentContext()
        before = tracker.contexts
        tracker.contexts = _Contexts([*before, _LogContext(self)])
        try:
            super().run(installSignalHandlers)
        finally:
            tracker.contexts = before

    def iterate(self, timeout: float = 0) -> None:
        """Raises RuntimeError inside of a turn: loops of asyncio cannot do that."""
        if self.loop.is_running():
            # Twisted's would stop the turns outside too, a little later.
            raise RuntimeError("iterate() is called inside of a turn of the reactor")
        super().iterate(timeout)

    def startRunning(self, installSignalHandlers: bool = True) -> None:
        super().startRunning(installSignalHandlers)
        if installSignalHandlers:
            # Twisted learns of the end of a child from the descriptor that Python writes the numbers of signals to.
            # uvloop replaces that by its own while it runs, and calls the handlers that Python knows.
            signal.signal(signal.SIGCHLD, lambda *_: self.callFromThread(reapAllProcesses))
            signal.siginterrupt(signal.SIGCHLD, False)

    # IReactorFDSet

    def removeReader(self, reader: Any) -> None:
        if reader in self.reading:
            reader.stopReading()
        else:
            super().removeReader(reader)

    def removeAll(self) -> list[Any]:
        streams = list(dict.fromkeys([*self.reading, *self._writing()]))
        for stream in streams:
            stream.stopReading()
            stream.stopWriting()
        return [*super().removeAll(), *streams]

    def getReaders(self) -> list[Any]:
        return [*super().getReaders(), *self.reading]

    def getWriters(self) -> list[Any]:
        return [*super().getWriters(), *self._writing()]

    def _writing(self) -> list[Stream]:
        return [*(stream for stream in self._unwritten if stream.writes), *self.handed]

    # IReactorTCP

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        listening = _Port(port, factory, backlog, interface, self)
        listening.startListening()
        return listening

    def connectTCP(
        self, host: str, port: int, factory: ClientFactory[P], timeout: float = 30, bindAddress: Any = None
    ) -> IConnector:
        connector = _Connector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    # IReactorUNIX

    def listenUNIX(
        self, address: bytes, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> IListeningPort:
        listening = _UnixPort(address, factory, backlog, mode, self, wantPID)
        listening.startListening()
        return listening

    def connectUNIX(
        self, address: str, factory: ClientFactory, timeout: float = 30, checkPID: bool = False
    ) -> IConnector:
        connector = _UnixConnector(address, factory, timeout, self, checkPID)
        connector.connect()
        return connector

    # IReactorSocket

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> IListeningPort:
        self._checkFamily(addressFamily)
        if addressFamily == socket.AF_UNIX:
            listening: tcp.Port = _UnixPort._fromListeningDescriptor(self, fileDescriptor, factory)
        else:
            listening = _Port._fromListeningDescriptor(self, fileDescriptor, addressFamily, factory)
        listening.startListening()
        return cast("IListeningPort", listening)

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> Any:
        self._checkFamily(addressFamily)
        if addressFamily == socket.AF_UNIX:
            return UnixServer._fromConnectedSocket(fileDescriptor, factory, self)
        return Server._fromConnectedSocket(fileDescriptor, addressFamily, factory, self)

    def _checkFamily(self, family: int) -> None:
        if family not in self._supportedAddressFamilies:
            raise UnsupportedAddressFamily(family)


class _LogContext:
    """Says to the log whose event a reactor is handling, when something is logged; made once, not for each event."""

    __slots__ = ("_outer", "_reactor")

    def __init__(self, reactor: UvloopReactor) -> None:
        self._reactor = reactor
        self._outer = context.get(ILogContext)

    def __getitem__(self, key: object) -> dict[str, object]:
        stream = self._reactor.serving
        if key is not ILogContext or stream is None:
            raise KeyError(key)
        return {**self._outer, "system": stream.logPrefix()}

    def now(self) -> dict[object, object]:
        """What it says at this moment."""
        return {} if self._reactor.serving is None else {ILogContext: self[ILogContext]}


class _Contexts(list[Any]):
    """The contexts of the reactor's thread. Who asks for the innermost takes it to another thread, to be used there."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return found.now() if isinstance(found, _LogContext) else found


class _Port(tcp.Port):
    transport = Server


class _UnixPort(unix.Port):
    transport = UnixServer


class _Connector(tcp.Connector):
    def _makeTransport(self) -> Client:
        return Client(self.host, self.port, self.bindAddress, self, self.reactor)


class _UnixConnector(unix.Connector):
    def _makeTransport(self) -> UnixClient:  # type: ignore[override]
        return UnixClient(self.address, self, self.reactor, self.checkPID)


def install(loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Make it the reactor of this process, before anything imports `twisted.internet.reactor`.

    loop: a uvloop loop; None: a new one, which becomes asyncio's loop of this thread too.

    Raises TypeError for another loop, and twisted.internet.error.ReactorAlreadyInstalledError.
    """
    installReactor(UvloopReactor(loop))
