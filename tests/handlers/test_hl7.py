"""hl7: acknowledgments of HL7 v2 messages, read by two other implementations too."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any, cast

import hl7
import hl7.client
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from sockserve.connection.failures import Refused
from sockserve.connection.protocol import MessageProtocol
from sockserve.fields import SettingError
from sockserve.framing import parse
from sockserve.framing.bounds import OnBadFrame
from sockserve.handlers.acknowledgment import Error, MessageHeader, NotHL7, acknowledge
from sockserve.handlers.answers import Answer, Function
from sockserve.handlers.hl7 import FRAMING, Acknowledging
from sockserve.handlers.names import as_handler
from sockserve.server.settings import SocketSettings
from sockserve.server.sockets import SocketServer
from tests.connection.test_protocol import connect, lose
from tests.support.sockets import LOCAL, SocketCase

HERE = "tests.handlers.test_hl7"


def message(
    control: str = "MSG1",
    accept: str = "",
    application: str = "",
    *,
    version: str = "2.5",
    kind: str = "ADT^A01^ADT_A01",
) -> bytes:
    """An admission."""
    fields = ["MSH", r"^~\&", "ADT1", "WARD", "LAB", "HOSPITAL", "20261126120000", "", kind, control, "P", version]
    fields += ["", "", accept, application]
    return "|".join(fields).rstrip("|").encode() + b"\rEVN||20261126120000\rPID|1||4711^^^HOSP||Example^Ann\r"


def wire(*messages: bytes) -> bytes:
    return b"".join(b"\x0b" + each + b"\x1c\r" for each in messages)


def unwrapped(data: bytes) -> list[bytes]:
    frames = re.findall(rb"\x0b(.*?)\x1c\r", data, re.DOTALL)
    assert wire(*frames) == data
    return frames


def summary(data: bytes) -> list[tuple[str, str]]:
    """The code and the id of each acknowledgment; the first field of an answer that is none."""
    found = []
    for frame in unwrapped(data):
        lines = frame.split(b"\r")
        assert lines.pop() == b"", frame
        parts = lines[1].decode().split("|") if len(lines) > 1 else [frame.decode(), "", ""]
        found.append((parts[1], parts[2]) if parts[0] == "MSA" else (lines[0].decode(), ""))
    return found


def received(said: bytes, _channel: Channel) -> Answer:
    control = MessageHeader(said)[10]
    if control == b"REFUSED":
        raise Refused("no such ward: 5|B & more^")
    if control == b"FAILED":
        raise LookupError("a secret of the patient")
    if control == b"ANSWERED":
        return b"MSH|^~\\&|LAB|||||RSP\r"
    if control == b"WRONG":
        return cast("Answer", "text")
    return None


async def slowly(said: bytes, channel: Channel) -> Answer:
    waiting[MessageHeader(said)[10].decode()] = deferred = Deferred[None]()
    await deferred
    return received(said, channel)


def later(said: bytes, channel: Channel) -> Awaitable[Answer]:
    return Deferred.fromCoroutine(slowly(said, channel))


class Receiver(MessageProtocol):
    """No function."""


waiting: dict[str, Deferred[None]] = {}


class AcknowledgingTests(SynchronousTestCase):
    def answers(
        self,
        *messages: bytes,
        function: Function = received,
        policy: OnBadFrame = "close",
    ) -> list[tuple[str, str]]:
        protocol = Acknowledging(function)
        protocol.framing = parse(FRAMING, on_bad_frame=policy)
        protocol, transport = connect(protocol)
        self.protocol, self.transport = protocol, transport
        with capturedLogs() as events:
            protocol.dataReceived(wire(*messages))
        self.lines = [formatEvent(event) for event in events]
        self.events = [event.get("event_name") for event in events]
        return summary(transport.value())

    def test_the_original_mode(self) -> None:
        self.assertEqual(self.answers(message()), [("AA", "MSG1")])
        self.assertEqual(self.lines, [])

    def test_a_refusal_is_one_line_and_the_connection_stays(self) -> None:
        self.assertEqual(self.answers(message("REFUSED"), message()), [("AR", "REFUSED"), ("AA", "MSG1")])
        self.assertEqual(self.lines, ["192.0.2.7:4711: refused: no such ward: 5|B & more^; answered AR"])
        self.assertEqual(self.events, ["sockserve.handler.refused"])
        self.assertFalse(self.transport.disconnecting)
        self.assertIn(b"|no such ward: 5\\F\\B \\T\\ more\\S\\\r", self.transport.value())

    def test_an_exception_is_an_error_whose_text_stays_here(self) -> None:
        self.assertEqual(self.answers(message("FAILED"), message()), [("AE", "FAILED"), ("AA", "MSG1")])
        self.assertNotIn(b"secret", self.transport.value())
        self.assertEqual(self.events, ["sockserve.handler.failed"])
        self.assertIn("the handler failed; answered AE", self.lines[0])
        [failure] = self.flushLoggedErrors(LookupError)
        self.assertEqual([frame[0] for frame in failure.frames], ["received"])

    def test_what_is_no_answer_is_an_error(self) -> None:
        self.assertEqual(self.answers(message("WRONG")), [("AE", "WRONG")])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_the_enhanced_mode(self) -> None:
        told = {"AL": (True, True), "NE": (False, False), "": (False, False), "SU": (True, False), "ER": (False, True)}
        for accept, (accepts, commit_errors) in told.items():
            for application, (applies, errors) in told.items():
                if not accept + application:
                    continue
                with self.subTest(accept=accept, application=application):
                    good = [code for code, wanted in (("CA", accepts), ("AA", applies)) if wanted]
                    for control, expected in (
                        ("MSG1", good),
                        ("REFUSED", ["CR"] if commit_errors else ["AR"] if errors else []),
                        ("FAILED", ["CE"] if commit_errors else ["AE"] if errors else []),
                    ):
                        found = self.answers(message(control, accept, application))
                        self.assertEqual(found, [(code, control) for code in expected])
        self.flushLoggedErrors(LookupError)

    def test_both_fields_null_are_the_original_mode(self) -> None:
        self.assertEqual(self.answers(message("1", '""', '""')), [("AA", "1")])

    def test_a_condition_that_is_none_is_always(self) -> None:
        self.assertEqual(self.answers(message("1", "al", "XX")), [("CA", "1"), ("AA", "1")])

    def test_nobody_who_wants_no_answer_gets_one(self) -> None:
        self.assertEqual(self.answers(message("REFUSED", "NE", "SU"), message("ANSWERED", "NE", "NE")), [])
        self.assertTrue(self.lines[0].endswith("; its sender wants no answer"))

    def test_a_message_of_the_function_is_the_answer_of_the_application(self) -> None:
        own = ("MSH|^~\\&|LAB|||||RSP", "")
        self.assertEqual(self.answers(message("ANSWERED")), [own])
        self.assertEqual(self.answers(message("ANSWERED", "AL", "AL")), [("CA", "ANSWERED"), own])

    def test_an_acknowledgment_is_not_acknowledged(self) -> None:
        for kind in ("ACK", "ACK^A01^ACK", "MCF^A01"):
            self.assertEqual(self.answers(message(kind=kind), message("FAILED", "AL", "AL", kind=kind)), [])
        self.flushLoggedErrors(LookupError)

    def test_a_message_without_an_id_is_refused_and_not_delivered(self) -> None:
        calls: list[bytes] = []

        def keep(said: bytes, _: Channel) -> None:
            calls.append(said)

        found = self.answers(message(""), function=keep)
        self.assertEqual((found, calls), ([("AR", "")], []))
        self.assertEqual(len(self.lines), 1)
        self.assertIn("refused: MSH-10, the message control ID, is missing; answered AR", self.lines[0])

    def test_what_is_no_hl7_is_refused_after_the_answers_before_it(self) -> None:
        for bad, reason in (
            (b"EVN|", "it does not begin with MSH"),
            (b"", "it does not begin with MSH"),
            (b"MSH", "no field separator comes after MSH"),
            (b"MSHA^~\\&A", "no field separator comes after MSH"),
            (b"MSH|", "MSH-2 is not the encoding characters"),
            (b"MSH|^^\\&|", "MSH-2 is not the encoding characters"),
            (b"MSH|ABCD|", "MSH-2 is not the encoding characters"),
        ):
            found = self.answers(message("1"), bad, message("2"))
            self.assertEqual(found, [("AA", "1")])
            self.assertEqual(self.lines, [f"192.0.2.7:4711: refused: not an HL7 message: {reason}; closing"])
            self.assertTrue(self.transport.disconnecting)
            found = self.answers(message("1"), bad, message("2"), policy="skip")
            self.assertEqual(found, [("AA", "1"), ("AA", "2")])
            self.assertEqual(self.lines, [f"192.0.2.7:4711: not an HL7 message: {reason}; skipping it"])

    def test_pipelined_messages_each_have_theirs_in_order(self) -> None:
        for function in (slowly, later):
            found = self.answers(*(message(control) for control in ("1", "REFUSED", "FAILED", "4")), function=function)
            self.assertEqual(found, [])
            self.assertEqual(self.protocol.pending, 4)
            for control in ("4", "FAILED", "REFUSED", "1"):
                self.assertEqual(summary(self.transport.value()), [])
                waiting.pop(control).callback(None)
            expected = [("AA", "1"), ("AR", "REFUSED"), ("AE", "FAILED"), ("AA", "4")]
            self.assertEqual(summary(self.transport.value()), expected)
            self.assertEqual(self.protocol.keptBytes, 0)
            self.flushLoggedErrors(LookupError)

    def test_a_connection_that_is_lost_cancels_without_a_line(self) -> None:
        self.answers(message("1"), function=slowly)
        with capturedLogs() as events:
            self.protocol.abortConnection()
            lose(self.protocol)
        self.assertEqual(events, [])
        waiting.clear()


class AcknowledgmentTests(SynchronousTestCase):
    """What is written."""

    def test_the_header_is_turned_around(self) -> None:
        said = message("MSG1")
        one, two = acknowledge(MessageHeader(said), b"AA"), acknowledge(MessageHeader(said), b"AA")
        pattern = rb"MSH\|\^~\\&\|LAB\|HOSPITAL\|ADT1\|WARD\|\d{14}[+-]\d{4}\|\|ACK\^A01\^ACK\|([0-9A-F]{20})\|P\|2.5\r"
        ids = {cast("re.Match[bytes]", re.fullmatch(pattern + rb"MSA\|AA\|MSG1\r", each))[1] for each in (one, two)}
        self.assertEqual(len(ids), 2)

    def test_separators_and_character_set_are_those_of_the_message(self) -> None:
        said = b"MSH*%$!@*A*B*C*D**X*ORU%R01*ID*T*2.3******UNICODE UTF-8\rOBX"
        segments = acknowledge(MessageHeader(said), b"AE", Error(b"207", b"x", "5*%$!@ \u00fc")).split(b"\r")
        head = segments[0].split(b"*")
        self.assertEqual((head[1], head[2:6], head[8]), (b"%$!@", [b"C", b"D", b"A", b"B"], b"ACK%R01%ACK"))
        self.assertEqual(head[10:], [b"T", b"2.3", b"", b"", b"", b"", b"", b"UNICODE UTF-8"])
        self.assertEqual(segments[1:], [b"MSA*AE*ID*5!F!!S!!R!!E!!T! ?", b""])

    def test_without_an_escape_character_separators_become_spaces(self) -> None:
        found = acknowledge(MessageHeader(b"MSH|^~|A"), b"AE", Error(b"207", b"x", "a|b"))
        self.assertIn(b"|a b\r", found)

    def test_the_error_stands_where_the_version_has_it(self) -> None:
        error = Error(b"207", b"Application internal error", "why")
        segment = b"ERR|||207^Application internal error^HL70357|E||||why\r"
        for version, in_msa, in_err in (
            ("2.1", True, False),
            ("2.3.1", True, False),
            ("2.5", True, True),
            ("2.7", False, True),
            ("x", True, False),
        ):
            found = acknowledge(MessageHeader(message(version=version)), b"AE", error)
            self.assertEqual((b"MSA|AE|MSG1|why\r" in found, segment in found), (in_msa, in_err), version)

    def test_a_message_without_a_trigger(self) -> None:
        self.assertIn(b"||ACK|", acknowledge(MessageHeader(message(kind="ORU")), b"AA"))
        self.assertIn(b"||ACK|", acknowledge(MessageHeader(b"MSH|^~\\&"), b"AA"))

    def test_segments_may_end_in_line_feeds(self) -> None:
        for end in (b"\n", b"\r\n"):
            self.assertEqual(MessageHeader(message().replace(b"\r", end))[12], b"2.5")

    def test_hl7apy_finds_nothing_wrong(self) -> None:
        for version in ("2.3.1", "2.4", "2.5", "2.5.1", "2.6"):
            for code, error in ((b"AA", None), (b"AR", Error(b"207", b"Application internal error", "no | ward"))):
                said = message(version=version)
                found = parse_message(
                    acknowledge(MessageHeader(said), code, error).decode(), validation_level=VALIDATION_LEVEL.STRICT
                )
                self.assertTrue(found.validate())
                self.assertEqual(found.msa.msa_1.value, code.decode())
                self.assertEqual(found.msa.msa_2.value, "MSG1")

    def test_what_is_no_message_has_no_header(self) -> None:
        with self.assertRaises(NotHL7):
            MessageHeader(b"FHS|^~\\&|")


class PeerTests(SocketCase):
    """Over real sockets."""

    async def test_the_client_of_hl7(self) -> None:
        server = self.serve(SocketServer("lab", LOCAL, handler=f"hl7:{HERE}:received", threads=True))
        port: Any = server.ports[0]

        def talk() -> list[tuple[str, str]]:
            with hl7.client.MLLPClient("127.0.0.1", port.getHost().port) as client:
                answers = [client.send_message(message(control)) for control in ("1", "REFUSED", "FAILED")]
            [parsed] = unwrapped(answers[1])
            acknowledgment = hl7.parse(parsed.decode())
            assert acknowledgment.unescape(str(acknowledgment.segment("MSA")[3])) == "no such ward: 5|B & more^"
            return [found for answer in answers for found in summary(answer)]

        found = await deferToThread(talk)
        self.assertEqual(found, [("AA", "1"), ("AR", "REFUSED"), ("AE", "FAILED")])
        self.flushLoggedErrors(LookupError)
        self.assertEqual(len(self.logged("the handler failed; answered AE")), 1)
        self.assertEqual(server.closings, {})

    async def test_pipelined_messages_and_a_half_close(self) -> None:
        server = self.serve(SocketServer("lab", LOCAL, handler=f"hl7:{HERE}:received", threads=True))
        client = await self.client(server)
        client.send(wire(*(message(str(number), "AL", "AL") for number in range(300))))
        client.end()
        await client.lost
        expected = [(code, str(number)) for number in range(300) for code in ("CA", "AA")]
        self.assertEqual(summary(bytes(client.received)), expected)


class SettingTests(SynchronousTestCase):
    def test_the_framing_is_mllp_unless_one_is_given(self) -> None:
        settings = SocketSettings("lab", "tcp:2575", handler=f"hl7:{HERE}:received")
        self.assertEqual(str(settings.framing), str(parse(FRAMING)))
        settings = SocketSettings("lab", "tcp:2575", "int32", f"hl7:{HERE}:received", threads=True, max_pending=5)
        self.assertEqual(str(settings.framing), "int32")

    def test_what_is_no_function(self) -> None:
        for handler, reason in (
            ("hl7:received", "'hl7:received' names no function; accepted: hl7:MODULE:CALLABLE"),
            (f"hl7:{HERE}:Receiver", "is a protocol class"),
            (f"hl7:{HERE}:nothing", "has no nothing"),
            ("hl7", "'hl7' is unknown"),
        ):
            with self.assertRaises(ValueError) as caught:
                as_handler(handler)
            self.assertIn(reason, str(caught.exception))

    def test_it_has_no_datagrams(self) -> None:
        with self.assertRaisesRegex(SettingError, "needs connections"):
            SocketSettings("lab", "udp:2575", "raw", f"hl7:{HERE}:received")
