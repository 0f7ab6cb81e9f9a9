"""A process that has imported what sockserve's programs need, and forks for each that a test starts.

A start costs it milliseconds, where a new interpreter takes most of a second to import the same. What it starts are
processes like any other, with a number, signals, descriptors, a directory and an environment of their own. Only what an
interpreter reads when it starts (options other than -P, variables such as PYTHONPATH) is as it was here.

`tests.support.processes` starts it and talks to it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import types
from pathlib import Path
from typing import NamedTuple

PRELOADED = (
    "encodings.idna",
    "multiprocessing.popen_fork",
    "multiprocessing.queues",
    "sockserve.commands.bench.crew",
    "sockserve.commands.bench.plot",
    "sockserve.commands.bench.progress",
    "sockserve.commands.bench.report",
    "sockserve.commands.main",
    "sockserve.service.options",
    "sockserve.workers.worker",
    "sockserve.tls.certificates",
    "sockserve.tls.layer",
    "twisted.internet.default",
    "twisted.internet.unix",
    "twisted.plugins.sockserve_plugin",
    "twisted.scripts.twistd",
)
"""Nothing that installs a reactor or starts a thread. The reactor's own module is named in the command."""


class Program(NamedTuple):
    """What to run, as the interpreter's own arguments have it: maybe -P, then -m, -c or a script, then arguments."""

    args: list[str]
    cwd: str
    env: dict[str, str]

    def run(self) -> None:
        """Run it, and end with it."""
        status = 0
        try:
            self.start()
        except SystemExit as end:
            if not isinstance(end.code, int | None):
                raise
            status = end.code or 0
        # As an interpreter ends, but without taking apart what was imported, which costs more than all the rest.
        for thread in threading.enumerate():
            if thread is not threading.main_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status & 0xFF)

    def start(self) -> None:
        """As the interpreter does."""
        safe_path = self.args[0] == "-P"
        kind, *rest = self.args[safe_path:]
        # In its place stands what `python -m` put there for the zygote.
        sys.path[:1] = [] if safe_path else [{"-m": self.cwd, "-c": ""}.get(kind, str(Path(kind).parent))]
        if kind == "-m":
            sys.argv[:] = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        elif kind == "-c":
            sys.argv[:] = [kind, *rest[1:]]
            sys.modules["__main__"] = module = types.ModuleType("__main__")
            exec(rest[0], vars(module))
        else:
            sys.argv[:] = [kind, *rest]
            runpy.run_path(kind, run_name="__main__")


def serve(control: socket.socket) -> Program | None:
    """Fork for each request. Gives what to run in each child, and None in the zygote when nobody asks any more.

    A request is a line of JSON and four descriptors: standard input, output and error, and a pipe in which the number
    of the process and, after its end, its status are told, a line each.
    """
    reports: dict[int, int] = {}
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # An interruption is for the tests, and what they have started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with control, ours, theirs, selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(ours, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is ours:
                    ours.recv(4096)
                    reap(reports)
                    continue
                line, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 4)
                if not line:
                    return None
                while not line.endswith(b"\n"):
                    line += control.recv(1 << 20)
                *standard, report = descriptors
                if not (pid := os.fork()):
                    signal.set_wakeup_fd(-1)
                    for other in (report, *reports.values()):
                        os.close(other)
                    return prepare(Program(*json.loads(line)), standard)
                reports[pid] = report
                os.write(report, b"%d\n" % pid)
                for descriptor in standard:
                    os.close(descriptor)


def reap(reports: dict[int, int]) -> None:
    """Tell the status of each process that has ended."""
    while reports:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        report = reports.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it
            os.write(report, b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(report)


def prepare(program: Program, standard: list[int]) -> Program:
    """In the child: what an interpreter finds when it starts."""
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        stream = open(  # noqa: SIM115 - it stays open as long as the process
            number, old.mode, encoding=old.encoding, errors=old.errors, closefd=False
        )
        stream.reconfigure(line_buffering=stream.isatty() or name == "stderr")
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Also where the tests themselves ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(program.cwd)
    os.environ.clear()
    os.environ.update(program.env)
    return program


def main() -> None:
    for name in (*PRELOADED, *sys.argv[2:]):
        importlib.import_module(name)
    # What is there is never looked at again by a collection, neither here nor in what is forked.
    gc.collect()
    gc.freeze()
    program = serve(socket.socket(fileno=int(sys.argv[1])))
    if program is not None:
        program.run()


if __name__ == "__main__":
    main()
