"""mllp: the minimal lower layer protocol of HL7 version 2: VT, the message, FS, CR.

    \\x0bHello World\\x1c\\r

Origin: HL7 version 2, Implementation Support Guide (the Transport Specification), appendix C, "Minimal Lower Layer
Protocol". Some senders put a line end after the frame, which is not in it; so CR and LF between two frames are ignored.
Anything else there is a bad frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sockserve.framing.envelope import Envelope, EnvelopeDecoder


@dataclass(frozen=True, slots=True)
class Mllp(Envelope):
    start: bytes = field(default=b"\x0b", init=False, repr=False)
    end: bytes = field(default=b"\x1c\r", init=False, repr=False)

    def __str__(self) -> str:
        return "mllp"

    def decoder(self) -> EnvelopeDecoder:
        return EnvelopeDecoder(self, self.start, self.end, overlaps=self.overlaps, ignores_lines=True)
