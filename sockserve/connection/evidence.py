"""The line that the log has of a bad frame. The first one of a connection shows the bytes, and what they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from sockserve.text import printable

if TYPE_CHECKING:
    from sockserve.connection.engine import Engine
    from sockserve.framing.errors import FramingError
    from sockserve.limits.events import BadFrame

log = Logger("sockserve.connection")

# Bytes that the line shows: the last ones before the bad frame, and its first ones.
_BEFORE = 8
_OF_FRAME = 24


def log_bad_frame(connection: Engine, error: FramingError, action: str) -> None:
    """Write it. action: what is done about it."""
    telling = connection.telling
    evidence = telling.evidence if telling.bad_frames == 1 else None

    def write() -> None:
        text, attributes = f"{printable(error)}; {action}", telling.attributes
        if evidence is not None and evidence.frame:
            shown, more = _shown(evidence)
            text, attributes = text + shown, {**attributes, **more}
        log.warn(
            "{peer}: {text}", peer=telling.peer, text=text, event_name="sockserve.frame.bad", attributes=attributes
        )

    # Of a flood, most lines are left out, and what they would have said is not looked for.
    connection.options.events.line("on_bad_frame", write)


def _shown(evidence: BadFrame) -> tuple[str, dict[str, object]]:
    """What the line says of the bytes, and the same for programs."""
    # Loaded when it is needed: most servers never do.
    from sockserve.inspection.hints import hint, other_framing

    before, frame, framing = evidence.before, evidence.frame, str(evidence.framing)
    shown = "; bytes "
    if before:
        shown += "... " * (len(before) > _BEFORE) + before[-_BEFORE:].hex(" ") + " | "
    shown += frame[:_OF_FRAME].hex(" ") + " ..." * (len(frame) > _OF_FRAME)
    attributes: dict[str, object] = {
        "sockserve.frame.error": evidence.kind,
        "sockserve.frame.framing": framing,
        "sockserve.frame.before": before.hex(),
        "sockserve.frame.bytes": frame.hex(),
    }
    said = hint(frame, framing, evidence.kind)
    if said:
        shown += f"; {said}"
        attributes["sockserve.frame.fits"] = other_framing(frame, framing, evidence.kind)[0]
    return shown, attributes
