"""How an event of the log becomes a line: text, text in colour, or an object of JSON with OpenTelemetry's names.

An event is a dictionary of twisted.logger's. Those of sockserve have two more keys, both plain values, so that another
process can pass them on: `event_name`, a fixed name, and `attributes`, what a program may want to know of the event, by
name. An event from another process may have its traceback as text, under `log_traceback`, and the type and the message
of the exception under `log_exception`; `log_worker` is the number of the process if that is a worker of this one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import lru_cache
from math import isfinite
from typing import Any, cast

from twisted.logger import LogEvent, formatEvent, formatTime
from twisted.python.failure import Failure
from twisted.python.reflect import qual

from sockserve.text import shown

SEVERITIES = {"debug": ("DEBUG", 5), "info": ("INFO", 9), "warn": ("WARN", 13), "error": ("ERROR", 17)}
"""OpenTelemetry's text and number of Twisted's levels."""
_FATAL = ("FATAL", 21)

# By level; the escape sequences of a terminal.
_COLOURS = {"debug": "\033[2m", "warn": "\033[33m", "error": "\033[31m", "critical": "\033[1;31m"}
_DIM = "\033[2m"
_PLAIN = "\033[0m"

_encode = json.JSONEncoder(separators=(",", ":")).encode

# The largest whole number that all readers of JSON take.
_LARGEST = 2**63


def text(event: LogEvent) -> str:
    """As Twisted writes it: `2026-11-26T17:04:37+0000 [sockserve.connection#info] …`; "": there is nothing to write.

    Further lines, such as those of a traceback, are indented: whatever an event contains, it cannot look like another.
    """
    lines = _lines(event)
    if not lines:
        return ""
    system = event.get("log_system")
    if system is None:
        system = f"{event.get('log_namespace', '-')}#{_level(event, '-')}"
    stamp = event.get("log_time")
    return f"{'-' if stamp is None else _local(int(stamp))} [{_safe(str(system))}] {lines}\n"


def screen(event: LogEvent, *, colour: bool) -> str:
    """For a terminal: `17:04:37 …`, with the level where it is not info; "": there is nothing to write."""
    lines = _lines(event)
    if not lines:
        return ""
    stamp = event.get("log_time")
    clock = "-" if stamp is None else _clock(int(stamp))
    level = _level(event, "info")
    said = lines if level == "info" else f"{level}: {lines}"
    if "log_worker" in event:
        clock = f"{clock} worker {event['log_worker']}:"
    if not colour:
        return f"{clock} {said}\n"
    tint = _COLOURS.get(level, "")
    return f"{_DIM}{clock}{_PLAIN} {tint}{said}{_PLAIN if tint else ''}\n"


def record(event: LogEvent) -> str:
    """As one object of JSON (RFC 8259) in one line, all ASCII, with the fields of OpenTelemetry's log records.

    "": there is nothing to write.
    """
    try:
        return _record(event)
    except Exception:
        # Whatever somebody else has put into it, such as an object whose text cannot be had.
        level, stamp = event.get("log_level"), event.get("log_time")
        shorter = {"log_level": level, "log_time": stamp if isinstance(stamp, float) else None}
        return _record({**shorter, "log_format": "an event that cannot be written"})


def _record(event: LogEvent) -> str:
    body = _body(event)
    if not body and _traceback(event) == "" and "event_name" not in event:
        return ""
    word, number = SEVERITIES.get(_level(event, "info"), _FATAL)
    name = event.get("event_name")
    stamp = event.get("log_time")
    stamp = time.time() if stamp is None else float(stamp)
    fields = {
        "timestamp": f"{_utc(int(stamp))}.{int(stamp % 1 * 1_000_000):06d}Z",
        "severity_text": word,
        "severity_number": number,
        "event_name": name,
        "body": _plain(body),
        "attributes": _attributes(event),
    }
    if not isinstance(name, str):
        del fields["event_name"]
    return _encode(fields) + "\n"


def _attributes(event: LogEvent) -> dict[str, object]:
    given = event.get("attributes")
    if "event_name" not in event or not isinstance(given, Mapping):
        # Of somebody else. Those of twisted.python.log have only keys of its machinery.
        given = {
            key: value
            for key, value in event.items()
            if isinstance(value, str | int | float) and not key.startswith("log_") and "isError" not in event
        }
    found = {**given, "otel.scope.name": event.get("log_namespace", "-")}
    if "log_worker" in event:
        found["sockserve.worker"] = event["log_worker"]
    failure, trace = event.get("log_failure"), _traceback(event)
    if isinstance(failure, Failure):
        found["exception.type"] = qual(failure.type) if isinstance(failure.type, type) else str(failure.type)
        found["exception.message"] = failure.getErrorMessage()
    elif "log_exception" in event:
        found["exception.type"], found["exception.message"] = event["log_exception"]
    if trace:
        found["exception.stacktrace"] = trace
    return cast("dict[str, object]", _plain(found))


def _plain(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
    """The same as a value that every reader of JSON takes."""
    if isinstance(value, str):
        # Half of a surrogate pair is no character.
        return value if value.isascii() else value.encode(errors="backslashreplace").decode()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST <= value < _LARGEST else shown(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return _plain(shown(value))


def _lines(event: LogEvent) -> str:
    body, trace = _body(event), _traceback(event)
    if trace:
        body = f"{body}\n{trace}" if body else trace
    return _safe(body).rstrip("\n").replace("\n", "\n\t")


def _body(event: LogEvent) -> str:
    form = event.get("log_format")
    if isinstance(form, str) and "log_flattened" not in event:
        # Python's own formatting takes a tenth of the time of Twisted's, and does the same but for calls: {name()}.
        try:
            return form.format_map(event)
        except Exception:  # noqa: S110 - Twisted's tells what is wrong
            pass
    return formatEvent(event)


def _traceback(event: LogEvent) -> str:
    given = event.get("log_traceback")
    if given is not None:
        return str(given)
    failure = event.get("log_failure")
    if failure is None:
        return ""
    try:
        return str(failure.getTraceback())
    except Exception as error:
        return f"(its traceback cannot be had: {type(error).__name__})"


def _level(event: LogEvent, default: str) -> str:
    level = event.get("log_level")
    return default if level is None else str(getattr(level, "name", level))


def _safe(said: str) -> str:
    """Without characters that a terminal would obey; the breaks of lines stay."""
    if said.isprintable():
        return said
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in said)


# Most events of one second need the same text.


@lru_cache(maxsize=8)
def _local(second: int) -> str:
    return formatTime(second)


@lru_cache(maxsize=8)
def _clock(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


@lru_cache(maxsize=8)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
