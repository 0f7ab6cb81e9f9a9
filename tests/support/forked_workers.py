"""Workers that fork. The real ones start new interpreters, which import again what is imported here (Linux).

For a program of the zygote: what calls `begin`, early, and becomes a supervisor has children that were forked from what
it was then. They come from a process in between, which does nothing else and so stays as it was.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
from typing import Any, cast

from twisted.internet.process import Process

from tests.support.zygote import Program, prepare

_PR_SET_CHILD_SUBREAPER = 36
_ABOVE_ALL = 100
"""No descriptor that a worker is given has a number like this."""


def begin() -> None:
    """From now on, the processes that Twisted starts here are forks of what this one is now."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    if not os.fork():
        ours.close()
        _fork_each(theirs).run()
    theirs.close()

    def spawn(process: Any, path: object, _uid: object, _gid: object, *what: Any) -> bool:  # noqa: ANN401 - Twisted's
        _executable, args, environment, kwargs = what
        assert path is None, path
        numbers, descriptors = zip(*kwargs["fdmap"].items(), strict=True)
        request = [list(map(os.fsdecode, args[1:])), os.getcwd(), _decoded(environment), numbers]  # noqa: PTH109
        socket.send_fds(ours, [json.dumps(request).encode()], descriptors)
        process.pid = int(ours.recv(100))
        return True

    cast("Any", Process)._trySpawnInsteadOfFork = spawn


def _decoded(environment: dict[Any, Any]) -> dict[str, str]:
    return {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}


def _fork_each(control: socket.socket) -> Program:
    """Fork for each request. Gives, in each worker, what to run; ends when nobody asks any more."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 100)
        if not request:
            os._exit(0)
        read, write = os.pipe()
        if not (between := os.fork()):
            if worker := os.fork():
                os.write(write, b"%d" % worker)
                os._exit(0)
            control.close()
            os.close(read)
            os.close(write)
            return _prepare(json.loads(request), descriptors)
        # Its child is the supervisor's when it is over.
        os.waitpid(between, 0)
        control.send(os.read(read, 100))
        for descriptor in (read, write, *descriptors):
            os.close(descriptor)


def _prepare(request: list[Any], descriptors: list[int]) -> Program:
    *program, numbers = request
    given = {}
    for number, descriptor in zip(numbers, descriptors, strict=True):
        given[number] = fcntl.fcntl(descriptor, fcntl.F_DUPFD, _ABOVE_ALL)
        os.close(descriptor)
    for number, descriptor in given.items():
        if number > 2:
            os.dup2(descriptor, number)
            os.close(descriptor)
    return prepare(Program(*program), [given[number] for number in (0, 1, 2)])
