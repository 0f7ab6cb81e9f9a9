"""`sockserve inspect`: which framings fit, what it reads, and what it shows."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from sockserve.commands.inspect import command
from sockserve.commands.inspect.reading import Unreadable, from_hex, recognise
from sockserve.commands.main import main
from sockserve.framing import NAMES, parse
from sockserve.inspection import fitting
from sockserve.inspection.candidates import PARAMETERS, candidates, known_candidates
from sockserve.inspection.fitting import rank
from sockserve.inspection.frames import frames
from sockserve.inspection.words import named
from tests.support.cases import EXAMPLES, message_of
from tests.support.commands import outcome
from tests.support.processes import ROOT, run

WINDEV = b"11\r\nHello World0\r\n19\r\nmore text <&> here."

RESULT = (
    b"MSH|^~\\&|LAB|HOSP|EHR|HOSP|20261104113521||ORU^R01|MSG%d|P|2.5\rPID|1||%07d^^^HOSP||DOE^JANE||19700101|F\r"
    b"OBR|1|||GLU\rOBX|1|NM|GLU||%d.4|mmol/L|||||F\r"
)
FIELD = {
    "mllp": [RESULT % (number, 7919 * number, number + 3) for number in (1, 2, 3)],
    "mbap": [
        struct.pack(">HHHB", number, 0, len(pdu) + 1, 1) + pdu
        for number, pdu in enumerate(
            (b"\x03\x04\x01\x2c\x7f\x03", b"\x83\x02", b"\x03\x02\x12\x34", b"\x83\x02", b"\x03\x04\0\0\x09\xc4"), 256
        )
    ],
    "tpkt": [
        bytes.fromhex(f"0300 00{len(body) + 4:02x}") + body for body in (b"\x02\xf0\x802\1abcdefg", b"\x11\xe0\0\0\0")
    ],
    "octets": [b"<34>Nov  4 10:17:0%d host su[%d]: session opened\n" % (number, number * 97) for number in (1, 2, 3)],
    "digits:4": [b"08008238000000000000%010d%06d" % (1104101700 + number, number * 7919) for number in (1, 2, 3)],
    "slip": [struct.pack("<BHhf", number, 47123 + 997 * number, -40, 21.5 + number / 7) for number in range(6)],
    "cobs": [struct.pack("<BHhf", number, 47123 + 997 * number, -40, 21.5 + number / 7) for number in range(6)],
    "dle": [struct.pack("<BHhf", number, 47123 + 997 * number, -40, 21.5 + number / 7) for number in range(6)],
    "envelope:\\x02:\\x03:astm": [
        b"1H|\\^&|||Analyzer|||||||P|1\r",
        b"2P|1||17\r",
        b"3R|1|^^^GLU|5.4|mmol/L\r",
        b"4L|1|N\r",
    ],
    "content-length": [b'{"jsonrpc":"2.0","id":%d,"method":"shutdown","params":{"x":%d}}' % (n, 9**n) for n in (1, 2)],
    "json": [b'{"cmd": "get", "n": %d, "of": {"a": [1, 2]}}' % (number * 997) for number in (1, 2, 3)],
}
"""By framing, what is sent in the field."""


class InspectCase(SynchronousTestCase):
    def file(self, data: bytes, name: str = "bytes") -> str:
        path = Path(self.mktemp())
        path.mkdir()
        (path / name).write_bytes(data)
        return str(path / name)

    def inspect(self, *arguments: str, stdin: bytes | None = None, width: int = 100) -> tuple[int, str, str]:
        """The exit status, and what it prints."""
        said, complained = io.StringIO(), io.StringIO()
        given = io.TextIOWrapper(io.BytesIO(stdin or b""))
        with (
            contextlib.redirect_stdout(said),
            patch.object(sys, "__stderr__", complained),
            patch.object(sys, "__stdin__", given),
            patch.dict(os.environ, {"COLUMNS": str(width)}),
        ):
            status = main(["inspect", *arguments])
        return status, said.getvalue(), complained.getvalue()


class RankTests(SynchronousTestCase):
    def test_each_framing_is_found_in_what_it_sends(self) -> None:
        for form, name in EXAMPLES.items():
            kind = form.partition(":")[0]
            if kind in ("raw", "fixed", "eof"):
                continue
            framing = parse(name)
            data = b"".join(framing.encode(message_of(name, length)) for length in (11, 17, 30, 12))
            fits = rank(candidates(data), data)
            same = str(framing).replace("buffered:", "standard:")
            (own,) = [fit for fit in fits if same in (fit.name, *fit.same)]
            self.assertGreaterEqual(own.score, 50, form)
            # A delimiter of one byte is easily met by chance.
            if own.own > own.messages:
                self.assertEqual(own, fits[0], form)

    def test_each_form_of_name_takes_part(self) -> None:
        tried = {candidate.name.partition(":")[0] for candidate in candidates(b"$5\r\nhello\r\n")}
        self.assertEqual(tried, {name.partition(":")[0] for name in NAMES})

    def test_every_known_parameter_is_accepted(self) -> None:
        names = {candidate.name for candidate in known_candidates()}
        for kind, parameters in PARAMETERS.items():
            for text in parameters.known:
                self.assertIn(str(parse(f"{kind}:{text}")), names)

    def test_what_takes_any_bytes_says_nothing(self) -> None:
        for data in (WINDEV, b"hello", bytes(range(256))):
            scores = {fit.name: fit.score for fit in rank(candidates(data), data)}
            self.assertEqual((scores["raw"], scores["eof"]), (0, 0), data)

    def test_random_bytes_hardly_ever_fit(self) -> None:
        from random import Random

        random = Random(5)
        sure = sum(
            fit.score > 75
            for _ in range(20)
            for data in [random.randbytes(120)]
            for fit in rank(known_candidates(), data)
        )
        self.assertLess(sure, 12)

    def test_text_whose_last_line_is_cut_still_looks_like_lines(self) -> None:
        data = b"first line\nsecond line\nthird line\nfou"
        best = rank(candidates(data), data)[0]
        self.assertEqual((best.name, best.messages), ("lines:lf", 3))
        self.assertGreaterEqual(best.score, 40)

    def test_what_devices_send_is_found_however_it_ends(self) -> None:
        for name, messages in FIELD.items():
            whole = b"".join(map(parse(name).encode, messages))
            for data in (whole, whole[:-3]):
                best = rank(candidates(data), data)[0]
                self.assertIn(name, (best.name, *best.same), data)
                if len(data) == len(whole):
                    self.assertEqual((name, 100), (best.name, best.score), data)

    def test_slip_between_two_ends_is_found(self) -> None:
        data = b"".join(b"\xc0" + parse("slip").encode(message) for message in FIELD["slip"])
        best = rank(candidates(data), data)[0]
        self.assertEqual(("slip", 100), (best.name, best.score))

    def test_the_same_bytes_always_have_the_same_score(self) -> None:
        def scores() -> list[tuple[str, int]]:
            return [(fit.name, fit.score) for fit in rank(candidates(WINDEV), WINDEV)]

        self.assertEqual(scores(), scores())


class FrameTests(SynchronousTestCase):
    def parts(self, name: str, data: bytes) -> list[tuple[int, bytes, bytes, bytes, bytes]]:
        found = frames(parse(name), data)
        return [(frame.start, frame.ignored, frame.header, frame.payload, frame.trailer) for frame in found]

    def test_the_parts_of_a_frame_are_the_frame(self) -> None:
        for name in EXAMPLES.values():
            frame = parse(name).encode(message_of(name))
            ((start, ignored, *parts),) = self.parts(name, frame)
            self.assertEqual((start, ignored, b"".join(parts)), (0, b"", frame), name)

    def test_a_message_that_is_in_its_header_too_is_where_it_belongs(self) -> None:
        self.assertEqual(self.parts("windev", b"1\r\n1"), [(0, b"", b"1\r\n", b"1", b"")])
        self.assertEqual(self.parts("netstring", b"0:,"), [(0, b"", b"0:", b"", b",")])
        lrc = "envelope:\\x02:\\x03:lrc"
        frame = parse(lrc).encode(b"\x02")
        self.assertEqual(self.parts(lrc, frame), [(0, b"", b"\x02", b"\x02", frame[2:])])

    def test_what_is_ignored_between_frames_stands_alone(self) -> None:
        self.assertEqual(
            self.parts("mllp", b"\r\n\x0bA\x1c\r\r\n\x0bB\x1c\r"),
            [(0, b"\r\n", b"\x0b", b"A", b"\x1c\r"), (6, b"\r\n", b"\x0b", b"B", b"\x1c\r")],
        )

    def test_an_escaped_message_is_shown_as_it_was_sent(self) -> None:
        self.assertEqual(self.parts("slip", b"a\xdb\xdcb\xc0"), [(0, b"", b"", b"a\xdb\xdcb", b"\xc0")])
        self.assertEqual(self.parts("dle", b"\x10\x02a\x10\x10\x10\x03")[0][3], b"a\x10\x10")

    def test_marks_have_their_names(self) -> None:
        self.assertEqual(named(b"11\r\n"), "11, CR LF")
        self.assertEqual(named(b"\x02"), "02 (STX)")
        self.assertEqual(named(b"\0\0\0\x0b"), "00 00 00 0b")
        self.assertEqual(named(b"\x1c\r"), "1c 0d (FS CR)")


class ReadingTests(InspectCase):
    def test_dumps_of_each_program(self) -> None:
        for name, text in {
            "xxd": "00000000: 3131 0d0a 4865 6c6c 6f20 576f 726c 64    11..Hello World\n",
            "hexdump -C": ("00000000  31 31 0d 0a 48 65 6c 6c  6f 20 57 6f 72 6c 64     |11..Hello World|\n0000000f\n"),
            "od": "0000000 31 31 0d 0a 48 65 6c 6c 6f 20 57 6f 72 6c 64\n0000017\n",
            "od -A x": "000000 31 31 0d 0a 48 65 6c 6c 6f 20 57 6f 72 6c 64\n00000f\n",
            "od -z": "0000000 31 31 0d 0a 48 65 6c 6c 6f 20 57 6f 72 6c 64     >11..Hello World<\n0000017\n",
            "Wireshark": "0000   31 31 0d 0a 48 65 6c 6c 6f 20 57 6f 72 6c 64      11..Hello World\n",
            "xxd -i": "unsigned char x[] = {\n  0x31, 0x31, 0x0d, 0x0a, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x20,\n"
            "  0x57, 0x6f, 0x72, 0x6c, 0x64\n};\nunsigned int x_len = 15;\n",
            "Wireshark's C": "char peer0_0[] = { /* Packet 4 */\n0x31, 0x31, 0x0d, 0x0a, 0x48, 0x65, 0x6c, 0x6c, 0x6f, "
            "0x20, 0x57, 0x6f, 0x72, 0x6c, 0x64 };\n",
            "xxd -p": "31310d0a48656c6c6f20576f726c64\n",
            "pairs": "31 31 0D 0A 48 65 6C 6C 6F 20 57 6F 72 6C 64",
            "a string": r'"\x31\x31\x0d\x0a\x48\x65\x6c\x6c\x6f\x20\x57\x6f\x72\x6c\x64"',
        }.items():
            data = text.encode()
            self.assertEqual((recognise(data), from_hex(data)), ("hex", [b"11\r\nHello World"]), name)

    def test_lines_that_a_dump_leaves_out_are_there(self) -> None:
        text = "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n00000040  01   |.|\n"
        self.assertEqual(from_hex(text.encode()), [bytes(64) + b"\x01"])

    def test_a_dump_cannot_claim_more_than_there_may_be(self) -> None:
        text = "00000000  00 00  |..|\n*\nfffffff0  01   |.|\n"
        with self.assertRaisesRegex(Unreadable, "more than"):
            from_hex(text.encode())

    def test_both_directions_of_wiresharks_dump(self) -> None:
        text = "00000000  32 0d 0a 6f 6b      2..ok\n    00000000  32 0d 0a 6e 6f      2..no\n"
        self.assertEqual(from_hex(text.encode()), [b"2\r\nok", b"2\r\nno"])

    def test_what_is_not_hexadecimal_is_raw(self) -> None:
        for data in (
            b"hello",
            b"2\r\nok",
            b"12345678\n",
            b"11\n22\n33\n",
            b"face",
            b"{}",
            b'{"a": 1}',
            b"0011Hello",
            b"\xff",
        ):
            self.assertEqual(recognise(data), "raw", data)

    def test_the_kind_of_input_can_be_said(self) -> None:
        path = self.file(b"31310d0a")
        self.assertIn("8 bytes", self.inspect(path)[1])
        self.assertIn("4 bytes", self.inspect(path, "--input", "hex")[1])
        self.assertEqual(self.inspect(path, "-i", "pcap")[2].count("\n"), 1)

    def test_words_are_refused_because_their_order_is_not_known(self) -> None:
        status, _, line = self.inspect("-i", "hex", stdin=b"0000000 3131 0a0d\n0000004\n")
        self.assertEqual((status, line.count("\n")), (1, 1))
        self.assertIn("hexdump -C", line)

    def test_standard_input_is_read(self) -> None:
        status, said, _ = self.inspect(stdin=WINDEV)
        self.assertEqual(status, 0)
        self.assertIn("-: 41 bytes", said)
        self.assertEqual(self.inspect("-", stdin=WINDEV)[1], said)

    def test_what_cannot_be_read_is_one_line(self) -> None:
        for arguments, words in (
            (["/nowhere"], "No such file"),
            [["/"], "Is a directory"],
            ([self.file(b"")], "it is empty"),
            (["-i", "hex", self.file(b"hello")], "not hexadecimal"),
            (["-i", "pcap", self.file(b"hello")], "not a capture of pcap or pcapng"),
            (["--stream", "2", self.file(WINDEV)], "there is no stream 2; accepted: 1 to 1"),
            (["--svg", "/nowhere/x.svg", self.file(WINDEV)], "No such file"),
        ):
            status, _, line = self.inspect(*arguments)
            self.assertEqual((status, line.count("\n")), (1, 1), line)
            self.assertIn(words, line)

    def test_without_scapy_a_capture_says_what_to_install(self) -> None:
        path = self.file(b"\xd4\xc3\xb2\xa1" + bytes(20))
        with patch.dict(sys.modules, {"scapy.error": None}):
            status, _, line = self.inspect(path)
        self.assertEqual(status, 1)
        self.assertIn("captured packets need scapy: pip install 'sockserve[inspect]'", line)


class CaptureTests(InspectCase):
    """Packets that are written here: in disorder, twice, over each other, with gaps."""

    def capture(self, *segments: tuple[int, bytes, str], name: str = "x.pcap", v6: bool = False) -> str:
        """A file with these segments: the number, the payload and the flags; "<" in the flags is from the server."""
        from scapy.layers.inet import IP, TCP
        from scapy.layers.inet6 import IPv6
        from scapy.layers.l2 import Ether
        from scapy.utils import wrpcap, wrpcapng

        packets = []
        for number, payload, flags in segments:
            client, server = ("::1", "::2") if v6 else ("10.0.0.1", "10.0.0.2")
            ends, ports = ((server, client), (7000, 4711)) if "<" in flags else ((client, server), (4711, 7000))
            ip = IPv6(src=ends[0], dst=ends[1]) if v6 else IP(src=ends[0], dst=ends[1])
            tcp = TCP(sport=ports[0], dport=ports[1], seq=number % 2**32, flags=flags.strip("<"))
            mac = "02:00:00:00:00:01"
            # Short frames of Ethernet are padded.
            frame = bytes(Ether(src=mac, dst=mac) / ip / tcp / payload)
            packets.append(Ether(frame.ljust(60, b"\0")))
        path = Path(self.mktemp())
        path.mkdir()
        (wrpcapng if name.endswith("ng") else wrpcap)(str(path / name), packets)
        return str(path / name)

    def test_each_direction_is_a_stream(self) -> None:
        path = self.capture((100, b"", "S"), (900, b"", "SA<"), (101, b"2\r\nok", "PA"), (901, b"2:ok,", "PA<"))
        status, said, _ = self.inspect(path)
        self.assertEqual(status, 0)
        self.assertEqual(
            said.splitlines()[2:],
            ["  1  10.0.0.1:4711 > 10.0.0.2:7000  5 bytes", "  2  10.0.0.2:7000 > 10.0.0.1:4711  5 bytes"],
        )
        self.assertIn("windev: 1 message", self.inspect(path, "--stream", "1")[1])
        self.assertIn("netstring: 1 message", self.inspect(path, "--stream", "2")[1])
        self.assertEqual(len(json.loads(self.inspect(path, "--json")[1])["streams"]), 2)

    def stream(self, *segments: tuple[int, bytes, str], **options: object) -> str:
        """The first line, and the bytes, of the only stream."""
        path = self.capture(*segments, **options)  # type: ignore[arg-type]
        answer = json.loads(self.inspect(path, "-f", "raw", "--json")[1])
        payload = bytes.fromhex(answer["frames"][0]["payload"]).decode()
        return f"{answer['source']}|{payload}|{answer['note']}"

    def test_segments_are_put_in_order_and_what_came_twice_is_there_once(self) -> None:
        one = "10.0.0.1:4711 > 10.0.0.2:7000"
        syn = (100, b"", "S")
        for segments in (
            [(101, b"abc", "A"), (104, b"def", "A"), (107, b"gh", "PA")],
            [(104, b"def", "A"), (101, b"abc", "A"), (107, b"gh", "PA")],
            [(101, b"abc", "A"), (101, b"abc", "A"), (104, b"def", "A"), (107, b"gh", "PA")],
            [(101, b"abcd", "A"), (103, b"XXef", "A"), (106, b"Xgh", "PA")],
            [(101, b"abcdefgh", "A"), (103, b"XX", "A")],
        ):
            self.assertEqual(self.stream(syn, *segments), f"{one}|abcdefgh|", segments)
            self.assertEqual(self.stream(syn, *segments, name="x.pcapng"), f"{one}|abcdefgh|", segments)

    def test_numbers_that_begin_anew(self) -> None:
        start = 2**32 - 3
        found = self.stream((start - 1, b"", "S"), (start, b"abc", "A"), (start + 3, b"def", "A"))
        self.assertEqual(found.split("|")[1:], ["abcdef", ""])

    def test_a_gap_ends_the_stream_and_is_told(self) -> None:
        found = self.stream((100, b"", "S"), (101, b"abc", "A"), (109, b"xyz", "A"))
        self.assertEqual(found.split("|")[1:], ["abc", "5 bytes after byte 3 were not captured"])

    def test_a_capture_that_begins_in_the_middle(self) -> None:
        found = self.stream((500, b"def", "A"), (497, b"abc", "A"))
        self.assertEqual(found.split("|")[1:], ["abcdef", "its beginning was not captured"])

    def test_version_6(self) -> None:
        found = self.stream((1, b"", "S"), (2, b"abc", "A"), v6=True)
        self.assertEqual(found, "[::1]:4711 > [::2]:7000|abc|")

    def test_a_port_that_is_used_again_is_another_stream(self) -> None:
        path = self.capture((1, b"", "S"), (2, b"abc", "A"), (5000, b"", "S"), (5001, b"def", "A"))
        self.assertEqual([each["bytes"] for each in json.loads(self.inspect(path, "--json")[1])["streams"]], [3, 3])

    def test_what_tcpdump_prints(self) -> None:
        from scapy.layers.inet import IP, TCP

        packet = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=4711, dport=7000, seq=7, flags="PA") / WINDEV)
        lines = ["12:00:00.000000 IP 10.0.0.1.4711 > 10.0.0.2.7000: Flags [P.], seq 1:42, length 41"]
        for at in range(0, len(packet), 16):
            row = packet[at : at + 16].hex()
            groups = " ".join(row[start : start + 4] for start in range(0, len(row), 4))
            lines.append(f"\t0x{at:04x}:  {groups:39}  ................")
        status, said, _ = self.inspect(stdin="\n".join(lines).encode())
        self.assertEqual(status, 0)
        self.assertIn("windev: 3 messages in 41 bytes", said)

    def test_a_capture_without_streams(self) -> None:
        status, _, line = self.inspect(self.capture((1, b"", "S")))
        self.assertEqual((status, "no TCP stream" in line), (1, True))


class OutputTests(InspectCase):
    def test_the_best_framing_comes_first_and_its_frames_are_shown(self) -> None:
        status, said, _ = self.inspect(self.file(WINDEV))
        self.assertEqual(status, 0)
        rows = said.splitlines()
        self.assertRegex(rows[4], r"^100  windev +3 +0  3 messages: header 11, CR LF$")
        self.assertEqual(
            rows[-5:],
            [
                "windev: 3 messages in 41 bytes",
                "",
                "   0  [31 31 0d 0a] Hello World",
                "  15  [30 0d 0a]",
                "  18  [31 39 0d 0a] more text <&> here.",
            ],
        )
        self.assertRegex(said, r"\n  -  netstring +0 +41  byte 0: malformed header b'11\\r': a length is ASCII")
        self.assertRegex(said, r"\n  -  raw +1 +0  1 message; says nothing: shuffled bytes fit too\n")

    def test_a_bad_frame_is_shown_with_its_error(self) -> None:
        status, said, _ = self.inspect("-f", "windev", self.file(b"2\r\nok+5\r\nhello"))
        self.assertEqual(status, 1)
        self.assertEqual(
            said.splitlines()[-3:],
            [
                "   0  [32 0d 0a] ok",
                "   5  !! +5..hello",
                r"      malformed header b'+': a length is ASCII digits, then b'\r\n'",
            ],
        )

    def test_nothing_fits(self) -> None:
        status, said, _ = self.inspect(self.file(b"Hello"))
        self.assertEqual((status, said.splitlines()[-1]), (1, "No framing fits these bytes."))

    def test_only_so_many_frames(self) -> None:
        said = self.inspect("--frames", "2", self.file(parse("windev").encode_all([b"ok"] * 9)))[1]
        self.assertEqual(said.splitlines()[-1], "... 7 more messages")

    def test_sixty_columns_are_enough(self) -> None:
        # How sure a fit is takes no more columns when fewer shuffles are tried, which takes most of the time here.
        self.patch(fitting, "MANY_SHUFFLES", 10)
        for name in EXAMPLES.values():
            framing = parse(name)
            lengths = (11,) if name.startswith("fixed") else (11, min(1000, framing.max_length))
            for length in lengths:
                path = self.file(framing.encode(message_of(name, length)))
                said = self.inspect(path, "-f", name, width=60)[1]
                if name in ("raw", "windev", "mbap", "json") and length == 11:
                    said += self.inspect(path, width=60)[1]
                # The first line has the name of the file, which is as long as it is.
                long = [line for line in said.splitlines() if len(line) > 60 and not re.search(r": \d+ bytes", line)]
                self.assertEqual(long, [], name)

    def test_colours_are_for_terminals(self) -> None:
        path = self.file(WINDEV)
        self.assertNotIn("\033", self.inspect(path)[1])
        with patch.object(command, "_colours", lambda: True):
            said = self.inspect(path)[1]
        self.assertIn("\033[36m31 31 0d 0a\033[0m \033[1mHello World\033[0m", said)
        plain = re.sub(r"\033\[\d+m", "", said)
        self.assertIn("   0  31 31 0d 0a Hello World\n", plain)

    def test_no_color_and_dumb_terminals_have_none(self) -> None:
        with patch.object(sys, "stdout") as stdout:
            stdout.isatty.return_value = True
            for env, colours in (
                ({"TERM": "xterm"}, True),
                ({"TERM": "xterm", "NO_COLOR": "1"}, False),
                ({"TERM": "dumb"}, False),
            ):
                with patch.dict(os.environ, env, clear=True):
                    self.assertEqual(command._colours(), colours)
            stdout.isatty.return_value = False
            with patch.dict(os.environ, {"TERM": "xterm"}, clear=True):
                self.assertFalse(command._colours())

    def test_a_peers_bytes_cannot_reach_the_terminal(self) -> None:
        for name in ("windev", "buffered", "raw"):
            said = self.inspect("-f", name, self.file(parse(name).encode(b"\033[31m\a\x9b")))[1]
            self.assertTrue(all(each.isprintable() or each == "\n" for each in said), said)

    def test_the_picture_is_xml_that_has_all_bytes(self) -> None:
        svg = self.file(b"")
        self.assertEqual(self.inspect(self.file(WINDEV), "--svg", svg)[0], 0)
        root = ET.parse(svg).getroot()
        names = "{http://www.w3.org/2000/svg}"
        cells = [each for each in root.iter(f"{names}rect") if "cell" in each.get("class", "")]
        # And two of the key.
        self.assertEqual(len(cells), len(WINDEV) + 2)
        width, height = int(root.get("width", "0")), int(root.get("height", "0"))
        for cell in cells:
            self.assertLess(int(cell.get("x", "0")) + int(cell.get("width", "0")), width)
            self.assertLess(int(cell.get("y", "0")) + int(cell.get("height", "0")), height)

    def test_the_picture_of_any_bytes_is_xml(self) -> None:
        for data in (bytes(range(256)), b"\xff\xfe<&>\"'" * 100):
            svg = self.file(b"")
            self.inspect(self.file(data), "-f", "raw", "--svg", svg)
            ET.parse(svg)

    def test_the_picture_of_the_framings_is_current(self) -> None:
        argv = [sys.executable, str(ROOT / "docs/frames.py"), "--check"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_json_has_the_same(self) -> None:
        status, said, _ = self.inspect("--json", self.file(WINDEV))
        answer = json.loads(said)
        self.assertEqual((status, answer["best"], answer["bytes"]), (0, "windev", 41))
        self.assertEqual((answer["framings"][0]["framing"], answer["framings"][0]["fit"]), ("windev", 100))
        self.assertEqual(
            [bytes.fromhex(frame["header"] + frame["payload"] + frame["trailer"]) for frame in answer["frames"]],
            [b"11\r\nHello World", b"0\r\n", b"19\r\nmore text <&> here."],
        )

    def test_much_input_is_looked_at_in_part(self) -> None:
        data = parse("windev").encode_all([b"x" * 100] * 1000)
        said = self.inspect(self.file(data))[1]
        self.assertIn(f"{len(data)} bytes, of which the first 16384 are looked at", said)
        self.assertIn("\nwindev: 156 messages in 16384 bytes\n", said)

    def test_wrong_arguments_are_one_line_and_status_2(self) -> None:
        complained = ""
        for arguments in (["-f", "winde", "x"], ["-i", "gif", "x"], ["--frames", "0", "x"], ["--send", "\\xzz", "x"]):
            status, _, errors = outcome("inspect", *arguments)
            self.assertEqual(status, 2)
            complained += errors
        self.assertEqual(complained.count("\n"), 4)


class LiveTests(SynchronousTestCase):
    """A process that looks at a peer, which is a socket here."""

    def look(self, talk: Callable[[socket.socket], object], *arguments: str) -> subprocess.CompletedProcess[str]:
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def serve() -> None:
                peer, _ = listening.accept()
                with peer:
                    talk(peer)

            thread = threading.Thread(target=serve)
            thread.start()
            address = f"tcp:127.0.0.1:{listening.getsockname()[1]}"
            argv = [sys.executable, "-m", "sockserve", "inspect", address, *arguments]
            done = run(argv, cwd=ROOT, text=True, timeout=30)
            thread.join()
        return done

    def test_what_a_peer_sends_first(self) -> None:
        done = self.look(lambda peer: peer.sendall(WINDEV))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("windev: 3 messages in 41 bytes", done.stdout)

    def test_a_peer_that_waits_for_something(self) -> None:
        def echo(peer: socket.socket) -> None:
            peer.sendall(peer.recv(100))

        done = self.look(echo, "--send", "2\\r\\nok")
        self.assertIn("windev: 1 message in 5 bytes", done.stdout)

    def test_a_peer_that_says_nothing(self) -> None:
        done = self.look(lambda peer: peer.recv(1), "--timeout", "100ms")
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1))
        self.assertIn("nothing came within 0.1 s", done.stderr)

    def test_a_peer_that_closes_at_once(self) -> None:
        done = self.look(lambda _: None)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1))
        self.assertIn("the peer closed the connection and sent nothing", done.stderr)

    def test_an_endpoint_that_is_none(self) -> None:
        argv = [sys.executable, "-m", "sockserve", "inspect", "foo:1"]
        done = run(argv, cwd=ROOT, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1))
        self.assertIn("no such file, and 'foo:1': unknown kind of endpoint", done.stderr)
