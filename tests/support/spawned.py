"""A program in a process of its own, for tests that wait for the reactor: what `reactor.spawnProcess` is elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.process import ProcessReader, ProcessWriter
from twisted.python.failure import Failure

from tests.support.processes import Argument, Forked


class Spawned(Forked):
    """output, errors: what it has written so far. ended: fires with its status when all that it wrote is read."""

    def __init__(
        self, args: Sequence[Argument], *, cwd: Argument | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self.ended: Deferred[int] = Deferred()
        self._status = bytearray()
        self._expected: tuple[bytes, Deferred[None]] | None = None
        (their_input, ours), (output, their_output), (errors, their_errors) = (os.pipe() for _ in range(3))
        standard = (their_input, their_output, their_errors)
        try:
            super().__init__(args, standard, cwd, env)
        finally:
            for descriptor in standard:
                os.close(descriptor)
        self._pipes: dict[str, ProcessReader | ProcessWriter] = {
            "input": ProcessWriter(reactor, self, "input", ours, forceReadHack=True)
        }
        for name, descriptor in (("output", output), ("errors", errors), ("status", self.report)):
            self._pipes[name] = ProcessReader(reactor, self, name, descriptor)

    def write(self, data: bytes) -> None:
        """To its standard input."""
        if "input" in self._pipes:
            self._pipes["input"].write(data)

    def end_input(self) -> None:
        """Close its standard input when all is written."""
        self._lose("input")

    def stop_reading(self) -> None:
        """Close its standard output: nobody reads it any more."""
        self._lose("output")

    def pause(self) -> None:
        """Read none of its standard output for now."""
        self._pipes["output"].stopReading()

    def resume(self) -> None:
        self._pipes["output"].startReading()

    def printed(self, output: bytes) -> Deferred[None]:
        """Fires when all that it has printed is this."""
        printed: Deferred[None] = Deferred()
        self._expected = output, printed
        self._compare()
        return printed

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if "status" in self._pipes:
            os.kill(self.pid, number)

    def childDataReceived(self, name: str, data: bytes) -> None:
        """Called by Twisted's pipes."""
        if name == "status":
            self._status += data
        elif name == "errors":
            self.errors += data
        else:
            self.output += data
            self._compare()

    def childConnectionLost(self, name: str, reason: Failure) -> None:
        """The same."""
        os.close(self._pipes.pop(name).fileno())
        if not self._pipes:
            self.ended.callback(int(self._status))

    def _compare(self) -> None:
        if self._expected is not None and self.output == self._expected[0]:
            (_, printed), self._expected = self._expected, None
            printed.callback(None)

    def _lose(self, name: str) -> None:
        if name in self._pipes:
            self._pipes[name].loseConnection()
