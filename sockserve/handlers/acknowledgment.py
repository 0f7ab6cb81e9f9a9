"""Acknowledgments of HL7 v2 messages: what the header of a message asks for, and how they are written.

As chapter 2 of the standard has it: the header of a message (MSH-15 and MSH-16) says when its sender wants to know that
the message was accepted, and when what the application made of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from secrets import token_hex

from sockserve.text import printable

# Conditions of an acknowledgment, table 0155, with what is told: a success, and an error. Whoever writes another one is
# better told too much than left waiting.
_ALWAYS = (True, True)
_NEVER = (False, False)
_CONDITIONS = {b"AL": _ALWAYS, b"NE": _NEVER, b"SU": (True, False), b"ER": (False, True)}

# The empty value, and the one that HL7 calls null.
_NULL = (b"", b'""')

_PUNCTUATION = rb"[!-/:-@\[-`{-~]"
_BEGIN = re.compile(rb"MSH(" + _PUNCTUATION + rb")")
_ENCODING = re.compile(_PUNCTUATION + rb"{1,5}")
_VERSION = re.compile(rb"2(?:\.[0-9]{1,3}){1,2}")
# How the encoding characters are written inside text, in their order in MSH-2.
_ESCAPES = b"SRETP"
_LONGEST_TEXT = 80


class NotHL7(ValueError):
    """Bytes that are no HL7 v2 message. str() says why, in words that do not show them."""


@dataclass(frozen=True, slots=True)
class Error:
    """What an acknowledgment says of an error: a code of table 0357 with its name, and text for people."""

    code: bytes
    name: bytes
    text: str


INTERNAL = Error(b"207", b"Application internal error", "application internal error")
NO_ID = Error(b"101", b"Required field missing", "MSH-10, the message control ID, is missing")


def refusal(reason: str) -> Error:
    """A message that the application refuses, and why. None of the codes is nearer."""
    return Error(INTERNAL.code, INTERNAL.name, reason)


class MessageHeader:
    """The MSH segment of a message. Raises NotHL7.

    fields: by their numbers in the standard; absent ones are left out at the end.
    accept, application: whether a success, and an error, is to be told: at the level of transport (CA, CE, CR), and at
        that of the application (AA, AE, AR).
    """

    __slots__ = ("accept", "application", "fields")

    def __init__(self, message: bytes) -> None:
        found = _BEGIN.match(message)
        if found is None:
            reason = (
                "no field separator comes after MSH" if message.startswith(b"MSH") else "it does not begin with MSH"
            )
            raise NotHL7(reason)
        separator = found[1]
        # Segments end in CR; some senders write LF.
        segment = re.split(rb"[\r\n]", message, maxsplit=1)[0]
        self.fields = [b"MSH", separator, *segment.split(separator)[1:]]
        encoding = self[2]
        if not _ENCODING.fullmatch(encoding) or len({*encoding}) < len(encoding):
            raise NotHL7("MSH-2 is not the encoding characters")
        accept, application = self[15], self[16]
        if self.kind[:1] in ([b"ACK"], [b"MCF"]):
            # Acknowledging acknowledgments would never end.
            self.accept = self.application = _NEVER
        elif accept in _NULL and application in _NULL:
            self.accept, self.application = _NEVER, _ALWAYS
        else:
            self.accept, self.application = _condition(accept), _condition(application)

    def __getitem__(self, number: int) -> bytes:
        """A field of the MSH segment; empty if it is not there."""
        return self.fields[number] if number < len(self.fields) else b""

    @property
    def silent(self) -> bool:
        """Whether its sender wants to be told nothing."""
        return self.accept == self.application == _NEVER

    @property
    def kind(self) -> list[bytes]:
        """The components of MSH-9: the type of the message, and what has triggered it."""
        return self[9].split(self[2][:1])

    @property
    def version(self) -> tuple[int, ...]:
        """Such as (2, 5, 1); () if that cannot be told."""
        text = self[12].split(self[2][:1])[0]
        return tuple(map(int, text.split(b"."))) if _VERSION.fullmatch(text) else ()


def _condition(value: bytes) -> tuple[bool, bool]:
    return _NEVER if value in _NULL else _CONDITIONS.get(value.upper(), _ALWAYS)


def acknowledge(header: MessageHeader, code: bytes, error: Error | None = None) -> bytes:
    """The acknowledgment of a message: MSH, MSA, and from version 2.5 on, for an error, ERR.

    code: of table 0008. The separators, the version, the processing id and the character set are those of the message.
    """
    separator, encoding, version = header[1], header[2], header.version
    component = encoding[:1]
    trigger = header.kind[1] if len(header.kind) > 1 else b""
    kind = [b"ACK", trigger, b"ACK"] if trigger else [b"ACK"]
    now = datetime.now().astimezone().strftime("%Y%m%d%H%M%S%z").encode()
    msh = [b"MSH", encoding, header[5], header[6], header[3], header[4], now, b""]
    msh += [component.join(kind), _next_id(), header[11], header[12]]
    if header[18]:
        msh += [b"", b"", b"", b"", b"", header[18]]
    msa = [b"MSA", code, header[10]]
    segments = [msh, msa]
    if error is not None:
        text = _escaped(header)(error.text)
        if version < (2, 7):
            msa.append(text)
        if version >= (2, 5):
            coded = component.join([error.code, error.name, b"HL70357"])
            segments.append([b"ERR", b"", b"", coded, b"E", b"", b"", b"", text])
    return b"".join(separator.join(segment) + b"\r" for segment in segments)


def _escaped(header: MessageHeader) -> Callable[[str], bytes]:
    """Writes text with the separators of the message escaped."""
    encoding = header[2]
    escape = encoding[2:3]
    names = {header[1]: b"F", **{encoding[at : at + 1]: _ESCAPES[at : at + 1] for at in range(len(encoding))}}
    table = {ord(byte): (escape + name + escape if escape else b" ").decode("latin-1") for byte, name in names.items()}
    return lambda text: printable(text, _LONGEST_TEXT).translate(table).encode("ascii", "replace")


# Of one process: twenty characters, which is what older versions allow.
_FIRST = token_hex(5).upper()
_numbers = count(1)


def _next_id() -> bytes:
    """A message control ID that was not there before."""
    return f"{_FIRST}{next(_numbers):010}".encode()
