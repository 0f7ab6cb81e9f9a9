"""The process of a worker: `python -m sockserve.service.worker [--reactor=NAME] --link=N`, started by the supervisor.

N is the number of the descriptor of its link; see sockserve.workers.worker.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, cast

from twisted.application.reactors import installReactor
from twisted.logger import globalLogBeginner

from sockserve.config.checking import Config
from sockserve.service.clock import make_steady
from sockserve.service.options import Options, Source
from sockserve.workers.link import Message
from sockserve.workers.worker import Worker

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase


def load(source: Message) -> Config:
    """Check what the supervisor was started with, here and now. Raises ConfigError."""
    sys.path[:] = source["path"]
    return Options.load(Source(tuple(source["arguments"]), source["folder"], tuple(source["path"]), source["text"]))


def main(arguments: list[str]) -> None:
    options = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    if "reactor" in options:
        installReactor(options["reactor"])
    from twisted.internet import reactor as installed

    reactor = cast("ReactorBase", installed)
    if "LISTEN_PID" in os.environ:
        # What was passed to the supervisor has been passed on.
        os.environ["LISTEN_PID"] = str(os.getpid())
    make_steady(reactor)
    worker = Worker(reactor, socket.socket(fileno=int(options["link"])), load)
    globalLogBeginner.beginLoggingTo([worker])
    # A terminal sends them to all processes; the supervisor decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    reactor.callWhenRunning(signal.signal, signal.SIGTERM, lambda *_: reactor.callFromThread(worker.stop))
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
