"""All named sockets of a process together, as one Twisted service."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred

from sockserve.server.conflicts import check_addresses, check_circles
from sockserve.server.handover import Parcel

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort

    from sockserve.server.sockets import SocketServer


class Server(MultiService):
    """Any number of named sockets.

    sockets: by name. `name in server.sockets` is what SocketExist does in WINDEV.
    before: those that others have replaced, whose counts go on; some may have connections still.
    """

    def __init__(self, sockets: Iterable[SocketServer] = ()) -> None:
        super().__init__()
        self.sockets: dict[str, SocketServer] = {}
        self.before: list[SocketServer] = []
        for socket in sockets:
            self.add(socket)

    @property
    def clean(self) -> bool:
        """Whether no connection was aborted because of drain_timeout."""
        return all(socket.clean for socket in self.sockets.values())

    def add(self, socket: SocketServer) -> None:
        """Add one; it starts now if the server is running. Raises ValueError if its name or an address is taken."""
        name = str(socket.name)
        if name in self.sockets:
            raise ValueError(f"there is already a socket named {name!r}")
        together = [one.settings for one in (*self.sockets.values(), socket)]
        check_addresses(together, lambda _: "listen")
        check_circles(together, lambda _: "handler")
        self.sockets[name] = socket
        try:
            socket.setServiceParent(self)
        except Exception:
            self.remove(name)
            raise

    def replace(self, sockets: Iterable[SocketServer]) -> Deferred[None]:
        """Serve these from now on, in place of those that there are; one that is there already is not touched.

        A port with the same address stays open, and connections that can move go on in the socket that has the name of
        theirs. Raises what starting one raises, and then nothing has changed. Fires when nothing is left of the others.
        """
        new = {each.settings.name: each for each in sockets}
        old = [each for each in self.sockets.values() if each is not new.get(each.settings.name)]
        added = [each for each in new.values() if each not in self.sockets.values()]
        claimed: set[IListeningPort] = set()
        for each in added:
            each.takePorts(old, claimed)
        try:
            for each in added:
                each.openPorts()
        except Exception:
            for each in added:
                each.stopService()
            raise
        self.sockets = new
        for each in old:
            # A parent has one child of a name.
            del self.namedServices[each.settings.name]
            each.name = None
            self.before.append(each)
        for each in added:
            each.setServiceParent(self)
            if any(other.settings.name == each.settings.name and other._ports.suspended for other in old):
                each.suspend()
        return DeferredList([self._leave(each) for each in old]).addCallback(lambda _: None)

    def _leave(self, old: SocketServer) -> Deferred[None]:
        """Let the connections of a socket that is not wanted any more move, and stop it."""
        new = self.sockets.get(old.settings.name)
        endpoints = [] if new is None else [str(each.opening.endpoint) for each in new.settings.listens]

        def give(parcel: Parcel, go: Callable[[], int]) -> None:
            # Perhaps that one has been replaced in the meantime.
            now = self.sockets.get(parcel.socket)
            if now is None or parcel.endpoint not in now._endpoints.values():
                raise ConnectionError("its endpoint is not there any more")
            now.take(parcel, go())

        return old.handOver(endpoints, give).addCallback(lambda _: maybeDeferred(old.disownServiceParent))

    def remove(self, name: str) -> Deferred[None]:
        """Stop and forget the socket with that name. Fires when it is drained. Raises KeyError."""
        return maybeDeferred(self.sockets.pop(name).disownServiceParent)
