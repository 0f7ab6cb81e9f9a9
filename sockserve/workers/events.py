"""Events of a worker's log, as the supervisor gets them: what JSON can say of them."""

from __future__ import annotations

from typing import Any, cast

from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import qual

_PLAIN = (str, int, float, bool, type(None))


def to_message(event: LogEvent) -> dict[str, Any]:
    """The event in plain values; its text is made here, where all that it names is known."""
    message = {key: value for key, value in event.items() if isinstance(value, _PLAIN) or key == "attributes"}
    message["log_level"] = event.get("log_level", LogLevel.info).name
    message["log_text"] = formatEvent(event)
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        message["log_traceback"] = failure.getTraceback()
        message["log_exception"] = [qual(cast("type", failure.type)), failure.getErrorMessage()]
    return message


def from_message(message: dict[str, Any], worker: int) -> LogEvent:
    """The event, to be logged again. worker: the number of the process that it is from."""
    level = message["log_level"]
    event = {**message, "log_level": LogLevel.lookupByName(level), "log_format": "{log_text}", "log_worker": worker}
    event["log_system"] = f"{message.get('log_namespace', '-')}#{level}, worker {worker}"
    if "log_traceback" in message:
        event["log_failure"] = _Told(message["log_traceback"])
    return event


class _Told:
    """Takes the place of a Failure for those who write its traceback."""

    def __init__(self, traceback: str) -> None:
        self._traceback = traceback

    def getTraceback(self) -> str:
        return self._traceback
