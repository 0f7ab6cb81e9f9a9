"""Writes docs/settings.md, the table of all settings, from what the code says of them: `python docs/reference.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sockserve.config.checking import PROGRAM_SETTINGS
from sockserve.fields import Setting, settings_of
from sockserve.server.endpoints import DEFAULT_LISTEN, KINDS
from sockserve.server.settings import SOCKET_SETTINGS
from sockserve.service.options import SETTINGS
from sockserve.tls.certificates import TLSConfig

PAGE = Path(__file__).with_name("settings.md")

HEAD = """\
# Settings

<!-- Written by docs/reference.py from the code. -->

Each setting has one meaning, whether it is a key of a configuration file, an option of `twistd sockserve` or an argument of
`SocketServer`, and accepts the same values; a wrong one is refused in the same words. An option is the key with dashes:
`--max-length` for `max_length`. In Python it is `SocketServer("orders", "tcp:7000", max_length="64k")`; a handler, a
conversation, a framing, an endpoint or a `TLSConfig` may be the object itself there, and None is the default where that is
a word such as never.

`MODULE:NAME` is imported when the settings are checked; the current directory comes first. A framing is a `Framing`, or a
class or function that returns one when it is called without arguments; it has its own limits, so `max_length` and
`on_bad_frame` apply only to the framings of sockserve. A handler is called with (message, channel); a `MessageProtocol`
subclass brings the framing of its class, unless `framing` is set. A conversation is a coroutine function of (channel).

A setting that would have no effect is refused too: `when_full` without `max_connections`, `proxy_from` without
`proxy_protocol`, `threads` or `max_pending` where no function is called, `answer_timeout` without a `share`,
`handshake_timeout` without a handshake, `heartbeat` without `heartbeat_every`. What `connect` accepts, and what does not
go with it, is in [Connecting](operating.md#connecting).
"""

LISTEN = """\
## Endpoints

What `listen` accepts; a colon in a value is written `\\:`. Twisted plugins add more kinds. In a file, an endpoint
with its own framing is a table, `{ endpoint = "tcp:7001", framing = "windev" }`; in Python, a `Listen`.

| kind | how it is written |
|---|---|
"""


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def rows(settings: Mapping[str, Setting]) -> list[str]:
    lines = ["| setting | what it accepts | unit | default | what it does |", "|---|---|---|---|---|"]
    for name, each in settings.items():
        needed = each.default is None and not each.none
        default = DEFAULT_LISTEN if name == "listen" else "required" if needed else each.default_text
        cells = (f"`{name}`", each.value.accepted, each.value.unit, default, each.help)
        lines.append(f"| {' | '.join(map(cell, cells))} |".replace("|  |", "| |"))
    return lines


def page() -> str:
    """The whole page."""
    groups: dict[str, dict[str, Setting]] = {}
    for name, each in {**SOCKET_SETTINGS, **PROGRAM_SETTINGS}.items():
        groups.setdefault(each.group, {})[name] = each
    lines = [HEAD]
    for group, settings in groups.items():
        lines += [f"## {group}", ""]
        if whole := [f"`{name}`" for name in settings if name in PROGRAM_SETTINGS]:
            names = ", ".join(whole[:-1]) + " and " * (len(whole) > 1) + whole[-1]
            lines += [f"In a file, {names} stand at the top, for all sockets.", ""]
        lines += [*rows(settings), ""]
    absent = ", ".join(f"`{name}`" for name in SOCKET_SETTINGS if name not in SETTINGS)
    lines += ["## The table of tls", "", f"{absent} has no option. The keys of its table are:", ""]
    lines += [*rows(settings_of(TLSConfig)), "", LISTEN.rstrip()]
    lines += [f"| `{kind}` | {cell(each.form.accepted)} |" for kind, each in KINDS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
