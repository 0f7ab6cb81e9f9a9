"""The factory of protocols that share a framing and options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory

from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import Framing, as_framing

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from sockserve.connection.options import ConnectionOptions


class MessageFactory(Factory[MessageProtocol]):
    """Makes protocols that share a framing, for either side of a connection.

    framing: a Framing or its name; raises ValueError for an unknown name.
    protocol: a MessageProtocol subclass, or anything that returns one when called without arguments.
    options: those of ConnectionOptions, by name, that differ from the protocol class's own `options`.
    """

    noisy = False

    def __init__(
        self,
        framing: Framing | str,
        protocol: Callable[[], MessageProtocol],
        **options: Any,  # noqa: ANN401 - as in ConnectionOptions
    ) -> None:
        self.framing = as_framing(framing)
        self._make = protocol
        self._changes = options
        # The result for the options seen last: nearly always those of one class.
        self._base: ConnectionOptions | None = None
        self._options = self._changed(MessageProtocol.options)

    def buildProtocol(self, addr: IAddress | None) -> MessageProtocol:
        protocol = self._make()
        protocol.factory = self
        protocol.framing = self.framing
        if protocol.options is not self._base:
            self._options = self._changed(protocol.options)
        protocol.options = self._options
        return protocol

    def _changed(self, options: ConnectionOptions) -> ConnectionOptions:
        self._base = options
        return replace(options, **self._changes) if self._changes else options
