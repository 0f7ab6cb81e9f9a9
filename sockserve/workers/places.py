"""The places of all workers: who has one, who waits for one, and how many each peer has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sockserve.workers.link import Message
    from sockserve.workers.process import WorkerProcess


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one named socket; None: no limit. refuse: when all places are taken, one more is refused."""

    connections: int | None = None
    per_peer: int | None = None
    refuse: bool = False


@dataclass(frozen=True, slots=True)
class _Held:
    """A place, given or waited for. owner: the worker. peer: "": it counts for nobody."""

    owner: WorkerProcess
    peer: str


class PlaceKeeper:
    """Those of one named socket."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._limits = Limits()
        self._given: dict[str, _Held] = {}
        self._waiting: dict[str, _Held] = {}
        self._peers: Counter[str] = Counter()

    def limit(self, limits: Limits) -> None:
        """These hold from now on; nobody loses a place."""
        self._limits = limits
        self._serve_next()

    def ask(self, owner: WorkerProcess, place: str, peer: str) -> None:
        """A connection wants a place."""
        most = self._limits.per_peer
        if peer and most is not None and self._peers[peer] >= most:
            text = f"refused, {peer} already has {most} connections (max_connections_per_peer)"
            self._reply(owner, place, "refused", "max_connections_per_peer", text)
            return
        held = _Held(owner, peer)
        if self._is_free():
            self._count(held)
            self._given[place] = held
            self._reply(owner, place, "granted")
        elif self._limits.refuse:
            text = f"refused, {self._limits.connections} already connected (max_connections)"
            self._reply(owner, place, "refused", "max_connections", text)
        else:
            self._count(held)
            self._waiting[place] = held
            self._reply(owner, place, "full")

    def keep(self, owner: WorkerProcess, place: str, peer: str) -> None:
        """A connection with this place is with that worker now."""
        self._drop(place)
        held = _Held(owner, peer)
        self._count(held)
        self._given[place] = held

    def pass_on(self, owner: WorkerProcess, place: str) -> None:
        """Its connection is on its way to the worker that takes over, which keeps the place, or gives it back."""
        held = self._given.get(place)
        if held is not None and held.owner == owner and owner.taker is not None:
            self._given[place] = _Held(owner.taker, held.peer)

    def give_back(self, owner: WorkerProcess, place: str) -> None:
        """It is free, unless it is with another worker now."""
        held = self._given.get(place) or self._waiting.get(place)
        if held is not None and held.owner == owner:
            self._drop(place)
            self._serve_next()

    def gone(self, owner: WorkerProcess) -> None:
        """That worker is over, with all its connections."""
        for place, held in [*self._given.items(), *self._waiting.items()]:
            if held.owner == owner:
                self._drop(place)
        self._serve_next()

    def _reply(self, owner: WorkerProcess, place: str, what: str, limit: str = "", text: str = "") -> None:
        owner.tell({"do": "place", "socket": self._name, "place": place, "is": what, "limit": limit, "text": text})

    def _is_free(self) -> bool:
        most = self._limits.connections
        return most is None or len(self._given) < most

    def _serve_next(self) -> None:
        while self._waiting and self._is_free():
            place = next(iter(self._waiting))
            held = self._given[place] = self._waiting.pop(place)
            self._reply(held.owner, place, "granted")

    def _count(self, held: _Held) -> None:
        if held.peer:
            self._peers[held.peer] += 1

    def _drop(self, place: str) -> None:
        held = self._given.pop(place, None) or self._waiting.pop(place, None)
        if held is not None and held.peer:
            self._peers[held.peer] -= 1
            if not self._peers[held.peer]:
                del self._peers[held.peer]


class Places:
    """Those of all named sockets that have limits."""

    def __init__(self) -> None:
        self._keepers: dict[str, PlaceKeeper] = {}

    def limit(self, limits: Mapping[str, Mapping[str, Any]]) -> None:
        """These hold from now on, by the name of the socket; see Limits."""
        for name in {*limits, *self._keepers}:
            self._of(name).limit(Limits(**limits.get(name, {})))

    def told(self, owner: WorkerProcess, message: Message) -> None:
        """A worker says something about a place."""
        keeper, place = self._of(message["socket"]), message["place"]
        match message["what"]:
            case "ask":
                keeper.ask(owner, place, message["peer"])
            case "keep":
                keeper.keep(owner, place, message["peer"])
            case "pass on":
                keeper.pass_on(owner, place)
            case "give back":
                keeper.give_back(owner, place)

    def gone(self, owner: WorkerProcess) -> None:
        """A worker is over."""
        for keeper in self._keepers.values():
            keeper.gone(owner)

    def _of(self, name: str) -> PlaceKeeper:
        if name not in self._keepers:
            self._keepers[name] = PlaceKeeper(name)
        return self._keepers[name]
