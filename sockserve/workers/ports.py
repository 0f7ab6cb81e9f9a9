"""The ports of all workers: opened, kept and closed by the supervisor."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sockserve.server.endpoints import slots_of
from sockserve.server.listening import log_listening
from sockserve.server.slots import Slot, Slots, address_of

Listens = list[tuple[str, str]]
"""(name of the named socket, endpoint), in the order of the configuration."""


class PortError(Exception):
    """An endpoint cannot be opened, or not be served. socket: whose it is; the cause says why."""

    def __init__(self, socket: str) -> None:
        super().__init__(socket)
        self.socket = socket


@dataclass(slots=True)
class _Port:
    """An endpoint that is open. open: its slots, one for each worker or one for all."""

    slots: Slots
    open: list[Slot]


class SharedPorts:
    """What is open, by address.

    A slot is never closed while its endpoint is wanted, even if there are fewer workers later: what waits in its queue
    would be lost. Another worker then has two.
    """

    def __init__(self, reactor: object) -> None:
        self._reactor = reactor
        self._ports: dict[object, _Port] = {}

    def open(self, listens: Listens, count: int) -> Callable[[], None]:
        """Open what is not open yet, for so many workers. Raises PortError, and then nothing has changed.

        Returns what closes it again: a slot that nobody serves would keep its clients waiting.
        """
        before = self._ports
        opened: list[tuple[_Port, Slot]] = []
        ports = dict(self._ports)
        try:
            for key, name, slots in self._keyed(listens):
                port = ports.get(key)
                if port is None:
                    port = ports[key] = _Port(slots, [])
                self._fill(port, name, 1 if slots.shared else count, opened)
        except PortError:
            _undo(opened)
            raise
        for key, name, slots in self._keyed(listens):
            if key not in self._ports:
                log_listening(name, address_of(ports[key].open[0]))
            elif slots.backlog is not None:
                for slot in ports[key].open:
                    _listen(slot, slots.backlog)
        self._ports = ports

        def close() -> None:
            self._ports = before
            _undo(opened)

        return close

    def of_worker(self, listens: Listens, number: int, count: int) -> list[list[int]]:
        """The descriptors with which worker `number` of `count`, from 0, serves each of the endpoints."""
        descriptors = []
        for key, _, _ in self._keyed(listens):
            port = self._ports[key]
            slots = port.open if port.slots.shared else port.open[number::count]
            descriptors.append([slot.fileno() for slot in slots])
        return descriptors

    def close_others(self, listens: Listens) -> None:
        """Close what is none of these endpoints."""
        wanted = {key for key, _, _ in self._keyed(listens)}
        for key in [*self._ports]:
            if key not in wanted:
                for slot in self._ports.pop(key).open:
                    slot.close()

    def _fill(self, port: _Port, name: str, count: int, opened: list[tuple[_Port, Slot]]) -> None:
        while len(port.open) < count:
            try:
                slot = port.slots.open(port.open)
            except Exception as error:
                raise PortError(name) from error
            port.open.append(slot)
            opened.append((port, slot))

    def _keyed(self, listens: Iterable[tuple[str, str]]) -> Iterator[tuple[object, str, Slots]]:
        # Port 0 may be asked for twice.
        seen: Counter[object] = Counter()
        for name, endpoint in listens:
            slots = slots_of(self._reactor, endpoint)
            yield (slots.key, seen[slots.key]), name, slots
            seen[slots.key] += 1


def _undo(opened: Iterable[tuple[_Port, Slot]]) -> None:
    for port, slot in opened:
        port.open.remove(slot)
        slot.close()


def _listen(slot: Slot, backlog: int) -> None:
    if isinstance(slot, socket.socket) and slot.type == socket.SOCK_STREAM:
        slot.listen(backlog)
