"""forward: bridges, in memory and over real sockets."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionDone
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection, Port
from twisted.internet.testing import MemoryReactor
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sockserve.connection.factory import MessageFactory
from sockserve.connection.options import ConnectionOptions
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing import Framing, parse
from sockserve.framing.bounds import OnBadFrame
from sockserve.handlers.answers import Answer
from sockserve.handlers.forward import Bridged, Forward, Target
from sockserve.handlers.names import as_handler
from sockserve.limits.memory import MemoryBudget
from sockserve.server.server import Server
from sockserve.server.settings import SocketSettings
from sockserve.server.sockets import SocketServer
from tests.connection.test_protocol import PEER, CountingTransport, connect, lose
from tests.support.cases import EXAMPLES, can_carry
from tests.support.sockets import LOCAL, SocketCase, turn


@implementer(IStreamClientEndpoint)
class Memory:
    """An endpoint in memory: connects when the test says so."""

    factory: MessageFactory

    def __init__(self) -> None:
        self.connecting: Deferred[Any] = Deferred(lambda it: it.errback(ConnectingCancelledError(PEER)))

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:  # noqa: N803 - the interface's name
        assert isinstance(protocolFactory, MessageFactory)
        self.factory = protocolFactory
        return self.connecting


class Bridge:
    """A client and its target, each on a transport in memory."""

    client: Bridged
    target: Bridged

    def __init__(
        self, framing: Framing | str = "windev", to: Framing | None = None, memory: MemoryBudget | None = None
    ) -> None:
        self.endpoint = Memory()
        client = Forward(self.endpoint, to, "tcp:backend:9000").client()
        client.framing = framing
        client.options = ConnectionOptions(socket="scale", memory=memory, reactor=Clock())
        self.client, self.near = connect(client)
        self.far = CountingTransport()

    def reach(self) -> Bridge:
        """Connect the target."""
        target = self.endpoint.factory.buildProtocol(None)
        assert isinstance(target, Target)
        self.target = target
        target.makeConnection(self.far)
        self.endpoint.connecting.callback(target)
        return self


class BridgeTests(SynchronousTestCase):
    def test_nothing_is_read_before_the_target_is_there(self) -> None:
        bridge = Bridge(to=parse("int8"))
        self.assertEqual(bridge.near.producerState, "paused")
        bridge.client.dataReceived(b"1\r\na")
        bridge.reach()
        self.assertEqual(bridge.far.value(), b"\x01a")
        self.assertEqual(bridge.near.producerState, "producing")

    def test_messages_cross_from_framing_to_framing_both_ways(self) -> None:
        bridge = Bridge("envelope:\\x02:\\x03", parse("standard")).reach()
        bridge.client.dataReceived(b"\x021.5 kg\x03\x02")
        bridge.target.dataReceived(b"ok<EOF>tare<EO")
        self.assertEqual(bridge.far.value(), b"1.5 kg<EOF>")
        self.assertEqual(bridge.near.value(), b"\x02ok\x03")

    def test_without_a_framing_the_target_has_the_clients(self) -> None:
        bridge = Bridge("netstring").reach()
        bridge.client.dataReceived(b"1:a,")
        self.assertEqual(bridge.far.value(), b"1:a,")

    def test_what_the_target_does_not_take_counts_for_the_memory_budget(self) -> None:
        joined: list[object] = []
        memory = MemoryBudget(1000, Clock())
        self.patch(memory, "join", joined.append)
        bridge = Bridge(memory=memory).reach()
        self.assertEqual(joined, [bridge.client._engine, bridge.target._engine])

    def test_a_half_close_crosses_and_the_answers_come_back(self) -> None:
        bridge = Bridge().reach()
        bridge.client.dataReceived(b"1\r\na")
        bridge.client.readConnectionLost()
        self.assertFalse(bridge.near.disconnecting)
        bridge.target.dataReceived(b"1\r\nb")
        bridge.target.readConnectionLost()
        self.assertEqual((bridge.far.value(), bridge.near.value()), (b"1\r\na", b"1\r\nb"))
        self.assertTrue(bridge.near.disconnecting)
        self.assertTrue(bridge.far.disconnecting)

    def test_a_stream_that_ended_before_the_target_was_there(self) -> None:
        bridge = Bridge()
        bridge.client.dataReceived(b"1\r\na")
        bridge.client.readConnectionLost()
        bridge.reach()
        self.assertEqual(bridge.far.value(), b"1\r\na")
        self.assertFalse(bridge.near.disconnecting)
        bridge.target.dataReceived(b"1\r\nb")
        self.assertEqual(bridge.near.value(), b"1\r\nb")

    def test_the_answers_to_what_came_before_a_bad_frame_come_back(self) -> None:
        bridge = Bridge().reach()
        bridge.client.dataReceived(b"1\r\na-1\r\n")
        bridge.target.dataReceived(b"1\r\nb")
        bridge.target.readConnectionLost()
        self.assertEqual((bridge.far.value(), bridge.near.value()), (b"1\r\na", b"1\r\nb"))
        self.assertTrue(bridge.near.disconnecting)
        self.assertTrue(bridge.far.disconnecting)

    def test_a_stalled_side_holds_up_the_other(self) -> None:
        bridge = Bridge().reach()
        for stalled, held in ((bridge.far, bridge.near), (bridge.near, bridge.far)):
            stalled.producer.pauseProducing()
            self.assertEqual(held.producerState, "paused")
            stalled.producer.resumeProducing()
            self.assertEqual(held.producerState, "producing")

    def test_a_lost_target_has_delivered_what_had_arrived_from_it(self) -> None:
        bridge = Bridge().reach()
        bridge.near.producer.pauseProducing()
        bridge.target.dataReceived(b"1\r\na1\r\nb")
        with capturedLogs() as events:
            lose(bridge.target)
        self.assertEqual(bridge.near.value(), b"1\r\na1\r\nb")
        self.assertTrue(bridge.near.disconnecting)
        (line,) = [formatEvent(event) for event in events]
        self.assertIn("scale 192.0.2.7:4711: lost the target", line)

    def test_a_lost_client_has_delivered_what_had_arrived_from_it(self) -> None:
        bridge = Bridge().reach()
        bridge.far.producer.pauseProducing()
        bridge.client.dataReceived(b"1\r\na1\r\nb")
        lose(bridge.client)
        self.assertEqual(bridge.far.value(), b"1\r\na1\r\nb")
        self.assertTrue(bridge.far.disconnecting)

    def test_a_refused_target_is_one_line_and_closes_the_client(self) -> None:
        bridge = Bridge()
        with capturedLogs() as events:
            bridge.endpoint.connecting.errback(ConnectError())
        (line,) = [formatEvent(event) for event in events]
        self.assertIn("scale 192.0.2.7:4711: no connection to tcp:backend:9000", line)
        self.assertTrue(bridge.near.disconnecting)

    def test_a_client_that_is_gone_gives_the_connecting_up_without_noise(self) -> None:
        bridge = Bridge()
        with capturedLogs() as events:
            lose(bridge.client)
        self.assertTrue(bridge.endpoint.connecting.called)
        self.assertEqual(events, [])

    def test_both_sides_are_let_go(self) -> None:
        bridge = Bridge().reach()
        bridge.client.connectionLost(Failure(ConnectionDone()))
        bridge.target.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([side.other for side in (bridge.client, bridge.target)], [None, None])
        self.assertEqual((delayed(bridge.client), delayed(bridge.target)), ([], []))


def delayed(side: MessageProtocol) -> list[object]:
    return [*cast("Clock", side.options.reactor).getDelayedCalls()]


class CannotCrossTests(SynchronousTestCase):
    def crossing(self, policy: OnBadFrame, wire: bytes) -> tuple[Bridge, list[str]]:
        framing = parse("windev", on_bad_frame=policy)
        bridge = Bridge(framing, parse("buffered", max_length=5)).reach()
        with capturedLogs() as events:
            bridge.client.dataReceived(wire)
        return bridge, [formatEvent(event) for event in events]

    def test_close_passes_on_what_came_before_and_closes_both(self) -> None:
        for bad in (b"6\r\ntoobig", b"4\r\na\r\nb"):
            bridge, lines = self.crossing("close", b"1\r\na" + bad + b"1\r\nb")
            self.assertEqual(bridge.far.value(), b"a\r\n")
            self.assertEqual(len(lines), 1)
            self.assertIn("cannot cross", lines[0])
            self.assertTrue(bridge.near.disconnecting)
            self.assertTrue(bridge.far.disconnecting)

    def test_skip_passes_on_the_others(self) -> None:
        for bad in (b"6\r\ntoobig", b"4\r\na\r\nb"):
            bridge, lines = self.crossing("skip", b"1\r\na" + bad + b"1\r\nb")
            self.assertEqual(bridge.far.value(), b"a\r\nb\r\n")
            self.assertEqual(len(lines), 1)
            self.assertFalse(bridge.near.disconnecting)


# Something for each kind of framing: text, no bytes, bytes that are delimiters and marks elsewhere, and whole frames of
# the framings whose header belongs to the message.
MESSAGES = (
    b"Hello World",
    b"",
    b"a\r\nb",
    b"a\nb",
    b"\x00<END><EOF>\x00",
    b"\x02a\x03\x10\xc0\xdb\x0b\x1c\r",
    b'{"weight": [1, 2]}',
    b"\x00\x01\x00\x00\x00\x06\x11\x03\x00\x6b\x00\x03",
    b"\x03\x00\x00\x08\x02\xf0\x80a",
    bytes(range(256)) * 2,
)


class PairTests(SynchronousTestCase):
    """Every framing to every other: a message arrives as it was, or is refused with one line, and nothing beside.

    From raw, a message is what a read brings.
    """

    def test_what_crosses_and_what_does_not(self) -> None:
        for (source, target), message in itertools.product(itertools.product(EXAMPLES.values(), repeat=2), MESSAGES):
            framing, to = parse(source, on_bad_frame="skip"), parse(target)
            if not can_carry(framing, message) or source.startswith("raw"):
                continue
            case = f"{message!r} from {source} to {target}"
            bridge = Bridge(framing, to).reach()
            with capturedLogs() as events:
                bridge.client.dataReceived(framing.encode(message))
                bridge.client.readConnectionLost()
            lines = [formatEvent(event) for event in events]
            if can_carry(to, message):
                self.assertEqual((bridge.far.value(), lines), (to.encode(message), []), case)
            else:
                (line,) = lines
                self.assertEqual(bridge.far.value(), b"", case)
                self.assertIn("cannot cross to scale 192.0.2.7:4711: ", line, case)


LARGE = bytes(range(256)) * 1200
"""More than a few reads."""


class LargeTests(SynchronousTestCase):
    """A large message is passed on while it comes, where both framings permit it."""

    def test_it_crosses_in_parts_between_framings_that_tell_a_length(self) -> None:
        names = ("int32", "windev", "netstring", "varint", f"fixed:{len(LARGE)}")
        for source, target in itertools.product(names, names):
            bridge = Bridge(source, parse(target)).reach()
            wire = parse(source).encode(LARGE) + parse(source).encode(LARGE)
            expected = parse(target).encode(LARGE) * 2
            sent = 0
            for end in range(40_000, len(wire) + 40_000, 40_000):
                bridge.client.dataReceived(wire[end - 40_000 : end])
                crossed = bridge.far.value()
                self.assertGreater(len(crossed), min(end, len(wire)) - 64, (source, target))
                self.assertLess(bridge.client._engine.held, 64)
                sent = len(crossed)
            self.assertTrue(bridge.far.value() == expected, (source, target))
            self.assertEqual(sent, len(expected))
            for side in (bridge.client.info, bridge.target.info):
                self.assertEqual(side.messages_received + side.messages_sent, 2)
            # And the other way.
            for start in range(0, len(expected), 30_000):
                bridge.target.dataReceived(expected[start : start + 30_000])
                self.assertLess(bridge.target._engine.held, 64)
            self.assertTrue(bridge.near.value() == wire, (source, target))

    def test_small_messages_before_and_after_it_keep_their_order(self) -> None:
        bridge = Bridge("windev", parse("int32")).reach()
        messages = [b"a", b"", LARGE, b"b", LARGE, LARGE, b"c"]
        wire = parse("windev").encode_all(messages)
        for size in (1000, 50_000, 65_536, 200_000):
            bridge.far.clear()
            for start in range(0, len(wire), size):
                bridge.client.dataReceived(wire[start : start + size])
            self.assertTrue(bridge.far.value() == parse("int32").encode_all(messages), size)

    def test_it_is_collected_where_a_framing_has_to_see_all_of_it(self) -> None:
        payload = LARGE.translate(None, b"\r<>")
        for source, target in (
            ("int32", "raw"),
            ("int32", "standard"),
            ("windev", "envelope:<:>"),
            ("buffered", "int32"),
            ("standard", "standard"),
        ):
            bridge = Bridge(source, parse(target)).reach()
            wire = parse(source).encode(payload)
            bridge.client.dataReceived(wire[:70_000])
            bridge.client.dataReceived(wire[70_000:-1])
            self.assertEqual(bridge.far.value(), b"")
            bridge.client.dataReceived(wire[-1:])
            self.assertTrue(bridge.far.value() == parse(target).encode(payload), (source, target))

    def test_a_target_that_does_not_read_holds_it_up(self) -> None:
        bridge = Bridge("windev", parse("int32")).reach()
        wire = parse("windev").encode(LARGE)
        bridge.far.slow = True
        bridge.client.dataReceived(wire[:65_536])
        self.assertEqual(bridge.near.producerState, "paused")
        bridge.far.take()
        self.assertEqual(bridge.near.producerState, "paused")
        bridge.far.slow = False
        bridge.far.take()
        self.assertEqual(bridge.near.producerState, "producing")
        bridge.client.dataReceived(wire[65_536:])
        self.assertTrue(bridge.far.value() == parse("int32").encode(LARGE))

    def test_a_message_that_is_cut_off_is_cut_off_for_the_target(self) -> None:
        for end in (
            lambda bridge: bridge.client.readConnectionLost(),
            lambda bridge: lose(bridge.client),
            lambda bridge: bridge.client.drain(),
            lambda bridge: bridge.client.dataReceived(LARGE[65_000:] + b"x"),
        ):
            bridge = Bridge("netstring", parse("int32")).reach()
            frame = parse("netstring").encode(LARGE)
            bridge.client.dataReceived(frame[:65_000])
            with capturedLogs() as events:
                bridge.client.dataReceived(frame[65_000:-1])
                end(bridge)
            whole = parse("int32").encode(LARGE)
            self.assertTrue(whole.startswith(bridge.far.value()))
            self.assertEqual(len(bridge.far.value()), len(whole) - 1)
            self.assertTrue(bridge.target.sendingEnded)
            self.assertLess(len(events), 3)

    def test_the_answers_to_what_came_before_it_come_back(self) -> None:
        bridge = Bridge("windev", parse("int32")).reach()
        bridge.client.dataReceived(b"1\r\na" + parse("windev").encode(LARGE)[:70_000])
        bridge.client.readConnectionLost()
        bridge.target.dataReceived(b"\0\0\0\1b")
        bridge.target.readConnectionLost()
        self.assertEqual(bridge.near.value(), b"1\r\nb")
        self.assertTrue(bridge.near.disconnecting)

    def test_a_lost_target_closes_the_client_in_the_middle(self) -> None:
        bridge = Bridge("windev", parse("int32")).reach()
        bridge.client.dataReceived(parse("windev").encode(LARGE)[:70_000])
        lose(bridge.target)
        self.assertTrue(bridge.near.disconnecting)
        bridge.client.dataReceived(LARGE)
        self.assertEqual(bridge.client._engine.held, 0)

    def test_one_too_long_for_the_target_is_refused_at_its_header(self) -> None:
        bridge = Bridge("windev", parse("int32", max_length=100_000)).reach()
        with capturedLogs() as events:
            bridge.client.dataReceived(b"1\r\na" + parse("windev").encode(LARGE)[:70_000])
        self.assertEqual(bridge.far.value(), b"\0\0\0\1a")
        (line,) = [formatEvent(event) for event in events]
        self.assertIn("cannot cross to", line)
        self.assertIn(f"message of {len(LARGE)} bytes is longer", line)
        self.assertTrue(bridge.near.disconnecting)
        self.assertTrue(bridge.far.disconnecting)

    def test_with_skip_it_is_skipped_when_it_is_complete(self) -> None:
        bridge = Bridge(parse("windev", on_bad_frame="skip"), parse("int32", max_length=100_000)).reach()
        with capturedLogs() as events:
            wire = parse("windev").encode_all([b"a", LARGE, b"b"])
            for start in range(0, len(wire), 65_536):
                bridge.client.dataReceived(wire[start : start + 65_536])
        self.assertEqual(bridge.far.value(), b"\0\0\0\1a\0\0\0\1b")
        self.assertEqual(len(events), 1)
        self.assertFalse(bridge.near.disconnecting)


class Backend(MessageProtocol):
    """Keeps what it gets; `made` gets each one."""

    made: list[Backend]

    def connectionMade(self) -> None:
        self.messages: list[bytes] = []
        self.received = 0
        self.made.append(self)

    def messageReceived(self, message: bytes) -> None:
        self.messages.append(message)
        self.received += len(message)


class CircleTests(SynchronousTestCase):
    def settings(self, name: str, listen: str, target: str) -> SocketSettings:
        return SocketSettings(name, listen, handler=f"forward:{target}")

    def test_a_target_that_is_the_socket_itself_is_refused(self) -> None:
        for listen, target in (
            ("tcp:7000", "tcp:localhost:7000"),
            ("tcp:7000", "tcp:127.0.0.1:7000,int32"),
            ("tcp:7000:interface=127.0.0.1", "tcp:127.0.0.1:7000"),
            ("tcp:7000:interface=192.0.2.1", "tcp:192.0.2.1:7000"),
            (r"tcp6:7000:interface=\:\:1", r"tcp:\:\:1:7000"),
            ("unix:/run/x.sock", "unix:/run/x.sock"),
        ):
            error = self.assertRaises(ValueError, self.settings, "a", listen, target)
            self.assertEqual(
                str(error),
                f"handler: 'forward:{target}' leads in a circle: 'a' to 'a'; accepted: another target".replace(
                    "\\", "\\\\"
                ),
            )

    def test_two_that_lead_to_each_other_are_refused(self) -> None:
        server = Server([SocketServer("a", "tcp:7001", handler="forward:tcp:localhost:7002", reactor=MemoryReactor())])
        other = SocketServer("b", "tcp:7002", handler="forward:tcp:localhost:7001", reactor=MemoryReactor())
        error = self.assertRaises(ValueError, server.add, other)
        self.assertIn("leads in a circle: 'a' to 'b' to 'a'", str(error))

    def test_another_port_path_or_host_is_no_circle(self) -> None:
        for listen, target in (
            ("tcp:7000", "tcp:localhost:7001"),
            ("tcp:7000:interface=127.0.0.1", "tcp:192.0.2.1:7000"),
            ("tcp:7000", "tcp:backend:7000"),
            ("unix:/run/x.sock", "unix:/run/y.sock"),
        ):
            self.settings("a", listen, target)


class SocketTests(SocketCase):
    timeout = 30

    def bridged(self, port: Port, framing: str = "windev", to: str = "int32", **options: Any) -> SocketServer:  # noqa: ANN401 - as SocketServer's
        handler = f"forward:tcp:127.0.0.1:{port.getHost().port},{to}"
        return self.serve(SocketServer("scale", LOCAL, framing, handler, drain_timeout=0.2, **options))

    async def backend(
        self, framing: str = "int32", make: Callable[[], Backend] = Backend
    ) -> tuple[Port, list[Backend]]:
        made: list[Backend] = []

        def protocol() -> Backend:
            backend = make()
            backend.made = made
            return backend

        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(MessageFactory(framing, protocol))
        assert isinstance(port, Port)
        self.addCleanup(self.gone, port, made)
        return port, made

    async def gone(self, port: Port, made: list[Backend]) -> None:
        await maybeDeferred(port.stopListening)
        for backend in made:
            backend.abortConnection()
        while any(backend.transport.connected for backend in made):
            await turn()

    async def test_windev_clients_and_an_int32_backend(self) -> None:
        def answer(message: bytes, _: object) -> Answer:
            return message.upper()

        target = self.serve(SocketServer("target", LOCAL, "int32", answer))
        (port,) = target.ports
        assert isinstance(port, Port)
        server = self.bridged(port)
        clients = [await self.client(server) for _ in range(10)]
        for client in clients:
            client.send(b"2\r\nhi" * 50)
            client.end()
        await gatherResults([client.lost for client in clients])
        for client in clients:
            self.assertEqual(bytes(client.received), b"2\r\nHI" * 50)

    async def test_a_target_that_refuses(self) -> None:
        port, _ = await self.backend()
        server = self.bridged(port)
        await port.stopListening()
        client = await self.client(server)
        client.send(b"1\r\na")
        await client.lost
        self.assertEqual(len(self.logged("no connection to")), 1)
        self.assertEqual(bytes(client.received), b"")

    async def test_a_target_that_dies_midway_has_its_words_delivered(self) -> None:
        class Dying(Backend):
            def messageReceived(self, message: bytes) -> None:
                self.transport.write(b"\0\0\0\x03one\0\0\0\x03two\0\0\0\x05thr")
                self.loseConnection()

        port, _ = await self.backend(make=Dying)
        client = await self.client(self.bridged(port))
        client.send(b"1\r\na")
        await client.ended
        self.assertEqual(bytes(client.received), b"3\r\none3\r\ntwo")
        await client.lost

    async def test_a_client_that_dies_ends_its_target(self) -> None:
        port, made = await self.backend()
        server = self.bridged(port)
        client = await self.client(server)
        client.send(b"1\r\na")
        while not made or not made[0].messages:
            await turn()
        client.reset()
        while made[0].transport.connected or server.channels:
            await turn()
        self.assertEqual(made[0].messages, [b"a"])

    async def test_a_stalled_target_pauses_the_client_and_everything_arrives_in_the_end(self) -> None:
        class Stalled(Backend):
            def connectionMade(self) -> None:
                super().connectionMade()
                self.pauseProducing()

        port, made = await self.backend(make=Stalled)
        server = self.bridged(port)
        client = await self.client(server)
        size, count = 1 << 18, 256
        wire = b"".join(b"%d\r\n" % size + bytes([number]) * size for number in range(count))
        client.send(wire)
        client.end()
        bridge: Any = None
        while bridge is None or not bridge._engine.sending.blocked:
            await turn()
            bridge = next((side.other for side in running(server) if side.other is not None), None)
        for _ in range(50):
            await turn()
        waiting = buffered(bridge.transport)
        self.assertLess(waiting, 2 * size + (1 << 17))
        self.assertLess(bridge.other.info.bytes_received, 24 << 20)
        made[0].resumeProducing()
        while made[0].received < size * count:
            await turn()
        self.assertEqual(made[0].messages, [bytes([number]) * size for number in range(count)])
        await client.lost

    async def test_twenty_megabytes_each_way_at_once(self) -> None:
        class Echoing(Backend):
            def messageReceived(self, message: bytes) -> None:
                self.received += len(message)
                self.sendMessage(message)

        port, _ = await self.backend(make=Echoing)
        client = await self.client(self.bridged(port))
        size, count = 1 << 16, 320
        wire = b"".join(b"%d\r\n" % size + bytes([number % 256]) * size for number in range(count))
        client.send(wire)
        client.end()
        await client.lost
        self.assertTrue(bytes(client.received) == wire, f"{len(client.received)} of {len(wire)} bytes")

    async def test_a_drain_that_ends_while_the_target_is_being_connected_makes_no_noise(self) -> None:
        never = Memory()
        server = SocketServer("scale", LOCAL, "windev", drain_timeout=0.05)
        for listener in server._listen:
            assert isinstance(listener.factory, MessageFactory)
            listener.factory._make = Forward(never, None, "tcp:never:1").client
        self.serve(server)
        client = await self.client(server)
        while not server.channels:
            await turn()
        await server.stopService()
        await client.lost
        self.assertEqual(len(self.logged("1 connections aborted")), 1)
        self.assertEqual(self.logged("no connection"), [])


def running(server: SocketServer) -> list[Any]:
    return [each.receiver for each in server._admission.running.values()]


def buffered(transport: Connection) -> int:
    """Bytes that wait in a Twisted transport."""
    return len(transport.dataBuffer) - transport.offset + transport._tempDataLen


class NameTests(SynchronousTestCase):
    def test_a_forward_by_name(self) -> None:
        made = as_handler("forward:tcp:backend:9000,standard:<END>").make(reactor, 1, False)()
        assert isinstance(made, Bridged)
        without = as_handler("forward:tcp:backend:9000").make(reactor, 1, False)()
        assert isinstance(without, Bridged)

    def test_what_is_wrong_with_it_in_one_line(self) -> None:
        for name in (
            "forward:",
            "forward:backend",
            "forward:nonsense:1",
            "forward:tcp:h:1,nonsense",
            "forward:tcp:h:1,",
        ):
            with self.assertRaises(ValueError) as caught:
                as_handler(name)
            self.assertNotIn("\n", str(caught.exception))
            self.assertIn("accepted", str(caught.exception))
