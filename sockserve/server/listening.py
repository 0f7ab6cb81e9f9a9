"""The line that the log has of each address that a named socket listens at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from sockserve.addresses import address_attributes, format_address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

# As the rooms are called, not their modules.
log = Logger("sockserve.server.sockets")


def log_listening(name: str, address: IAddress) -> None:
    """Write it. name: of the named socket."""
    formatted = format_address(address)
    transport = str(getattr(address, "type", "TCP")).lower()
    log.info(
        "{name} listens on {address}",
        name=name,
        address=formatted,
        event_name="sockserve.socket.listening",
        attributes={"sockserve.socket": name, **address_attributes(formatted, "local", transport)},
    )
