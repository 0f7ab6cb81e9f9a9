"""A worker's side of its link: it loads what it is told to serve, serves it, and gives its connections up.

From the supervisor, `do` says what is to be done:

load      source: what to load. The answer is `is: ready`, with what it listens to, or `is: wrong`, with a line.
serve     slots: how many descriptors there are for each endpoint; suspended: the sockets that accept nobody yet; dials:
          whether it makes the connections of sockets that connect. The answer is `is: serving`.
give      endpoints: where connections belong that can move to the other worker; with the descriptor of a link to it.
          It ends after that.
take      with the descriptor of a link, over which connections come. dials: whether to make the connections of sockets
          that connect, when the other side has them no more: it says so with `over`, the name of a socket, or is gone.
dial      Make the connections of sockets that connect.
ask       request: see sockserve.server.figures. The answer is `answer`, with the same number.
place     what became of a `place` that it has asked for.
stop      Drain, and end.

When it has stopped, it says `is: stopped`, and whether that was `clean`. `log` is an event of its log.
"""

from __future__ import annotations

import base64
import os
import pickle
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer

from sockserve.config.checking import Config, ConfigError
from sockserve.server.figures import answer
from sockserve.server.handover import Parcel
from sockserve.server.server import Server
from sockserve.text import one_line, typed_reason
from sockserve.workers.events import to_message
from sockserve.workers.link import Link, Message

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase

    from sockserve.limits.places import Asker
    from sockserve.server.settings import SocketSettings

log = Logger()

Load = Callable[[Message], Config]
"""Reads and checks what the supervisor sends as `source`. Raises ConfigError."""


@implementer(ILogObserver)
class Worker:
    """One of several processes that serve the same sockets.

    link: connected to the supervisor; when that is gone, the worker drains and ends.
    """

    def __init__(self, reactor: ReactorBase, link: socket.socket, load: Load) -> None:
        self._reactor = reactor
        self._load = load
        self._link = Link(reactor, link, self._told, self.stop)
        self._server = Server()
        self._places: dict[str, LinkedPlaces] = {}
        self._stopping = False
        # Links to workers whose connections come here, and to the one to which those from here may still be on the way.
        self._givers: set[Link] = set()
        self._taker: Link | None = None

    def __call__(self, event: LogEvent) -> None:
        """Let the supervisor log an event."""
        self._link.send({"log": to_message(event)})

    def stop(self) -> None:
        """Drain, and end."""
        if not self._stopping:
            self._stopping = True
            maybeDeferred(self._server.stopService).addBoth(self._stopped)

    def _told(self, message: Message, descriptors: list[int]) -> None:
        match message["do"]:
            case "load":
                self._told_to_load(message["source"])
            case "serve":
                self._told_to_serve(message["slots"], message["suspended"], message["dials"], descriptors)
            case "give":
                self._told_to_give(message["endpoints"], *descriptors)
            case "take":
                self._told_to_take(*descriptors, dials=message["dials"])
            case "dial":
                self._dial()
            case "stop":
                self.stop()
            case "ask":
                value = answer(self._server, message["request"], os.getpid())
                self._link.send({"answer": message["number"], "value": value})
            case "place":
                self._places[message["socket"]].answered(message)

    def _told_to_load(self, source: Message) -> None:
        try:
            config = self._load(source)
            self._server = config.server(self._reactor, self._places_of)
        except ConfigError as error:
            self._link.send({"is": "wrong", "line": str(error)})
        except Exception as error:
            self._link.send({"is": "wrong", "line": typed_reason(error)})
        else:
            sockets = self._server.sockets.values()
            listens = [(one.name, str(each.opening.endpoint)) for one in sockets for each in one.settings.listens]
            patience = max(cast("float", one.settings.drain_timeout) for one in sockets)
            limits = {one.name: _limits(one.settings) for one in sockets}
            self._link.send(
                {
                    "is": "ready",
                    "workers": config.workers,
                    "listens": listens,
                    "endpoints": [(one.name, endpoint) for one in sockets for endpoint in one.endpoints],
                    "drain_timeout": patience,
                    "limits": limits,
                }
            )

    def _places_of(self, settings: SocketSettings) -> LinkedPlaces | None:
        if settings.max_connections is None and settings.max_connections_per_peer is None:
            return None
        places = self._places[settings.name] = LinkedPlaces(self._link, settings.name)
        return places

    def _told_to_serve(self, slots: list[int], suspended: list[str], dials: bool, descriptors: list[int]) -> None:
        counts = iter(slots)
        rest = iter(descriptors)
        for one in self._server.sockets.values():
            one.inherit([[next(rest) for _ in range(next(counts))] for _ in one.settings.listens])
            one.dials = dials and one.name not in suspended
        try:
            self._server.privilegedStartService()
            self._server.startService()
            for name in suspended:
                if name in self._server.sockets:
                    self._server.sockets[name].suspend()
                    self._server.sockets[name].dials = dials
        except Exception as error:
            self._link.send({"is": "wrong", "line": one_line(error)})
            return
        finally:
            for each in descriptors:
                os.close(each)
        self._link.send({"is": "serving"})

    def _told_to_give(self, endpoints: list[tuple[str, str]], descriptor: int) -> None:
        taker = Link(self._reactor, socket.socket(fileno=descriptor), lambda *_: None)
        moving = []
        for one in self._server.sockets.values():
            theirs = [endpoint for name, endpoint in endpoints if name == one.name]
            moving.append(one.handOver(theirs, partial(self._give, taker), self._givers))
            if one.dialler is not None:
                one.admission.emptied().addCallback(self._over, taker, one.settings.name)

        def moved(counts: list[int]) -> None:
            count = sum(counts)
            log.info(
                "Connections that have moved: {count}",
                count=count,
                event_name="sockserve.worker.moved",
                attributes={"sockserve.connections": count},
            )
            dialled = [one.admission.emptied() for one in self._server.sockets.values() if one.dialler is not None]
            if all(each.called for each in dialled):
                # Not before the other side has them all.
                taker.close(self.stop)
                return
            # The end of the link lets the other side connect, and a device may accept one connection at a time.
            self._taker = taker
            self.stop()
            gatherResults(dialled).addCallback(lambda _: self._reactor.callLater(0, taker.close))

        gatherResults(moving).addCallback(moved)

    def _give(self, taker: Link, parcel: Parcel, go: Callable[[], int]) -> None:
        if not taker.open:
            raise ConnectionError("the worker that was to go on with it is gone")
        packed = base64.b64encode(pickle.dumps(parcel)).decode()
        descriptor = go()
        taker.send({"parcel": packed, "socket": parcel.socket, "place": parcel.place}, (descriptor,))
        os.close(descriptor)
        if parcel.place:
            # This process may be over before the other one says that it has it.
            self._places[parcel.socket].pass_on(parcel.place)

    def _over(self, _: object, taker: Link, name: str) -> None:
        """A socket that connects has no connection any more: it has moved, or ended."""
        # After its parcel, which is sent when the connection is gone from here.
        self._reactor.callLater(0, taker.send, {"over": name})

    def _told_to_take(self, descriptor: int, *, dials: bool = False) -> None:
        def received(message: Message, descriptors: list[int]) -> None:
            if "over" not in message:
                self._parcel_came(message, *descriptors)
            elif dials:
                self._dial(message["over"])

        def lost() -> None:
            self._givers.discard(link)
            if dials:
                self._dial()

        link = Link(self._reactor, socket.socket(fileno=descriptor), received, lost)
        self._givers.add(link)

    def _dial(self, only: str = "") -> None:
        """Make the connections of sockets that connect; of the one with that name."""
        for one in self._server.sockets.values():
            if only in ("", one.name):
                one.dial()

    def _parcel_came(self, message: Message, descriptor: int) -> None:
        try:
            parcel: Parcel = pickle.loads(base64.b64decode(message["parcel"]))  # noqa: S301 - from another worker
        except Exception as error:
            # For example, the class of its framing is not there any more.
            os.close(descriptor)
            self._lost(message, error)
            return
        try:
            self._server.sockets[parcel.socket].take(parcel, descriptor)
        except Exception as error:
            self._lost(message, error)

    def _lost(self, message: Message, error: Exception) -> None:
        """The connection of a parcel cannot go on here."""
        name, place = message["socket"], message["place"]
        places = self._places.get(name)
        if place and places is not None:
            # It may not have been passed on yet.
            places.keep(place, "")
            places.give_back(place)
        # The peer may have reset it on the way.
        tell = log.debug if isinstance(error, OSError) else log.warn
        tell(
            "{socket}: a connection was lost while it moved: {error}",
            socket=name,
            error=typed_reason(error),
            event_name="sockserve.connection.lost",
            attributes={"sockserve.socket": name},
        )

    def _stopped(self, _: object) -> None:
        figures = answer(self._server, {"ask": "figures"}, os.getpid())
        self._link.send({"is": "stopped", "clean": self._server.clean, "figures": figures})
        end = partial(self._link.close, self._reactor.stop)
        if self._taker is None:
            end()
        else:
            self._taker.close(end)


class LinkedPlaces:
    """The places of one named socket, which the supervisor keeps; see sockserve.limits.places."""

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._name = name
        self._asker: Asker | None = None

    def ask(self, place: str, peer: str, asker: Asker) -> None:
        self._asker = asker
        self._send("ask", place, peer)

    def keep(self, place: str, peer: str) -> None:
        self._send("keep", place, peer)

    def pass_on(self, place: str) -> None:
        """Its connection goes to the worker that takes over."""
        self._send("pass on", place, "")

    def give_back(self, place: str) -> None:
        self._send("give back", place, "")

    def answered(self, message: Message) -> None:
        """The supervisor has answered."""
        assert self._asker is not None
        match message["is"]:
            case "granted":
                self._asker.granted(message["place"])
            case "full":
                self._asker.full(message["place"])
            case "refused":
                self._asker.refused(message["place"], message["limit"], message["text"])

    def _send(self, what: str, place: str, peer: str) -> None:
        self._link.send({"place": place, "what": what, "socket": self._name, "peer": peer})


def _limits(settings: SocketSettings) -> dict[str, object]:
    """Those that hold for all workers together; see sockserve.workers.places."""
    return {
        "connections": settings.max_connections,
        "per_peer": settings.max_connections_per_peer,
        "refuse": settings.when_full == "refuse",
    }
