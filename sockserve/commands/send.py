"""`sockserve send`: send messages over one connection, print the answers, and say whether all of them came.

Without message arguments each line of standard input is a message, sent as soon as it has come. raw has no messages:
there standard input is sent as it is, line ends included, and what is counted is bytes. eof carries one message: all of
standard input.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost

from sockserve.client.connecting import connect, disconnect
from sockserve.client.endpoints import ACCEPTED, as_endpoint
from sockserve.commands.program import add_tls_options, checked, complain, counted, named_framing, react, tls_of
from sockserve.commands.stdio import Input, Output
from sockserve.connection.channel import ChannelClosed
from sockserve.framing import ACCEPTED as FRAMINGS
from sockserve.framing import ends_stream
from sockserve.framing.errors import FramingError
from sockserve.framing.raw import Raw
from sockserve.text import parse_duration, parse_size, reason_of

if TYPE_CHECKING:
    from typing import Any

    from twisted.internet.base import ReactorBase
    from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint

    from sockserve.connection.channel import Channel
    from sockserve.framing import Framing

NAME = "sockserve send"

EPILOG = f"""\
framings: {", ".join(FRAMINGS)}

Exit status: 0 when as many answers came as messages were sent (with raw: as many bytes), and the peer closed after
them. 1 when not, with one line that says what is missing. 2 for wrong arguments. 130 when interrupted.
"""


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """`send` and its arguments."""
    parser = subparsers.add_parser(
        "send",
        help="send messages and print the answers",
        description="Send each MESSAGE over one connection, print each answer in a line of its own as it comes, end "
        "our side of the stream after the last message, and wait for the peer to close. With raw, answers are "
        "printed as they are, without line ends.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("endpoint", metavar="ENDPOINT", help=ACCEPTED)
    add(
        "messages",
        metavar="MESSAGE",
        nargs="*",
        default=[],
        help="without any: each line of standard input, without its line end; with raw and eof: all of "
        "standard input as it is",
    )
    add("--framing", "-f", metavar="NAME", default="raw", help="how messages are told apart (default: raw)")
    add(
        "--timeout",
        "-t",
        metavar="S",
        type=checked(parse_duration),
        default=10.0,
        help="the longest wait for the connection, for the next answer, and for the peer's end, such as 500ms, 2s or "
        "1min (default: 10s)",
    )
    add("--hex", action="store_true", help="messages are written in hexadecimal, and answers are printed so")
    add("--repeat", "-n", metavar="N", type=counted("times"), default=1, help="send each message N times in a row")
    add(
        "--max-length",
        metavar="BYTES",
        type=checked(parse_size),
        help="the longest message sent or accepted; k and M are 1024 and 1024 * 1024 (default: 1M)",
    )
    add_tls_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it. Returns the exit status."""
    error = cast("argparse.ArgumentParser", arguments.parser).error
    try:
        framing = named_framing(arguments.framing, arguments.max_length)
    except ValueError as problem:
        error(f"argument --framing: {problem}")
    messages: list[bytes] = []
    for text in map(os.fsencode, arguments.messages):
        try:
            messages.append(_from_hex(text) if arguments.hex else text)
            framing.encode(messages[-1])
        except (ValueError, FramingError) as problem:
            error(f"argument MESSAGE: {os.fsdecode(_short(text))!r}: {problem}")
    single = ends_stream(framing)
    if single and max(len(messages), 1) * arguments.repeat > 1:
        error(f"{framing} carries one message in each direction; accepted: one MESSAGE or none, without --repeat")
    if sys.__stdout__ is None:
        return 1

    async def main(reactor: ReactorBase) -> int:
        try:
            endpoint = as_endpoint(arguments.endpoint, reactor, tls_of(arguments))
        except ValueError as problem:
            complain(NAME, f"argument ENDPOINT: {problem}")
            return 2
        line = await _exchange(reactor, endpoint, arguments, framing, messages)
        if line:
            complain(NAME, f"{arguments.endpoint}: {line}")
        return 0 if line is None else 1

    return react(main)


async def _exchange(
    reactor: ReactorBase,
    endpoint: IStreamClientEndpoint,
    arguments: argparse.Namespace,
    framing: Framing,
    messages: list[bytes],
) -> str | None:
    """Connect, send and print. None when all is well; else what is missing, or "" when nobody wants to know."""
    try:
        channel = await connect(
            endpoint, framing, timeout=arguments.timeout, close_timeout=arguments.timeout, reactor=reactor
        )
    except Exception as error:  # one line for all that Twisted's endpoints may raise
        return reason_of(error)
    source = Input(reactor)
    pieces: AsyncIterator[bytes]
    if messages:
        pieces = _listed(messages)
    elif isinstance(framing, Raw) and not arguments.hex:
        pieces = _unchanged(source)
    elif ends_stream(framing):
        pieces = _whole(source, framing.max_length, as_hex=arguments.hex)
    else:
        pieces = _lines(source, framing.max_length, as_hex=arguments.hex)
    exchange = _Exchange(reactor, channel, pieces, arguments.timeout, arguments.repeat, as_hex=arguments.hex)
    try:
        return await exchange.run()
    except BrokenPipeError:
        # Nobody reads what we print, and nobody wants to know.
        return ""
    except OSError as error:
        return f"standard output: {error.strerror}"


class _Exchange:
    """Messages out and answers in, on one connection, and what is still missing.

    Waiting is limited while something is owed: an answer, or, after our end, the peer's. The clock starts anew with
    every answer and every message sent, and it stands while what was received is being printed.
    """

    def __init__(
        self,
        reactor: ReactorBase,
        channel: Channel,
        messages: AsyncIterator[bytes],
        timeout: float,
        repeat: int,
        *,
        as_hex: bool,
    ) -> None:
        self._reactor = reactor
        self._channel = channel
        self._messages = messages
        self._timeout = timeout
        self._repeat = repeat
        self._hex = as_hex
        self._raw = isinstance(channel.info.framing, Raw)
        self._output = Output(reactor)
        # Messages, or bytes with raw.
        self._sent = 0
        self._received = 0
        self._input_ended = False
        self._input_problem: str | None = None
        self._clock: IDelayedCall | None = None
        self._printing = False
        self._timed_out = False

    async def run(self) -> str | None:
        """None when all that was owed came; else what is missing."""
        sending = Deferred.fromCoroutine(self._send())
        # How it ends, if not as it should.
        end = ""
        try:
            await self._print_answers()
        except FramingError as error:
            end = f"a bad frame: {error}"
        except ConnectionLost as error:
            end = f"the connection was lost: {error}"
        finally:
            self._stop_clock()
        if not self._input_ended:
            # The end of the input may be on its way; nothing else that we could wait for is.
            sending.addTimeout(min(1.0, self._timeout), self._reactor, lambda *_: None)
            await sending
        if self._raw and self._received and (self._hex or os.isatty(1)):
            self._output.write(b"\n")
        await self._output.written()
        if self._timed_out or not self._input_ended:
            self._channel.abort()
        await disconnect(self._channel)
        return self._missing(end)

    async def _send(self) -> None:
        channel = self._channel
        try:
            async for message in self._messages:
                for _ in range(self._repeat):
                    self._sent += len(message) if self._raw else 1
                    self._restart_clock()
                    await channel.write(message)
                    self._restart_clock()
        except (ChannelClosed, ConnectionLost):
            return
        except (ValueError, FramingError) as error:
            self._input_problem = str(error)
        except OSError as error:
            self._input_problem = f"standard input: {error.strerror}"
        self._input_ended = True
        channel.end()
        self._restart_clock()

    async def _print_answers(self) -> None:
        output = self._output
        try:
            while True:
                answer = await self._channel.read()
                self._received += len(answer) if self._raw else 1
                text = answer.hex().encode() if self._hex else answer
                output.write(text if self._raw else text + b"\n")
                if output.full:
                    self._printing = True
                    self._stop_clock()
                    await output.written()
                    self._printing = False
                self._restart_clock()
        except ChannelClosed as closed:
            if isinstance(closed.__cause__, FramingError):
                raise closed.__cause__ from None

    def _restart_clock(self) -> None:
        if self._printing or self._channel.closed:
            return
        owed = self._received < self._sent
        if not owed and not self._input_ended:
            self._stop_clock()
        elif self._clock is None:
            self._clock = self._reactor.callLater(self._timeout, self._give_up)
        else:
            self._clock.reset(self._timeout)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _give_up(self) -> None:
        self._clock = None
        self._timed_out = True
        self._channel.abort()

    def _missing(self, end: str) -> str | None:
        """What is wrong, in one line; `end`: how the answers ended, if not as they should."""
        if self._input_problem is not None:
            return self._input_problem
        seconds = f"{self._timeout:g} seconds"
        counted = f"{self._received} of {self._sent} {'bytes came back' if self._raw else 'answers came'}"
        missing = self._received < self._sent
        if self._timed_out:
            return f"{counted}, " + (f"then none for {seconds}" if missing else f"but no end within {seconds}")
        if end:
            return f"{counted}, then {end}"
        if not self._input_ended:
            return f"{counted} before the peer closed, but standard input has not ended"
        return f"{counted} before the peer closed" if missing else None


async def _listed(messages: list[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


async def _unchanged(source: Input) -> AsyncIterator[bytes]:
    while piece := await source.read():
        yield piece


async def _whole(source: Input, max_length: int, *, as_hex: bool) -> AsyncIterator[bytes]:
    """All of it as one message; none when it is empty. Raises ValueError where it is none."""
    longest = max_length * 3 + 2 if as_hex else max_length
    held = bytearray()
    while piece := await source.read():
        held += piece
        if len(held) > longest:
            raise ValueError(f"standard input is longer than the limit of {max_length} bytes (max_length)")
    if held:
        yield _from_hex(bytes(held)) if as_hex else bytes(held)


async def _lines(source: Input, max_length: int, *, as_hex: bool) -> AsyncIterator[bytes]:
    """Each line without its line end; the last one may have none. Raises ValueError for a line that is no message."""
    longest = max_length * 3 + 2 if as_hex else max_length + 1
    held = bytearray()
    number = 0
    searched = 0
    while True:
        piece = await source.read()
        held += piece
        start = 0
        while (end := held.find(b"\n", max(start, searched))) >= 0 or (not piece and start < len(held)):
            end = end if end >= 0 else len(held)
            line = bytes(held[start:end])
            start = end + 1
            number += 1
            try:
                yield _from_hex(line) if as_hex else line
            except ValueError as error:
                raise ValueError(f"line {number} of standard input: {error}") from None
        if not piece:
            return
        del held[:start]
        searched = len(held)
        if searched > longest:
            raise ValueError(
                f"line {number + 1} of standard input is longer than the limit of {max_length} bytes (max_length)"
            )


def _from_hex(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        shown = text if len(text) <= 40 else text[:40] + b"..."
        raise ValueError(
            f"{os.fsdecode(shown)!r} is not hexadecimal; accepted: two digits a byte, such as 48 65 6c"
        ) from None


def _short(text: bytes) -> bytes:
    return text if len(text) <= 40 else text[:40] + b"..."
