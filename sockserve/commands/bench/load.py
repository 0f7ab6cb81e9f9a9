"""One process of the load: connects, waits for the word, sends and checks, and says what it has measured.

It runs in a process of its own, so that drawing a progress bar costs the load nothing. Over its pipe it sends ("ready",
0), ("answered", COUNT) every quarter of a second, and ("done", Result) at last; it is sent "go" when all processes are
ready, and "stop" when it is to end early. When the pipe closes it ends too.
"""

from __future__ import annotations

import contextlib
import gc
import selectors
import signal
from multiprocessing.connection import Connection as Pipe
from time import monotonic_ns, process_time
from typing import TYPE_CHECKING

from twisted.internet import task
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from sockserve.client.endpoints import as_endpoint
from sockserve.commands.bench import processor
from sockserve.commands.bench.connection import Connection, Fault, Tally
from sockserve.commands.bench.pace import Closed, Open
from sockserve.commands.bench.settings import Result, Settings
from sockserve.commands.bench.stream import Messages
from sockserve.commands.bench.wires import ReactorWires, SocketWires, Wire, Wires
from sockserve.commands.program import many_messages
from sockserve.framing import Framing
from sockserve.framing.bounds import DEFAULT_MAX_LENGTH
from sockserve.text import reason_of

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase
    from twisted.internet.interfaces import IStreamClientEndpoint

TICK = 0.05
"""Seconds between two looks at the clock and the pipe."""
# Connections being made at the same time; a backlog is often 50.
CONNECTING = 32
# Nanoseconds between two reports of progress.
TELL = 250_000_000


def make_framing(settings: Settings) -> Framing:
    """Raises ValueError for a name that is none, and for a framing that carries one message only."""
    return many_messages(settings.framing, settings.size if settings.size > DEFAULT_MAX_LENGTH else None, "a load")


def make_messages(settings: Settings) -> Messages:
    """Raises ValueError or FramingError when the framing cannot send such messages."""
    return Messages(make_framing(settings), settings.size)


def check_endpoint(settings: Settings) -> None:
    """Raises ValueError, in one line, for a string that is no endpoint of a client, and for files of no use."""
    from twisted.internet import reactor

    as_endpoint(settings.endpoint, reactor, settings.tls)


def run(settings: Settings, pipe: Pipe) -> None:
    """The whole of the process."""
    # The parent is interrupted as well, and says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def main(reactor: ReactorBase) -> None:
        # Without the parent there is nobody to tell.
        with contextlib.suppress(BrokenPipeError):
            pipe.send(("done", await Load(settings, pipe, reactor).run()))

    task.react(main)


class Stopped(Exception):
    """The parent wants it to end."""


class Load:
    def __init__(self, settings: Settings, pipe: Pipe, reactor: ReactorBase) -> None:
        self._settings = settings
        self._pipe = pipe
        self._reactor = reactor
        # Before the connections: its number is small, which select needs.
        self._selector = selectors.DefaultSelector()
        messages = make_messages(settings)
        numbers = range(settings.first, settings.first + settings.connections)
        self._connections = [
            Connection(number, messages.stream(number, settings.window), settings.window) for number in numbers
        ]
        self._told = 0

    async def run(self) -> Result:
        """Raises nothing: faults are in the result."""
        result = Result()
        tally = Tally()
        start = cpu = 0.0
        try:
            wires = await self._connect()
            self._pipe.send(("ready", 0))
            self._listen(wait=True)
            # Nothing here makes cycles, and a pause to look for them would be the server's latency.
            gc.freeze()
            gc.disable()
            if self._settings.warmup:
                await self._phase(wires, Tally(), self._settings.warmup, None)
            server_cpu = self._server_cpu()
            start, cpu = monotonic_ns(), process_time()
            result.start = int(start)
            await self._phase(wires, tally, self._settings.duration, self._settings.messages)
            result.cpu = process_time() - cpu
            result.server_cpu = self._server_cpu() - server_cpu
            await wires.close()
        except Fault as fault:
            result.errors.append(str(fault))
        except Stopped:
            pass
        if start and not result.cpu:
            result.cpu = process_time() - cpu
        result.messages = tally.answered
        result.end = tally.last or result.start
        result.latencies = tally.latencies
        return result

    def _server_cpu(self) -> float:
        pid = self._settings.server_pid
        try:
            return 0.0 if pid is None else processor.used_by(pid)
        except ValueError as error:
            raise Fault(f"{error} (--server-pid)") from None

    async def _connect(self) -> Wires:
        """Make all connections. Raises Fault for the first that cannot be made."""
        endpoint = as_endpoint(self._settings.endpoint, self._reactor, self._settings.tls)
        waiting = iter(self._connections)
        wires: list[Wire] = []

        async def connect() -> None:
            for connection in waiting:
                wire = Wire(connection)
                try:
                    await self._made(wire, endpoint)
                except Exception as error:  # one line for all that Twisted's endpoints may raise
                    raise Fault(f"{connection.name}: not made: {reason_of(error)}") from None
                wires.append(wire)

        attempts = [Deferred.fromCoroutine(connect()) for _ in range(CONNECTING)]
        try:
            await gatherResults(attempts, consumeErrors=True)
        except FirstError as error:
            for attempt in attempts:
                attempt.cancel()
            error.subFailure.raiseException()
        wires.sort(key=lambda wire: wire.connection.number)
        if all(wire.socket is not None for wire in wires):
            return SocketWires(wires, self._selector)
        return ReactorWires(wires, self._reactor)

    async def _made(self, wire: Wire, endpoint: IStreamClientEndpoint) -> None:
        attempt: Deferred[Wire] = endpoint.connect(Factory.forProtocol(lambda: wire)).addCallback(lambda _: wire.made)
        await attempt.addTimeout(self._settings.timeout, self._reactor, _too_late)

    async def _phase(self, wires: Wires, tally: Tally, seconds: float | None, messages: int | None) -> None:
        """Load for a number of seconds or of messages, and until all is answered. Raises Fault or Stopped."""
        now = monotonic_ns()
        rate = self._settings.rate
        pace: Closed | Open
        if rate is None:
            pace = Closed(self._connections, tally, now, seconds, messages)
        else:
            pace = Open(self._connections, tally, now, seconds, messages, rate)
        look = now + int(TICK * 1e9)
        while True:
            for connection in pace.due(now):
                if connection.ask(now):
                    wires.write(connection)
            if pace.total is not None and tally.answered >= pace.total:
                return
            await wires.turn(min(TICK, pace.wait(monotonic_ns())))
            now = monotonic_ns()
            if now >= look:
                look = now + int(TICK * 1e9)
                self._look(tally, now)

    def _look(self, tally: Tally, now: int) -> None:
        self._listen(wait=False)
        for connection in self._connections:
            connection.check(now, self._settings.timeout)
        if now - self._told > TELL:
            self._told = now
            self._pipe.send(("answered", tally.answered))

    def _listen(self, *, wait: bool) -> None:
        try:
            stop = (wait or self._pipe.poll()) and self._pipe.recv() == "stop"
        except (EOFError, OSError):
            stop = True
        if stop:
            raise Stopped


def _too_late(result: object, seconds: float) -> object:
    if isinstance(result, Failure):
        raise TimeoutError(f"no connection within {seconds:g} seconds (--timeout)")
    return result
