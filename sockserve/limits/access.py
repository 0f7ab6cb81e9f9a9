"""Who may connect, by address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from twisted.internet.protocol import Factory, Protocol

from sockserve.addresses import Host, Network, format_address, host_of, is_in
from sockserve.limits.events import Report

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProtocolFactory


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect.

    allow: the networks that may; (): all may. deny: the networks that may not, even if they are in `allow`.
    Clients of a unix socket have no address, and may always connect.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()

    def refusal(self, host: Host | None) -> Literal["allow", "deny"] | None:
        """The list that keeps that host out; None: it may connect. host: None: a client without an address."""
        if host is None:
            return None
        if is_in(host, self.deny):
            return "deny"
        if self.allow and not is_in(host, self.allow):
            return "allow"
        return None


EVERYONE = Access()


class AccessFactory(Factory[Protocol]):
    """Lets the wrapped factory build protocols for peers that may connect; other connections are closed at once.

    report: called for each of the others with "allow" or "deny", the peer's address, and what happened.
    """

    noisy = False

    def __init__(self, factory: IProtocolFactory, access: Access, report: Report) -> None:
        self._factory = factory
        self._access = access
        self._report = report

    def startFactory(self) -> None:
        self._factory.doStart()

    def stopFactory(self) -> None:
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        refusal = self._access.refusal(host_of(addr))
        if refusal is None:
            return cast("Protocol | None", self._factory.buildProtocol(cast("IAddress", addr)))
        self._report(refusal, format_address(addr), f"refused, its address may not connect ({refusal})")
        return None
