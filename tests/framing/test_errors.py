"""The errors: one line each, the facts as attributes."""

from __future__ import annotations

import pickle

from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing.errors import (
    FramingError,
    InvalidMessage,
    MalformedHeader,
    MessageTooLong,
    TruncatedMessage,
)

TEXTS = (
    (MessageTooLong(5), "message is longer than the limit of 5 bytes (max_length)"),
    (MessageTooLong(5, 9), "message of 9 bytes is longer than the limit of 5 bytes (max_length)"),
    (MalformedHeader(b"00", "leading zero"), "malformed header b'00': leading zero"),
    (TruncatedMessage(11, 10), "stream ended inside a frame: header announced 11 bytes, 10 arrived"),
    (
        TruncatedMessage(3, 3, "the comma"),
        "stream ended inside a frame: header announced 3 bytes, 3 arrived, then the comma was missing",
    ),
    (
        TruncatedMessage(None, 2, "the rest of the header"),
        "stream ended inside a frame: 2 bytes arrived, then the rest of the header was missing",
    ),
    (InvalidMessage("the message is too blue"), "the message is too blue"),
)


class ErrorTests(SynchronousTestCase):
    def test_each_error_is_one_line(self) -> None:
        for error, text in TEXTS:
            self.assertEqual(str(error), text)

    def test_bytes_of_the_peer_cannot_break_the_line(self) -> None:
        self.assertEqual(len(str(MalformedHeader(b"\r\n\x1b[2J", "rule")).splitlines()), 1)

    def test_each_error_is_a_framing_error(self) -> None:
        for error, _ in TEXTS:
            self.assertIsInstance(error, FramingError)

    def test_too_long_knows_the_limit_and_the_length(self) -> None:
        self.assertEqual((MessageTooLong(5, 9).limit, MessageTooLong(5, 9).length), (5, 9))
        self.assertIsNone(MessageTooLong(5).length)

    def test_malformed_knows_the_bytes_and_the_rule(self) -> None:
        error = MalformedHeader(b"00", "leading zero")
        self.assertEqual((error.header, error.rule), (b"00", "leading zero"))

    def test_truncated_knows_what_was_expected_and_what_arrived(self) -> None:
        error = TruncatedMessage(3, 3, "the comma")
        self.assertEqual((error.expected, error.received, error.missing), (3, 3, "the comma"))
        self.assertEqual(TruncatedMessage(11, 10).missing, "")

    def test_invalid_message_knows_the_rule(self) -> None:
        self.assertEqual(InvalidMessage("a rule").rule, "a rule")

    def test_errors_can_be_pickled(self) -> None:
        for error, text in TEXTS:
            copy = pickle.loads(pickle.dumps(error))
            self.assertEqual((type(copy), str(copy), vars(copy)), (type(error), text, vars(error)))
