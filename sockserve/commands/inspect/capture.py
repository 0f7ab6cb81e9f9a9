"""The TCP streams in captured packets: each direction on its own, in order, without what was sent twice."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from sockserve.commands.inspect.reading import Stream, Unreadable

_SYN = 0x02
_NUMBERS = 1 << 32


@dataclass(slots=True)
class _Direction:
    """name: `10.0.0.1:4711 > 10.0.0.2:7000`. first: the number of its first byte, where the capture has its beginning.

    last: the number of the last segment. segments: the bytes by their number, in the order in which they came.
    """

    name: str
    first: int | None
    last: int
    segments: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, number: int, payload: bytes) -> None:
        # Numbers have 32 bits; this one is near the last.
        self.last += (number - self.last + _NUMBERS // 2) % _NUMBERS - _NUMBERS // 2
        if payload:
            self.segments.append((self.last, payload))

    def stream(self) -> Stream:
        """The bytes up to the first that the capture lacks. What came first is right."""
        known = sorted(self.segments, key=lambda segment: segment[0])
        at = first = known[0][0] if self.first is None else self.first
        data = bytearray()
        for number, payload in known:
            if number > at:
                return Stream(self.name, bytes(data), f"{number - at} bytes after byte {at - first} were not captured")
            data += payload[at - number :]
            at = max(at, number + len(payload))
        return Stream(self.name, bytes(data), "" if self.first is not None else "its beginning was not captured")


def streams(data: bytes | list[bytes]) -> list[Stream]:
    """The streams in a file of pcap or pcapng, or in IP packets, that have bytes, in the order in which they began.

    Raises Unreadable.
    """
    directions: dict[tuple[Any, ...], _Direction] = {}
    found: list[_Direction] = []
    for source, target, number, flags, payload in _segments(data):
        key = (source, target)
        direction = directions.get(key)
        first = (number + 1) % _NUMBERS if flags & _SYN else None
        if direction is None or (first is not None and direction.segments and direction.first != first):
            name = f"{_address(*source)} > {_address(*target)}"
            direction = directions[key] = _Direction(name, first, number if first is None else first)
            found.append(direction)
        direction.add(number if first is None else first, payload)
    return [direction.stream() for direction in found if direction.segments]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _segments(data: bytes | list[bytes]) -> Iterator[tuple[tuple[str, int], tuple[str, int], int, int, bytes]]:
    """Source, target, number, flags and payload of each TCP segment."""
    # It has warnings about the routes and the libraries of this machine, of which nothing is needed here.
    logging.getLogger("scapy").setLevel(logging.CRITICAL)
    try:
        from scapy.error import Scapy_Exception
        from scapy.layers.inet import IP, TCP
        from scapy.layers.inet6 import IPv6
        from scapy.layers.l2 import Ether  # noqa: F401 - so that these frames are understood
        from scapy.utils import PcapReader
    except ImportError:
        raise Unreadable("captured packets need scapy: pip install 'sockserve[inspect]'") from None
    try:
        # It takes a file, too.
        found = PcapReader(cast("str", io.BytesIO(data))) if isinstance(data, bytes) else map(_packet, data)
        for packet in found:
            if not packet.haslayer(TCP):
                continue
            tcp = packet[TCP]
            ip = packet[IP] if packet.haslayer(IP) else packet[IPv6]
            # Without the padding of short Ethernet frames.
            payload = tcp.original[4 * tcp.dataofs :]
            yield (ip.src, tcp.sport), (ip.dst, tcp.dport), tcp.seq, int(tcp.flags), payload
    except (Scapy_Exception, EOFError) as error:
        raise Unreadable(f"not a capture of pcap or pcapng: {error}") from None


def _packet(data: bytes) -> Any:  # noqa: ANN401 - scapy's
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6

    return IPv6(data) if data[0] >> 4 == 6 else IP(data)
