"""The factory of protocols that share a framing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.protocol import Factory

from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import Framing, as_framing

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress


class MessageFactory(Factory[MessageProtocol]):
    """Makes protocols that share a framing, for either side of a connection.

    framing: a Framing or its name; raises ValueError for an unknown name.
    protocol: a MessageProtocol subclass, or anything that returns one when called without arguments.
    close_timeout, idle_timeout, frame_timeout: seconds; None: what the protocol class says.
    log_traffic: log the number of bytes of every read and write.
    """

    noisy = False

    def __init__(
        self,
        framing: Framing | str,
        protocol: Callable[[], MessageProtocol],
        *,
        close_timeout: float | None = None,
        idle_timeout: float | None = None,
        frame_timeout: float | None = None,
        log_traffic: bool = False,
    ) -> None:
        self.framing = as_framing(framing)
        self._make = protocol
        self.close_timeout = close_timeout
        self.idle_timeout = idle_timeout
        self.frame_timeout = frame_timeout
        self.log_traffic = log_traffic

    def buildProtocol(self, addr: IAddress | None) -> MessageProtocol:
        protocol = self._make()
        protocol.factory = self
        protocol.framing = self.framing
        if self.close_timeout is not None:
            protocol.close_timeout = self.close_timeout
        if self.idle_timeout is not None:
            protocol.idle_timeout = self.idle_timeout
        if self.frame_timeout is not None:
            protocol.frame_timeout = self.frame_timeout
        if self.log_traffic:
            protocol.log_traffic = True
        return protocol
