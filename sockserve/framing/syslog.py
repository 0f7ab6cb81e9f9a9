"""syslog: messages of syslog over TCP, whichever way their sender frames them.

    11 Hello World      octet counting, RFC 6587 section 3.4.1: the same as the framing octets
    Hello World\\n       section 3.4.2: a line feed ends the message; a CR before it is not part of the message

The first byte of a connection decides for all of it: a digit means octet counting, anything else lines, since a syslog
message starts with `<`. Lines can be empty. rsyslog looks at the first byte of each frame; then a message that contains
a line feed could bring forth others, of its author's making.

Tolerant: understands both, and sends the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from sockserve.framing.decimal import ZERO, DecimalDecoder, Octets
from sockserve.framing.errors import FramingError, MessageTooLong, TruncatedMessage
from sockserve.framing.form import need
from sockserve.framing.lines import is_long, walk_lines

if TYPE_CHECKING:
    from sockserve.framing.contract import Framing

Form = Literal["either", "octets", "lines"]


@dataclass(frozen=True, slots=True)
class Syslog(Octets):
    """form: what comes: "either", if the first byte is still to decide, "octets" or "lines"."""

    # It has no part in the name, so framings that differ in it are equal.
    form: Form = field(default="either", compare=False)

    def __post_init__(self) -> None:
        Octets.__post_init__(self)
        need(str, self.form, "form")
        if self.form not in ("either", "octets", "lines"):
            raise ValueError(f"form must be 'either', 'octets' or 'lines', not {self.form!r}")

    def __str__(self) -> str:
        return "syslog"

    def decoder(self) -> SyslogDecoder:
        return SyslogDecoder(self)


class SyslogDecoder(DecimalDecoder):
    def __init__(self, framing: Syslog) -> None:
        super().__init__(framing, b" ", b"")
        self._form = framing.form
        # No line feed is in _held before this offset.
        self._searched = 0

    def settled(self, framing: Framing) -> Framing:
        return replace(framing, form=self._form) if isinstance(framing, Syslog) else framing

    def _walk(self, data: bytes, messages: list[bytes] | None) -> tuple[int, int]:
        if self._form == "either" and data:
            self._form = "octets" if ZERO <= data[0] <= ZERO + 9 else "lines"
        if self._form != "lines":
            return super()._walk(data, messages)
        self._searched = self._needed = 0
        walked = walk_lines(data, self._limit, messages)
        if is_long(data, walked[0], self._limit):
            self._error = MessageTooLong(self._limit)
        return walked

    def _ready(self) -> bool:
        if self._form != "lines":
            return super()._ready()
        end = self._held.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._held)
            if is_long(self._held, 0, self._limit):
                self._error = MessageTooLong(self._limit)
            return False
        self._needed = end + 1
        return True

    def _recover(self, error: FramingError) -> bool:
        if self._form != "lines":
            return super()._recover(error)
        self._to_skip = 1
        self._searched = 0
        return True

    def _skip(self, data: bytes) -> bool:
        if self._form != "lines":
            return super()._skip(data)
        self._held += data
        end = self._held.find(b"\n")
        if end < 0:
            self._held.clear()
            return False
        del self._held[: end + 1]
        self._to_skip = 0
        return True

    def _truncated(self, held: bytes) -> TruncatedMessage:
        if self._form != "lines":
            return super()._truncated(held)
        return TruncatedMessage(None, len(held), "the line feed")
