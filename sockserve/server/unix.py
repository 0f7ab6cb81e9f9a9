"""Listening on unix sockets: what a killed server has left is no obstacle, and a running server keeps its socket.

A socket file is stale if nobody answers there: no other test is reliable. Twisted reads a process id from a lock file
instead, and in a container that is soon the id of another process, or our own. There is no lock file here; a server
locks the folder (flock) while it starts, so that of two that start at once, one sees the other.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import tcp
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.unix import Port
from zope.interface import implementer

from sockserve.text import printable

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorFDSet
    from twisted.python.failure import Failure

DEFAULT_MODE = 0o666
DEFAULT_BACKLOG = 50
"""Both are Twisted's."""

# Seconds to wait for another server that is starting in the same folder, which takes less than that.
_PATIENCE = 1.0
_PAUSE = 0.01


@implementer(IStreamServerEndpoint)
class UnixEndpoint:
    """Listens on a unix socket.

    path: of its file. If it begins with NUL, it is an abstract name, which Linux has, without a file.
    mode: of the file: users who may write to it may connect. The folder's mode applies too.
    backlog: how many connections the kernel keeps until they are accepted.
    """

    def __init__(self, reactor: object, path: str, *, mode: int = DEFAULT_MODE, backlog: int = DEFAULT_BACKLOG) -> None:
        self._reactor = reactor
        self._path = path
        self._mode = mode
        self._backlog = backlog

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803 - as the interface
        """Fires with the port; fails with CannotListenError."""
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        name = os.fsencode(self._path)
        port = UnixPort(name, factory, self._backlog, self._mode, cast("IReactorFDSet", self._reactor))
        try:
            if name.startswith(b"\0"):
                port.startListening()
            else:
                path = Path(self._path)
                with _to_itself(path.parent):
                    _clear(path)
                    port.startListening()
        except (OSError, CannotListenError) as error:
            reason = error.socketError if isinstance(error, CannotListenError) else error
            text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
            raise CannotListenError("unix", printable(self._path), text) from error
        return cast("IListeningPort", port)


class UnixPort(Port):
    """Removes the file of its socket at the end, if it has made it, and it is still this socket's."""

    _file: tuple[int, int] | None = None

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - Twisted's
        super().__init__(*args, **more)
        self.transport = getattr(self.reactor, "unixServerTransport", self.transport)

    @classmethod
    def inherited(cls, reactor: IReactorFDSet, descriptor: int, factory: IProtocolFactory) -> IListeningPort:
        """Listens on a copy of a descriptor that somebody else has opened, and keeps.

        Twisted's own would set the mode of the file, and shut the socket down for everybody at the end.
        """
        port = cls._fromListeningDescriptor(reactor, descriptor, factory)
        port.socket, port._preexistingSocket = port._preexistingSocket, None
        port.fileno = port.socket.fileno
        port._shouldShutdown = False
        port.numberAccepts = 100
        port.connected = True
        factory.doStart()
        port.startReading()
        return cast("IListeningPort", port)

    def _logConnectionLostMsg(self) -> None:
        # One that was inherited is open before and after.
        if self._file is not None:
            super()._logConnectionLostMsg()

    def startListening(self) -> None:
        super().startListening()
        self._file = _identity(self._bindPath)

    def connectionLost(self, reason: Failure) -> None:
        if self._file is not None and self._file == _identity(self._bindPath):
            super().connectionLost(reason)
        else:
            # There is none; or it was removed, and if there is one now, it belongs to another server.
            tcp.Port.connectionLost(self, reason)


def _identity(path: bytes) -> tuple[int, int] | None:
    """The identity (device and inode) of the file; None: there is no file."""
    try:
        found = Path(os.fsdecode(path)).lstat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _to_itself(folder: Path) -> Iterator[None]:
    """Within this context, no other server looks for stale sockets in the same folder.

    If the folder cannot be locked, this does nothing: that must not keep a server from starting.
    """
    opened = None
    try:
        with suppress(OSError):
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            end = time.monotonic() + _PATIENCE
            while not _lock(opened) and time.monotonic() < end:
                time.sleep(_PAUSE)
        yield
    finally:
        if opened is not None:
            os.close(opened)


def _lock(opened: int) -> bool:
    """Lock the folder. False: another process has the lock. Closing the descriptor releases it."""
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clear(path: Path) -> None:
    """Remove what a dead server has left: its socket, and the lock file that Twisted makes.

    Raises OSError if somebody answers there, if that cannot be found out, and for a file that is not a socket.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        mode = 0
    if mode:
        if not _refuses(path):
            raise OSError(None, "a server answers there")
        if not stat.S_ISSOCK(mode):
            raise OSError(None, "what is there is not a socket")
        path.unlink()
    lock = Path(f"{path}.lock")
    with suppress(OSError):
        # A link to a process id. If that process is dead, Twisted would remove our socket.
        if str(lock.readlink()).isdigit():
            lock.unlink()


def _refuses(path: Path) -> bool:
    """Whether nobody listens there. Raises OSError if that cannot be found out."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except BlockingIOError:
            # It listens, but its backlog is full.
            return False
    return False
