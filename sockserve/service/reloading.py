"""A reload inside the process: the file and the users' modules are read again; what did not change is not touched."""

from __future__ import annotations

import importlib
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from sockserve.config.checking import Config, ConfigError
from sockserve.fields import SettingError
from sockserve.server.server import Server
from sockserve.server.sockets import SocketServer
from sockserve.text import one_line, typed_reason

if TYPE_CHECKING:
    from sockserve.service.options import Options

log = Logger()

# These stay as they are: what runs stands on them.
_OURS = ("sockserve", "twisted", "zope", "__main__")

Stamp = tuple[int, int]
"""Of a file: when it was written, and its size."""


class Modules:
    """The modules of the users: those that settings name, with all of their packages, and what is not installed.

    names: what the settings name, MODULE:NAME.
    before: the stamps of files from before their modules were imported; a file that changes meanwhile is read again.
    """

    def __init__(self, names: Iterable[str], before: Mapping[str, Stamp | None] = MappingProxyType({})) -> None:
        self._named = {name.partition(":")[0].partition(".")[0] for name in names} - {*_OURS}
        self._files = {**self.stamps(), **before}

    def stamps(self) -> dict[str, Stamp | None]:
        """By their names, what shows whether their files have changed; None: there is no file."""
        return {name: _stamp(module) for name, module in self._users()}

    @property
    def changed(self) -> bool:
        """Whether the file of one of them has changed since it was imported, or since they were last looked at."""
        return any(self._files.get(name) != stamp for name, stamp in self.stamps().items())

    def forget(self) -> dict[str, ModuleType]:
        """Let them be imported anew. Returns them, for `put_back`."""
        forgotten = dict(self._users())
        for name in forgotten:
            del sys.modules[name]
        importlib.invalidate_caches()
        return forgotten

    def put_back(self, forgotten: dict[str, ModuleType]) -> None:
        """Undo `forget`."""
        for name, _ in self._users():
            del sys.modules[name]
        sys.modules.update(forgotten)

    def _users(self) -> list[tuple[str, ModuleType]]:
        return [(name, each) for name, each in list(sys.modules.items()) if self._is_users(name, each)]

    def _is_users(self, name: str, module: ModuleType) -> bool:
        top = name.partition(".")[0]
        if top in _OURS or top in sys.stdlib_module_names:
            return False
        file = getattr(module, "__file__", None)
        return top in self._named or (file is not None and not file.startswith(_INSTALLED))


def _stamp(module: ModuleType) -> Stamp | None:
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _installed() -> Iterator[str]:
    yield from (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    yield from site.getsitepackages()
    yield site.getusersitepackages()


_INSTALLED = tuple(_installed())


class Reloader:
    """Reloads what a server of this process serves.

    options: what it was started with.
    """

    def __init__(self, options: Options, server: Server) -> None:
        self._options = options
        self._server = server
        self._config = options.config
        self._modules = Modules(_names(self._config))

    def reload(self) -> None:
        """Read everything again, and serve it. A mistake is one line in the log, and changes nothing.

        Once the server stops, nothing is read any more.
        """
        if not self._server.running:
            return
        log.info("Reloading", event_name="sockserve.reload.started", attributes={})
        before = self._modules.stamps()
        changed = self._modules.changed
        forgotten = self._modules.forget() if changed else {}
        try:
            config = self._options.load(self._options.read())
            self._serve(config, changed)
        except Exception as error:
            self._config.memory(self._options.reactor)
            if changed:
                self._modules.put_back(forgotten)
            known = isinstance(error, (ConfigError, SettingError, CannotListenError, OSError))
            self._tell(one_line(error) if known else typed_reason(error))
            return
        self._config = config
        self._modules = Modules(_names(config), before)

    def _tell(self, line: str) -> None:
        log.error("Nothing has changed: {line}", line=line, event_name="sockserve.reload.failed", attributes={})

    def _serve(self, config: Config, changed: bool) -> None:
        if config.workers:
            raise ConfigError("workers", "a reload cannot change one process to several; accepted: after a new start")
        reactor = self._options.reactor
        memory = config.memory(reactor)
        sockets = []
        for settings in config.sockets:
            running = self._server.sockets.get(settings.name)
            same = running is not None and running.settings == settings and not (changed and settings.code)
            if running is None or not same:
                running = SocketServer.of(settings, memory=memory, reactor=reactor)
            sockets.append(running)
        before = [*self._server.sockets.values()]
        new = [each for each in sockets if each not in before]
        left = self._server.replace(sockets)
        log.info(
            "Reloaded: {new} new or changed, {same} as before",
            new=len(new),
            same=len(sockets) - len(new),
            event_name="sockserve.reload.serving",
            attributes={},
        )
        if len(before) + len(new) > len(sockets):
            left.addCallback(_told)


def _told(_: object) -> None:
    log.info("All sockets from before the reload have ended", event_name="sockserve.reload.done", attributes={})


def _names(config: Config) -> Iterator[str]:
    for settings in config.sockets:
        yield from settings.code
