"""A worker as its supervisor sees it: a process, and where it stands."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger, globalLogPublisher

from sockserve.workers.events import from_message
from sockserve.workers.link import Link, Message

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProcessTransport, IReactorProcess
    from twisted.python.failure import Failure

log = Logger()


class Standing(IntEnum):
    """Where a worker stands; it goes one way only.

    STARTING: it loads what it is to serve. READY: it has. SERVING: it was told to accept. LEAVING: it gives its
    connections up, or drains. GONE: the process is over.
    """

    STARTING = 0
    READY = 1
    SERVING = 2
    LEAVING = 3
    GONE = 4


@dataclass(frozen=True, slots=True)
class Command:
    """How a worker's process is started.

    arguments: of the interpreter; the number of the link's descriptor follows them. environment: None: ours.
    descriptors: those that it has too, under the same numbers.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    descriptors: tuple[int, ...] = ()


class Owner(Protocol):
    """What a process tells its supervisor."""

    def ready(self, worker: WorkerProcess) -> None: ...

    def serving(self, worker: WorkerProcess) -> None: ...

    def gone(self, worker: WorkerProcess) -> None: ...

    def told(self, worker: WorkerProcess, message: Message) -> None:
        """Anything else that it says."""


class WorkerProcess(ProcessProtocol):
    """One worker.

    pid: of its process; 0 before that runs.
    listens: what it listens to, once it is ready; loaded: all of what it said then.
    line: what is wrong with what it was to load; "": nothing is.
    since: when it began to serve, in seconds of the reactor; 0.0: not yet.
    clean: it has drained, and nothing was aborted.
    dials: whether it makes the connections of sockets that connect.
    over: fires when the process is over.
    """

    def __init__(self, reactor: object, owner: Owner, command: Command, source: Message) -> None:
        self._reactor = reactor
        self._owner = owner
        self.standing = Standing.STARTING
        self.pid = 0
        self.listens: list[tuple[str, str]] = []
        self.loaded: Message = {}
        self.line = ""
        self.since = 0.0
        self.clean = False
        self.dials = False
        self._killed = False
        self._taker: WorkerProcess | None = None
        self.over: Deferred[None] = Deferred()
        self._asked: dict[int, Deferred[Message]] = {}
        self._last_question = 0
        ours, theirs = socket.socketpair()
        self._link = Link(reactor, ours, self._received)
        with theirs, Path(os.devnull).open("rb") as nothing:
            self._spawn(command, theirs.fileno(), nothing.fileno())
        self._link.send({"do": "load", "source": source})

    def _spawn(self, command: Command, link: int, nothing: int) -> None:
        number = max((2, *command.descriptors)) + 1
        kept = {each: each for each in (1, 2, *command.descriptors) if _is_open(each)}
        transport: IProcessTransport = cast("IReactorProcess", self._reactor).spawnProcess(
            self,
            sys.executable,
            [sys.executable, *command.arguments, f"--link={number}"],
            dict(command.environment),
            childFDs={0: nothing, 1: nothing, 2: nothing, **kept, number: link},
        )
        self.pid = transport.pid or 0

    def __str__(self) -> str:
        return f"worker {self.pid}"

    def serve(self, slots: list[list[int]], suspended: list[str], dials: bool) -> None:
        """Serve with these descriptors, some for each endpoint. suspended: the sockets that accept nobody yet.

        dials: whether it makes the connections of sockets that connect.
        """
        self.standing = Standing.SERVING
        self.dials = dials
        counts = [len(numbers) for numbers in slots]
        message = {"do": "serve", "slots": counts, "suspended": suspended, "dials": dials}
        self._link.send(message, [number for numbers in slots for number in numbers])

    def dial(self) -> None:
        """Make the connections of sockets that connect, from now on."""
        self.dials = True
        self._link.send({"do": "dial"})

    def give(self, to: WorkerProcess) -> None:
        """Let the connections move to another worker that serves; then it ends.

        The other one also makes the connections that this one has made, each when it is over here.
        """
        self.standing = Standing.LEAVING
        self._taker = to
        to.dials = to.dials or self.dials
        ours, theirs = socket.socketpair()
        with ours, theirs:
            to._link.send({"do": "take", "dials": self.dials}, (theirs.fileno(),))
            self._link.send({"do": "give", "endpoints": to.loaded["endpoints"]}, (ours.fileno(),))

    @property
    def taker(self) -> WorkerProcess | None:
        """Who its connections move to; None: nobody, or it is gone."""
        taker = self._taker
        return None if taker is None or taker.standing is Standing.GONE else taker

    def stop(self) -> None:
        """Drain, and end."""
        self.standing = max(self.standing, Standing.LEAVING)
        self._link.send({"do": "stop"})

    def kill(self) -> None:
        """End at once."""
        if self.standing is not Standing.GONE:
            self._killed = True
            with suppress(ProcessExitedAlready):
                cast("Any", self.transport).signalProcess("KILL")

    def ask(self, request: Message) -> Deferred[Message]:
        """Fires with the answer; {} if the process ends before it has answered."""
        answered: Deferred[Message] = Deferred()
        self._last_question += 1
        self._asked[self._last_question] = answered
        self._link.send({"do": "ask", "number": self._last_question, "request": request})
        return answered

    def tell(self, message: Message) -> None:
        """Send any other message."""
        self._link.send(message)

    def processEnded(self, reason: Failure) -> None:
        # What it has said last, such as its figures, may not have been read.
        self._link.read_on()
        self._link.close()
        before, self.standing = self.standing, Standing.GONE
        if not self._killed and not self.clean:
            self._tell_how(reason.value, before)
        asked, self._asked = self._asked, {}
        for each in asked.values():
            each.callback({})
        self._owner.gone(self)
        self.over.callback(None)

    def _tell_how(self, end: Any, before: Standing) -> None:  # noqa: ANN401 - ProcessDone or ProcessTerminated
        how = f"ended with status {end.exitCode}"
        if end.signal is not None:
            how = f"was ended by {signal.Signals(end.signal).name}"
        log.warn(
            "{worker}, {standing}, {how}",
            worker=str(self),
            standing=before.name.lower(),
            how=how,
            event_name="sockserve.worker.ended",
            attributes={"process.pid": self.pid, "sockserve.worker.standing": before.name.lower()},
        )

    def _received(self, message: Message, _: list[int]) -> None:
        if "log" in message:
            globalLogPublisher(from_message(message["log"], self.pid))
        elif "answer" in message:
            answered = self._asked.pop(message["answer"], None)
            if answered is not None:
                answered.callback(message["value"])
        else:
            self._stands(message)

    def _stands(self, message: Message) -> None:
        match message.get("is"):
            case "ready":
                self.standing = Standing.READY
                self.loaded = message
                self.listens = [(name, endpoint) for name, endpoint in message["listens"]]
                self._owner.ready(self)
            case "wrong":
                self.line = message["line"]
                self.kill()
            case "serving":
                self._owner.serving(self)
            case "stopped":
                self.clean = message["clean"]
                self._owner.told(self, message)
            case _:
                self._owner.told(self, message)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
