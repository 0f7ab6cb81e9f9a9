"""What a test sees of a server, wherever that runs: where it listens, and its log."""

from __future__ import annotations

from twisted.internet.endpoints import quoteStringArgument


class Served:
    """A server of a test.

    lines: of its log so far. failures: those of errors that nobody has expected, with their tracebacks, one text each:
    they fail the test at its end; a test that provokes one clears them.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failures: list[str] = []

    @property
    def log(self) -> str:
        """All of its log so far."""
        return "".join(self.lines)

    @property
    def address(self) -> str:
        """Where its first socket listens, as the log has it: `127.0.0.1:27015`, `unix:/run/orders.sock`."""
        return self.address_of()

    @property
    def host(self) -> str:
        """The host in `address`."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port in `address`."""
        return int(self.address.rpartition(":")[2])

    @property
    def endpoint(self) -> str:
        """The string of the client endpoint for `address`, for `connect` and the `sockserve` commands."""
        return self.endpoint_of()

    def address_of(self, name: str | None = None, number: int = 0) -> str:
        """Where a socket listens. name: of the socket; None: of the first. number: of its endpoint, from 0."""
        raise NotImplementedError

    def endpoint_of(self, name: str | None = None, number: int = 0) -> str:
        """The string of the client endpoint for that address. One with TLS has to be written by the test."""
        address = self.address_of(name, number)
        if address.startswith("unix:"):
            return f"unix:{quoteStringArgument(address[5:])}"
        host, _, port = address.rpartition(":")
        return f"tcp:{quoteStringArgument(host.strip('[]'))}:{port}"

    def _check(self) -> None:
        if self.failures:
            text = "".join(self.failures)
            raise AssertionError(f"the server has failed, and nobody expected it (see `failures`):\n{text}")
