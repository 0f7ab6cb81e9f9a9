"""The processes of the load: started together, watched, stopped when one fails, and their results as one."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess

from sockserve.commands.bench import load
from sockserve.commands.bench.settings import Result, Settings

Pipe = connection.Connection
# Seconds that a process has to say what it has measured when it is told to stop.
GRACE = 5.0
# And to end, when it has said so.
LEAVING = 1.0


class Crew:
    """interrupted: the user has ended it early."""

    def __init__(self, settings: Settings, progress: Callable[[int], None]) -> None:
        """progress: called with the number of messages answered so far."""
        self.interrupted = False
        self._progress = progress
        self._result = Result()
        # Fresh processes, which share nothing with this one.
        context = get_context("spawn")
        self._processes: dict[Pipe, SpawnProcess] = {}
        self._answered: dict[Pipe, int] = {}
        for share in settings.shares():
            ours, theirs = context.Pipe()
            process = context.Process(target=load.run, args=(share, theirs), daemon=True)
            process.start()
            theirs.close()
            self._processes[ours] = process

    def run(self) -> Result:
        """What all have measured together, up to an interruption at least."""
        working = set(self._processes)
        unready = len(working)
        # Before all are ready nothing was measured, and nothing is waited for when it ends early.
        timeout: float | None = None
        while working:
            try:
                came = connection.wait(list(working), timeout)
                if not came:
                    break
                for pipe in came:
                    assert isinstance(pipe, Pipe)
                    match self._receive(pipe):
                        case "ready", _:
                            unready -= 1
                            if not unready:
                                self._tell(working, "go")
                                self._progress(0)
                        case "answered", int(count):
                            self._answered[pipe] = count
                            self._progress(sum(self._answered.values()))
                        case "done", Result() as result:
                            working.discard(pipe)
                            self._result.merge(result)
                            if result.errors:
                                timeout = GRACE if not unready else 0.0
                                self._tell(working, "stop")
            except KeyboardInterrupt:
                if self.interrupted:
                    break
                self.interrupted = True
                timeout = GRACE if not unready else 0.0
                self._tell(working, "stop")
        for process in self._processes.values():
            process.join(LEAVING)
            if process.is_alive():
                process.kill()
                process.join()
        return self._result

    def _receive(self, pipe: Pipe) -> tuple[str, object]:
        try:
            name, value = pipe.recv()
        except (EOFError, OSError):
            process = self._processes[pipe]
            process.join(GRACE)
            line = f"a client process ended with status {process.exitcode}"
            return "done", Result(errors=[line])
        return name, value

    def _tell(self, pipes: set[Pipe], word: str) -> None:
        for pipe in pipes:
            try:
                pipe.send(word)
            except OSError:
                # It is gone: reading from it says so.
                continue
