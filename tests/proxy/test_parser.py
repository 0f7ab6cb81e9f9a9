"""PROXY headers as bytes: what they mean, whole and in pieces, and what is refused.

The situations are those of the suites of Ranch (ranch_proxy_header.erl) and Netty (HAProxyMessageDecoderTest), and of
the specification; the bytes are written here.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from sockserve.proxy import tlv as tlv_module
from sockserve.proxy.binary import MAX_SIZE, SIGNATURE
from sockserve.proxy.header import ClientTLS, Header, HeaderError
from sockserve.proxy.parsing import parse
from sockserve.proxy.tlv import crc32c

HTTP = b"GET / HTTP/1.1\r\n"


def ip4(host: str, port: int) -> IPv4Address:
    return IPv4Address("TCP", host, port)


def ip6(host: str, port: int) -> IPv6Address:
    return IPv6Address("TCP", host, port)


def v2(rest: bytes, family: int = 0x11, command: int = 0x21, size: int | None = None) -> bytes:
    """A version 2 header; `size` is announced instead of the true one."""
    length = len(rest) if size is None else size
    return SIGNATURE + struct.pack("!BBH", command, family, length) + rest


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def checked(header: bytes) -> bytes:
    """The header with its checksum, whose place holds zeros at the end."""
    return header[:-4] + crc32c(header).to_bytes(4)


def checked_first(header: bytes) -> bytes:
    """The same where the last TLV is another checksum, of zeros."""
    return header[:-11] + crc32c(header).to_bytes(4) + header[-7:]


def unix(source: bytes, destination: bytes) -> bytes:
    return source.ljust(108, b"\0") + destination.ljust(108, b"\0")


# 192.168.0.1:56324 to 192.168.0.11:443.
INET = bytes([192, 168, 0, 1, 192, 168, 0, 11]) + struct.pack("!HH", 56324, 443)
INET6 = bytes.fromhex("20010db885a3000000008a2e03707334105000000000000000050600300c326b") + struct.pack(
    "!HH", 56324, 443
)
ADDRESSES = {"source": ip4("192.168.0.1", 56324), "destination": ip4("192.168.0.11", 443)}
TLS = {"certificate": True, "verified": True}

GOOD: dict[str, tuple[bytes, dict[str, Any]]] = {
    "v1 TCP4": (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", ADDRESSES),
    "v1 TCP4, the longest": (
        b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        {"source": ip4("255.255.255.255", 65535), "destination": ip4("255.255.255.255", 65535)},
    ),
    "v1 TCP4, the smallest": (
        b"PROXY TCP4 0.0.0.0 1.2.3.4 0 1\r\n",
        {"source": ip4("0.0.0.0", 0), "destination": ip4("1.2.3.4", 1)},
    ),
    "v1 TCP6": (
        b"PROXY TCP6 2001:0db8:0000:0042:0000:8a2e:0370:7334 2001:DB8::1 4124 443\r\n",
        {"source": ip6("2001:db8:0:42:0:8a2e:370:7334", 4124), "destination": ip6("2001:db8::1", 443)},
    ),
    "v1 TCP6, the longest": (
        b"PROXY TCP6 " + 2 * (b"ffff:" * 7 + b"ffff ") + b"65535 65535\r\n",
        {"source": ip6("ffff:" * 7 + "ffff", 65535), "destination": ip6("ffff:" * 7 + "ffff", 65535)},
    ),
    "v1 TCP6 with an IPv4 client, as HAProxy writes it": (
        b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4124 443\r\n",
        {"source": ip6("::ffff:192.0.2.7", 4124), "destination": ip6("::1", 443)},
    ),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", {}),
    "v1 UNKNOWN with addresses": (b"PROXY UNKNOWN 192.168.0.1 192.168.0.11 56324 443\r\n", {}),
    "v1 UNKNOWN with ports only": (b"PROXY UNKNOWN 4124 443\r\n", {}),
    "v1 UNKNOWN, the longest": (b"PROXY UNKNOWN " + 2 * (b"ffff:" * 7 + b"ffff ") + b"65535 65535\r\n", {}),
    "v1 UNKNOWN with anything": (b"PROXY UNKNOWN \xff\r \n\0\r\n", {}),
    "v2 TCP over IPv4": (v2(INET), ADDRESSES),
    "v2 TCP over IPv6": (
        v2(INET6, 0x21),
        {
            "source": ip6("2001:db8:85a3::8a2e:370:7334", 56324),
            "destination": ip6("1050::5:600:300c:326b", 443),
        },
    ),
    "v2 unix": (
        v2(unix(b"/var/run/src.sock", b"/var/run/dest.sock"), 0x31),
        {"source": UNIXAddress(b"/var/run/src.sock"), "destination": UNIXAddress(b"/var/run/dest.sock")},
    ),
    "v2 unix, a client without a name and an abstract server": (
        v2(unix(b"", b"\0orders"), 0x31),
        {"source": UNIXAddress(None), "destination": UNIXAddress(b"@orders")},
    ),
    "v2 unix, no NUL behind the path": (
        v2(unix(b"/" + b"a" * 107, b"/b"), 0x31),
        {"source": UNIXAddress(b"/" + b"a" * 107), "destination": UNIXAddress(b"/b")},
    ),
    "v2 UDP over IPv4 has nothing for a stream": (v2(INET, 0x12), {}),
    "v2 UDP over IPv6": (v2(INET6, 0x22), {}),
    "v2 unix datagrams": (v2(unix(b"/a", b"/b"), 0x32), {}),
    "v2 LOCAL": (v2(b"", 0, 0x20), {"local": True}),
    "v2 LOCAL with bytes to skip": (v2(INET, 0, 0x20), {"local": True}),
    "v2 LOCAL, whatever its family": (v2(b"", 0xFF, 0x20), {"local": True}),
    "v2 UNSPEC": (v2(b"", 0), {}),
    "v2 UNSPEC with bytes to skip": (v2(INET, 0), {}),
    "v2 of the greatest size": (
        v2(INET + tlv(4, bytes(MAX_SIZE - 16 - len(INET) - 3))),
        ADDRESSES,
    ),
    "v2 with a TLV": (
        v2(unix(b"/a", b"/b") + tlv(1, b"\1"), 0x31),
        {"source": UNIXAddress(b"/a"), "destination": UNIXAddress(b"/b"), "alpn": b"\1"},
    ),
    "v2 with all TLVs": (
        v2(
            INET
            + tlv(0x01, b"h2")
            + tlv(0x02, "bücher.example".encode())
            + tlv(0x04, bytes(20))
            + tlv(0x05, b"\0\xff" * 64)
            + tlv(0x30, b"/var/run/netns/example")
            + tlv(0xEA, b"\1instance-id")
            + tlv(0x04, b"")
            + tlv(0xFF, b"")
        ),
        {
            **ADDRESSES,
            "alpn": b"h2",
            "authority": "bücher.example",
            "unique_id": b"\0\xff" * 64,
            "namespace": "/var/run/netns/example",
            "others": ((0xEA, b"\1instance-id"), (0xFF, b"")),
        },
    ),
    "v2 with TLS": (
        v2(
            INET
            + tlv(
                0x20,
                b"\7\0\0\0\0"
                + tlv(0x21, b"TLSv1.3")
                + tlv(0x22, "Bücher".encode())
                + tlv(0x23, b"ECDHE-RSA-AES128-GCM-SHA256")
                + tlv(0x24, b"RSA-SHA256")
                + tlv(0x25, b"RSA2048")
                + tlv(0x26, b"secp256r1")
                + tlv(0x27, b"rsa_pss_rsae_sha256")
                + tlv(0x28, b"\x30\0")
                + tlv(0x99, b"of the future"),
            )
        ),
        {
            **ADDRESSES,
            "tls": ClientTLS(
                **TLS,
                version="TLSv1.3",
                common_name="Bücher",
                cipher="ECDHE-RSA-AES128-GCM-SHA256",
                signature_algorithm="RSA-SHA256",
                key_algorithm="RSA2048",
                group="secp256r1",
                signature_scheme="rsa_pss_rsae_sha256",
                client_certificate=b"\x30\0",
            ),
        },
    ),
    "v2 with TLS and a certificate of its session": (
        v2(INET + tlv(0x20, b"\5\0\0\0\0")),
        {**ADDRESSES, "tls": ClientTLS(certificate=True, verified=True)},
    ),
    "v2 with TLS and a bad certificate": (
        v2(INET + tlv(0x20, b"\3\0\0\0\x0a")),
        {**ADDRESSES, "tls": ClientTLS(certificate=True, verified=False)},
    ),
    "v2 with TLS and no certificate is not verified, whatever the result says": (
        v2(INET + tlv(0x20, b"\1\0\0\0\0")),
        {**ADDRESSES, "tls": ClientTLS(certificate=False, verified=False)},
    ),
    "v2 of a client without TLS": (v2(INET + tlv(0x20, b"\0\0\0\0\1")), ADDRESSES),
    "v2 with a checksum": (checked(v2(INET + tlv(3, bytes(4)))), ADDRESSES),
    # A header of an AWS endpoint service, as Ranch's suite has it.
    "v2 with the checksum that AWS has computed": (
        v2(
            bytes.fromhex("ac1f0771ac1f0a1fc8f20050030004e8d6892d")
            + tlv(0xEA, b"\1vpce-08d2bf15fac5001c9")
            + tlv(4, bytes(36))
        ),
        {
            "source": ip4("172.31.7.113", 51442),
            "destination": ip4("172.31.10.31", 80),
            "others": ((0xEA, b"\1vpce-08d2bf15fac5001c9"),),
        },
    ),
}

BAD: dict[str, tuple[bytes, str]] = {
    "another protocol": (HTTP, "no PROXY header, it begins with b'G'"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01", "no PROXY header, it begins with b'\\x16'"),
    "another command": (b"PING TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "no PROXY header, it begins with b'PI'"),
    "lower case": (b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "no PROXY header, it begins with b'p'"),
    "no space behind PROXY": (b"PROXY\r\n", "no PROXY header, it begins with b'PROXY\\r'"),
    "v1 two spaces": (b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "unknown protocol ''; accepted: TCP4, TCP6, UNKNOWN"),
    "v1 UDP4": (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "unknown protocol 'UDP4'; accepted: TCP4, TCP6, UNKNOWN"),
    "v1 TCP7": (b"PROXY TCP7 1.2.3.4 1.2.3.4 1 2\r\n", "unknown protocol 'TCP7'; accepted: TCP4, TCP6, UNKNOWN"),
    "v1 UNKNOWNS": (b"PROXY UNKNOWNS\r\n", "unknown protocol 'UNKNOWNS'; accepted: TCP4, TCP6, UNKNOWN"),
    "v1 bytes above ASCII": (
        b"PROXY TCP4 \xef\xbc\x91.2.3.4 1.2.3.4 1 2\r\n",
        "'\\\\xef\\\\xbc\\\\x91.2.3.4' is no address of TCP4",
    ),
    "v1 port missing": (
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "3 fields after TCP4; accepted: two addresses and two ports",
    ),
    "v1 field too many": (
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "5 fields after TCP4; accepted: two addresses and two ports",
    ),
    "v1 space at the end": (
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "5 fields after TCP4; accepted: two addresses and two ports",
    ),
    "v1 port above 65535": (b"PROXY TCP4 1.2.3.4 1.2.3.4 99999 2\r\n", "'99999' is no port"),
    "v1 second port above 65535": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "'65536' is no port"),
    "v1 port of seven digits": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1111111 2\r\n", "'1111111' is no port"),
    "v1 leading zero of a port": (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "'01' is no port"),
    "v1 port with a sign": (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", "'+1' is no port"),
    "v1 port with an underscore": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1_0 2\r\n", "'1_0' is no port"),
    "v1 port of letters": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 foo\r\n", "'foo' is no port"),
    "v1 empty port": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", "'' is no port"),
    "v1 number above 255": (b"PROXY TCP4 999.2.3.4 1.2.3.4 1 2\r\n", "'999.2.3.4' is no address of TCP4"),
    "v1 number of four digits": (
        b"PROXY TCP4 192.1638.0.1 192.168.0.11 56324 443\r\n",
        "'192.1638.0.1' is no address of TCP4",
    ),
    "v1 leading zero of an address": (b"PROXY TCP4 1.2.3.4 01.2.3.4 1 2\r\n", "'01.2.3.4' is no address of TCP4"),
    "v1 three numbers": (b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "'1.2.3' is no address of TCP4"),
    "v1 IPv6 in TCP4": (b"PROXY TCP4 ::1 ::1 1 2\r\n", "'::1' is no address of TCP4"),
    "v1 IPv4 in TCP6": (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "'1.2.3.4' is no address of TCP6"),
    "v1 IPv6 with a letter": (b"PROXY TCP6 r001::1 ::1 1 2\r\n", "'r001::1' is no address of TCP6"),
    "v1 IPv6 with a semicolon": (
        b"PROXY TCP6 ::1 2001:0db8:00;0:0042:0000:8a2e:0370:7335 1 2\r\n",
        "'2001:0db8:00;0:0042:0000:8a2e:0370:7335' is no address of TCP6",
    ),
    "v1 IPv6 with two gaps": (b"PROXY TCP6 1::2::3 ::1 1 2\r\n", "'1::2::3' is no address of TCP6"),
    "v1 IPv6 with the name of a link": (b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n", "'fe80::1%lo' is no address of TCP6"),
    "v1 LF alone": (
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 443\n" + HTTP,
        "6 fields after TCP4; accepted: two addresses and two ports",
    ),
    "v1 CR alone": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 443\r\r\n", "'443\\r' is no port"),
    "v1 no end": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 " + b"0" * 90, "no CRLF within 107 bytes"),
    "v1 one byte too long": (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "no CRLF within 107 bytes"),
    "v2 wrong in its signature": (
        SIGNATURE[:-1] + b"\r!",
        "no PROXY header, it begins with b'\\r\\n\\r\\n\\x00\\r\\nQUIT\\r'",
    ),
    "v2 version 3": (
        v2(INET, command=0x31),
        "unknown version and command 0x31; accepted: 0x20 (LOCAL), 0x21 (PROXY)",
    ),
    "v2 command 2": (
        v2(INET, command=0x22),
        "unknown version and command 0x22; accepted: 0x20 (LOCAL), 0x21 (PROXY)",
    ),
    **{
        f"v2 {what}": (
            v2(INET6, kind),
            f"unknown family and protocol 0x{kind:02x}; accepted: 0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32",
        )
        for what, kind in (
            ("family 4", 0x41),
            ("protocol 3", 0x13),
            ("IPv4 without a protocol", 0x10),
            ("IPv6 without a protocol", 0x20),
            ("unix without a protocol", 0x30),
            ("a stream without a family", 0x01),
            ("datagrams without a family", 0x02),
        )
    },
    "v2 addresses too short": (v2(INET[:10]), "10 bytes of addresses, those of family 1 have 12"),
    "v2 no addresses": (v2(b"", 0x31), "0 bytes of addresses, those of family 3 have 216"),
    "v2 one byte too long": (
        v2(bytes(MAX_SIZE - 15)),
        "a header of 4097 bytes; accepted: 4096 at the most",
    ),
    "v2 LOCAL too long": (
        v2(b"", 0, 0x20, size=65535),
        "a header of 65551 bytes; accepted: 4096 at the most",
    ),
    "v2 TLV cut off": (v2(INET + b"\1\0"), "a TLV is cut off, 2 bytes are left of it"),
    "v2 TLV too long": (v2(INET + b"\1\0\2a"), "TLV 0x01 announces 2 bytes, 1 are left"),
    "v2 TLV twice": (v2(INET + tlv(2, b"a") + tlv(2, b"b")), "TLV 0x02 comes twice"),
    "v2 TLS twice": (v2(INET + 2 * tlv(0x20, b"\1\0\0\0\0")), "TLV 0x20 comes twice"),
    "v2 unique id too long": (v2(INET + tlv(5, bytes(129))), "a unique id of 129 bytes; accepted: 128 at the most"),
    "v2 authority that is no text": (v2(INET + tlv(2, b"\xff")), "TLV 0x02 is not utf-8"),
    "v2 namespace above ASCII": (v2(INET + tlv(0x30, b"\xff")), "TLV 0x30 is not ascii"),
    "v2 TLS too short": (v2(INET + tlv(0x20, b"\1\0\0\0")), "TLV 0x20 has 4 bytes, it needs 5"),
    "v2 TLS within TLS": (
        v2(INET + tlv(0x20, b"\1\0\0\0\0" + tlv(0x20, b"\1\0\0\0\0"))),
        "TLV 0x20 within TLV 0x20",
    ),
    "v2 TLV within TLS too long": (
        v2(INET + tlv(0x20, b"\1\0\0\0\0\x21\0\2a") + tlv(4, b"abc")),
        "TLV 0x21 announces 2 bytes, 1 are left",
    ),
    "v2 TLS version twice": (
        v2(INET + tlv(0x20, b"\1\0\0\0\0" + 2 * tlv(0x21, b"TLSv1.3"))),
        "TLV 0x21 comes twice",
    ),
    "v2 wrong checksum": (v2(INET + tlv(3, b"abcd")), "the checksum (CRC32c) does not match"),
    "v2 a right checksum, and another": (checked_first(v2(INET + 2 * tlv(3, bytes(4)))), "TLV 0x03 comes twice"),
    "v2 checksum of three bytes": (v2(INET + tlv(3, b"abc")), "a checksum (CRC32c) of 3 bytes; accepted: 4"),
}


def outcome(data: bytes | bytearray) -> Header | str | None:
    try:
        return parse(data)
    except HeaderError as error:
        return str(error)


def grown(data: bytes) -> tuple[int, Header | str | None]:
    """What comes out when the bytes arrive one by one, and behind how many of them."""
    for count in range(len(data) + 1):
        result = outcome(data[:count])
        if result is not None:
            return count, result
    return len(data), None


class ParserTests(SynchronousTestCase):
    maxDiff = None

    def test_good_headers_in_one_piece_and_with_more_behind(self) -> None:
        for name, (data, values) in GOOD.items():
            version = 1 if data.startswith(b"PROXY") else 2
            header = Header(size=len(data), version=version, **values)
            self.assertEqual(outcome(data), header, name)
            self.assertEqual(outcome(data + HTTP), header, name)
            self.assertEqual(outcome(data + data), header, name)

    def test_good_headers_byte_by_byte(self) -> None:
        for name, (data, _) in GOOD.items():
            self.assertEqual(grown(data + HTTP), (len(data), outcome(data)), name)

    def test_bad_headers_are_refused_with_one_line(self) -> None:
        for name, (data, line) in BAD.items():
            self.assertEqual(outcome(data), line, name)
            self.assertNotIn("\n", line)

    def test_bad_headers_are_refused_with_the_same_line_byte_by_byte(self) -> None:
        for name, (data, line) in BAD.items():
            count, result = grown(data + HTTP)
            self.assertEqual(result, line, name)
            self.assertLessEqual(count, len(data), name)

    def test_a_header_that_cannot_be_is_refused_at_the_first_byte_that_says_so(self) -> None:
        for data, count in (
            (HTTP, 1),
            (b"PROXy", 5),
            (SIGNATURE[:4] + b"x", 5),
            (v2(INET, command=0x22), 13),
            (v2(INET, 0x41), 14),
            (v2(b"", size=65535), 16),
            (b"PROXY UNKNOWN" + b" " * 200, 107),
        ):
            self.assertEqual(grown(data)[0], count, data)

    def test_of_all_families_and_protocols_those_are_taken_that_are_defined(self) -> None:
        addresses = bytes(216)
        taken = {kind for kind in range(256) if isinstance(outcome(v2(addresses, kind)), Header)}
        self.assertEqual(taken, {0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32})
        local = {kind for kind in range(256) if isinstance(outcome(v2(addresses, kind, 0x20)), Header)}
        self.assertEqual(local, set(range(256)))

    def test_the_checksum_is_computed_once_however_often_it_comes(self) -> None:
        calls: list[int] = []

        def counted(data: bytes) -> int:
            calls.append(len(data))
            return 0

        self.patch(tlv_module, "crc32c", counted)
        outcome(v2(INET + 500 * tlv(3, bytes(4))))
        self.assertEqual(len(calls), 1)

    def test_a_bytearray_is_read_like_bytes(self) -> None:
        for data, _ in (*GOOD.values(), *BAD.values()):
            self.assertEqual(outcome(bytearray(data)), outcome(data))

    def test_crc32c_of_the_tables_of_rfc_3720(self) -> None:
        # Appendix B.4, there with the bytes of each number in the order of the wire.
        for data, expected in (
            (bytes(32), 0x8A9136AA),
            (b"\xff" * 32, 0x62A8AB43),
            (bytes(range(32)), 0x46DD794E),
            (bytes(reversed(range(32))), 0x113FDB5C),
        ):
            self.assertEqual(crc32c(data), expected)


ports = st.integers(0, 65535)
hosts4 = st.ip_addresses(v=4).map(str)
hosts6 = st.ip_addresses(v=6).map(lambda host: socket.inet_ntop(socket.AF_INET6, host.packed))
tlvs = st.lists(
    st.tuples(st.integers(0xE0, 0xFF), st.binary(max_size=40)),
    max_size=6,
)


class PropertyTests(SynchronousTestCase):
    @given(st.data(), st.sampled_from([4, 6]), ports, ports, st.binary(max_size=20))
    def test_version_1_says_what_was_put_in(
        self, data: st.DataObject, family: int, one: int, two: int, rest: bytes
    ) -> None:
        hosts, address = (hosts4, ip4) if family == 4 else (hosts6, ip6)
        source, destination = data.draw(hosts), data.draw(hosts)
        line = f"PROXY TCP{family} {source} {destination} {one} {two}\r\n".encode()
        header = Header(size=len(line), version=1, source=address(source, one), destination=address(destination, two))
        self.assertEqual(outcome(line + rest), header)
        self.assertEqual(grown(line), (len(line), header))

    @given(hosts4, hosts4, ports, ports, tlvs, st.binary(max_size=20))
    def test_version_2_says_what_was_put_in(
        self, source: str, destination: str, one: int, two: int, others: list[tuple[int, bytes]], rest: bytes
    ) -> None:
        body = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", one, two)
        data = checked(v2(body + b"".join(tlv(*each) for each in others) + tlv(3, bytes(4))))
        header = Header(
            size=len(data),
            version=2,
            source=ip4(source, one),
            destination=ip4(destination, two),
            others=tuple(others),
        )
        self.assertEqual(outcome(data + rest), header)
        self.assertEqual(grown(data), (len(data), header))

    @given(
        st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\0", v2(INET, size=60)]),
        st.binary(max_size=200),
    )
    @example(b"PROXY TCP4 ", b"\xff\xfe 1.2.3.4 1 2\r\n")
    def test_garbage_ends_as_one_line_or_a_header_or_waits_for_a_bounded_number_of_bytes(
        self, start: bytes, garbage: bytes
    ) -> None:
        data = start + garbage
        result = outcome(data)
        if result is None:
            self.assertLess(len(data), MAX_SIZE)
            # Enough of anything ends the wait.
            self.assertIsNotNone(outcome(data + bytes(MAX_SIZE)))
        elif isinstance(result, str):
            self.assertEqual(result.splitlines(), [result])
        else:
            self.assertLessEqual(result.size, len(data))
        count, found = grown(data)
        self.assertEqual((count, found), (count, outcome(data[:count])))
        self.assertEqual(found, result)

    @given(st.sampled_from(sorted(GOOD)), st.data())
    def test_a_good_header_with_one_byte_changed_never_ends_in_anything_else(
        self, name: str, data: st.DataObject
    ) -> None:
        header = bytearray(GOOD[name][0])
        place = data.draw(st.integers(0, len(header) - 1))
        header[place] ^= data.draw(st.integers(1, 255))
        result = outcome(bytes(header) + bytes(MAX_SIZE))
        self.assertIsInstance(result, str | Header)
