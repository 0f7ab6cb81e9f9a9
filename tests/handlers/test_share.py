"""share: many clients and one device, over real sockets. The device does what the test says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sockserve.config.checking import ConfigError, check_program, check_socket, check_sockets
from sockserve.connection.options import ConnectionOptions
from sockserve.fields import SettingError
from sockserve.framing import parse
from sockserve.handlers.durations import Durations
from sockserve.handlers.names import as_handler
from sockserve.handlers.share import Asker, Share
from sockserve.limits.memory import MemoryBudget
from sockserve.server.server import Server
from sockserve.server.settings import SocketSettings
from sockserve.server.sockets import Listen, SocketServer
from tests.connection.test_protocol import CountingTransport, connect
from tests.handlers.test_forward import Memory
from tests.support.authority import Authority
from tests.support.processes import PIPE, Process
from tests.support.sockets import LOCAL, Client, SocketCase, turn

# A device in a process of its own: it prints its port, and answers each line with the same in capitals.
PROGRAM = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(listener.getsockname()[1], flush=True)
while True:
    # One client at a time, as most devices.
    connection = listener.accept()[0]
    for line in connection.makefile("rb"):
        if line != b"die\\r\\n":
            connection.sendall(line.upper())
    connection.close()
"""


class Line(Protocol):
    """One connection of the device."""

    def __init__(self, device: FakeDevice) -> None:
        self.device = device
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.device.lines.append(self)
        self.device.changed()

    def dataReceived(self, data: bytes) -> None:
        *requests, self.device.rest = (self.device.rest + data).split(b"\r\n")
        for request in requests:
            self.device.asked.append(request.decode())
            if self.device.answers is not None:
                self.say(self.device.answers(request.decode()))
        self.device.changed()

    def say(self, *messages: str) -> None:
        assert self.transport is not None
        self.transport.write("".join(f"{message}\r\n" for message in messages).encode())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)
        self.device.changed()


class FakeDevice:
    """answers: what it says to a request; None: the test says it. asked: the requests so far."""

    def __init__(self, case: SocketCase, answers: Callable[[str], str] | None = None) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.lines: list[Line] = []
        self.rest = b""
        self._waiting: list[tuple[Callable[[], object], Deferred[None]]] = []
        self._factory: Any = Factory.forProtocol(lambda: Line(self))
        self.listening = True
        self._port: Any = cast("Any", reactor).listenTCP(0, self._factory, interface="127.0.0.1")
        self.number = self._port.getHost().port
        case.addCleanup(self.stop)

    @property
    def handler(self) -> str:
        return f"share:tcp:127.0.0.1:{self.number}"

    @property
    def line(self) -> Line:
        """Its last connection."""
        return self.lines[-1]

    def changed(self) -> None:
        for each in list(self._waiting):
            if each[0]():
                self._waiting.remove(each)
                each[1].callback(None)

    def until(self, condition: Callable[[], object]) -> Deferred[None]:
        """Fires when it is true; looked at whenever something happens here."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((condition, waiting))
        self.changed()
        return waiting

    def has_asked(self, *requests: str) -> Deferred[None]:
        """Fires when it has these requests, or more."""
        return self.until(lambda: self.asked[: len(requests)] == [*requests])

    async def restart(self) -> None:
        self._port = cast("Any", reactor).listenTCP(self.number, self._factory, interface="127.0.0.1")
        self.listening = True

    async def stop(self) -> None:
        """Accept nothing more, and reset what is there."""
        if self.listening:
            self.listening = False
            await self._port.stopListening()
        for line in self.lines:
            assert line.transport is not None
            line.transport.abortConnection()  # type: ignore[attr-defined]
            await line.lost


class ShareCase(SocketCase):
    def share(self, device: FakeDevice, **settings: Any) -> SocketServer:  # noqa: ANN401
        return self.serve(
            SocketServer("scale", LOCAL, **{"framing": "buffered", "handler": device.handler, **settings})
        )

    async def clients(self, server: SocketServer, count: int) -> list[Client]:
        return [await self.client(server) for _ in range(count)]

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await turn()

    def pending(self, server: SocketServer) -> list[int]:
        """How many answers each client waits for."""
        receivers = [each.receiver for each in server.admission.running.values()]
        return [each.pending for each in receivers if isinstance(each, Asker)]

    def said(self) -> list[str]:
        """The lines of the log about clients and the device, without their names."""
        lines = [line for line in self.lines if line.startswith("scale ") and " listens on " not in line]
        return [line.partition(": ")[2] for line in lines]

    def share_of(self, server: SocketServer) -> Share:
        assert server.share is not None
        return server.share


class AnsweringTests(ShareCase):
    async def test_each_answer_goes_to_its_asker(self) -> None:
        device = FakeDevice(self, str.upper)
        server = self.share(device)
        clients = await self.clients(server, 100)
        for number, client in enumerate(clients):
            for letter in "abc":
                client.send(f"{letter}{number:03}\r\n".encode())
        answers = await gatherResults([client.until(18) for client in clients])
        expected = [f"A{n:03}\r\nB{n:03}\r\nC{n:03}\r\n".encode() for n in range(100)]
        self.assertEqual(answers, expected)
        self.assertEqual(len(device.lines), 1)
        self.assertEqual(server.durations.called, 300)

    async def test_one_request_at_a_time(self) -> None:
        device = FakeDevice(self)
        server = self.share(device)
        [a, b] = await self.clients(server, 2)
        a.send(b"1\r\n")
        await device.has_asked("1")
        b.send(b"2\r\n")
        await self.until(lambda: self.pending(server) == [1, 1])
        self.assertEqual(device.asked, ["1"])
        device.line.say("one")
        await device.has_asked("1", "2")
        device.line.say("two")
        self.assertEqual(await a.until(5), b"one\r\n")
        self.assertEqual(await b.until(5), b"two\r\n")

    async def test_clients_take_turns_whatever_each_has_sent(self) -> None:
        device = FakeDevice(self)
        server = self.share(device)
        [greedy, b, c] = await self.clients(server, 3)
        greedy.send(b"".join(b"g%d\r\n" % number for number in range(50)))
        await device.has_asked("g0")
        await self.until(lambda: 50 in self.pending(server))
        b.send(b"b0\r\nb1\r\n")
        await self.until(lambda: sum(self.pending(server)) == 52)
        c.send(b"c0\r\n")
        await self.until(lambda: sum(self.pending(server)) == 53)
        device.answers = str.upper
        device.line.say("G0")
        await greedy.until(50 * 4 + 40)
        self.assertEqual(device.asked[:7], ["g0", "g1", "b0", "c0", "g2", "b1", "g3"])
        self.assertEqual(bytes(b.received), b"B0\r\nB1\r\n")

    async def test_a_hundred_clients_each_have_a_hundredth(self) -> None:
        device = FakeDevice(self)
        server = self.share(device, max_pending=10)
        clients = await self.clients(server, 100)
        for number, client in enumerate(clients):
            client.send(f"{number}\r\n".encode() * 10)
        await self.until(lambda: len(server.channels) == 100)
        await device.until(lambda: device.asked)
        await self.until(lambda: sum(self.pending(server)) == 1000)
        device.answers = str
        device.line.say(device.asked[0])
        await device.until(lambda: len(device.asked) == 1000)
        for begin in range(1, 901, 100):
            self.assertEqual(len(set(device.asked[begin : begin + 100])), 100)

    async def test_the_device_has_a_framing_of_its_own(self) -> None:
        device = FakeDevice(self, str.upper)
        listen = [Listen(LOCAL, "windev"), Listen(LOCAL, "int8")]
        server = self.serve(SocketServer("scale", listen, handler=f"{device.handler},buffered"))
        a, b = await self.client(server, 0), await self.client(server, 1)
        a.send(b"3\r\none")
        b.send(b"\x03two")
        self.assertEqual(await a.until(6), b"3\r\nONE")
        self.assertEqual(await b.until(4), b"\x03TWO")
        self.assertEqual(len(device.lines), 1)

    async def test_a_device_over_tls(self) -> None:
        authority = Authority(self.mktemp())
        device = self.serve(SocketServer("device", authority.listen(), "buffered", "echo"))
        port: Any = device.ports[0]
        handler = f"share:{authority.trusting(port.getHost().port)}"
        server = self.serve(SocketServer("scale", LOCAL, "buffered", handler))
        client = await self.client(server)
        client.send(b"over TLS\r\n")
        self.assertEqual(await client.until(10), b"over TLS\r\n")

    async def test_a_client_that_has_ended_its_stream_has_its_answers(self) -> None:
        device = FakeDevice(self)
        client = await self.client(self.share(device))
        client.send(b"1\r\n2\r\n")
        client.end()
        await device.has_asked("1")
        device.line.say("one")
        await device.has_asked("1", "2")
        device.line.say("two")
        await client.lost
        self.assertEqual(bytes(client.received), b"one\r\ntwo\r\n")
        self.assertEqual(self.said(), [])

    async def test_a_drain_answers_what_is_owed_and_then_leaves_the_device(self) -> None:
        device = FakeDevice(self)
        server = self.share(device, drain_timeout=2)
        client = await self.client(server)
        client.send(b"1\r\n2\r\n")
        await device.has_asked("1")
        stopped = server.stopService()
        device.answers = str.upper
        device.line.say("one")
        await client.lost
        await stopped
        self.assertEqual(bytes(client.received), b"one\r\n2\r\n")
        await device.line.lost
        self.assertTrue(server.clean)
        self.assertEqual(len(device.lines), 1)

    async def test_a_service_that_is_started_again_asks_again(self) -> None:
        device = FakeDevice(self, str.upper)
        server = self.share(device)
        await device.until(lambda: device.lines)
        await server.stopService()
        self.serve(server)
        client = await self.client(server)
        client.send(b"a\r\n")
        self.assertEqual(await client.until(3), b"A\r\n")

    async def test_a_client_with_too_many_waiting_is_not_read_from(self) -> None:
        device = FakeDevice(self)
        server = self.share(device, max_pending=3)
        client = await self.client(server)
        client.send(b"x\r\n" * 10)
        await device.has_asked("x")
        [channel] = server.channels.values()
        protocol: Any = channel._protocol
        self.assertEqual(protocol.pending, 3)
        self.assertEqual(protocol._engine.reading.holds, {"answers"})
        device.answers = str
        device.line.say("x")
        await client.until(30)
        self.assertEqual(protocol.pending, 0)
        self.assertEqual(protocol.keptBytes, 0)

    async def test_what_waits_counts_for_the_memory_budget(self) -> None:
        device = FakeDevice(self)
        memory = MemoryBudget(100_000, reactor)
        server = self.share(device, memory=memory, max_length=50_000)
        [small, large] = await self.clients(server, 2)
        small.send(b"s\r\n")
        await device.has_asked("s")
        large.send((b"l" * 30_000 + b"\r\n") * 8)
        await large.lost
        self.assertEqual(len(self.logged("and too many for all (memory_budget)")), 1)
        device.line.say("S")
        self.assertEqual(await small.until(3), b"S\r\n")
        self.assertEqual(device.asked, ["s"])

    async def test_a_client_between_two_requests_moves_at_a_reload(self) -> None:
        device = FakeDevice(self, str.upper)
        old = SocketServer("scale", LOCAL, "buffered", device.handler)
        together = Server([old])
        together.startService()
        self.addCleanup(together.stopService)
        client = await self.client(old)
        client.send(b"a\r\n")
        await client.until(3)
        new = SocketServer("scale", LOCAL, "buffered", device.handler, max_pending=5)
        done = together.replace([new])
        await self.until(lambda: new.channels)
        client.send(b"b\r\n")
        self.assertEqual(await client.until(6), b"A\r\nB\r\n")
        await done
        self.assertEqual(len(device.lines), 2)


class FailingTests(ShareCase):
    async def test_a_device_that_never_answers(self) -> None:
        device = FakeDevice(self)
        server = self.share(device, answer_timeout=0.05)
        client = await self.client(server)
        client.send(b"1\r\nnever asked\r\n")
        await client.lost
        [line] = self.logged("answer_timeout")
        self.assertRegex(
            line,
            r"^scale 127.0.0.1:\d+: no answer within 0.05 seconds \(answer_timeout\); closing, and connecting to the "
            r"device again$",
        )
        self.assertEqual(server.closings, {"answer_timeout": 1})
        await device.lines[0].lost
        await device.until(lambda: len(device.lines) == 2)
        self.assertEqual(device.asked, ["1"])

    async def test_a_late_answer_goes_to_nobody(self) -> None:
        device = FakeDevice(self)
        server = self.share(device, answer_timeout=0.2)
        [a, b] = await self.clients(server, 2)
        a.send(b"1\r\n")
        await device.has_asked("1")
        b.send(b"2\r\n")
        await a.lost
        device.lines[0].say("late")
        await device.has_asked("1", "2")
        device.line.say("two")
        self.assertEqual(await b.until(5), b"two\r\n")
        self.assertIsNot(device.line, device.lines[0])

    async def test_a_device_that_answers_twice(self) -> None:
        device = FakeDevice(self)
        server = self.share(device)
        client = await self.client(server)
        client.send(b"1\r\n2\r\n")
        await device.has_asked("1")
        device.line.say("one", "once more")
        await device.has_asked("1", "2")
        device.line.say("two")
        self.assertEqual(await client.until(10), b"one\r\ntwo\r\n")
        self.assertEqual(self.share_of(server).unsolicited, 1)
        [line] = self.logged("nobody had asked for")
        self.assertEqual(line, f"scale 127.0.0.1:{device.number}: a message that nobody had asked for is dropped")

    async def test_a_device_that_speaks_unasked(self) -> None:
        device = FakeDevice(self, str.upper)
        server = self.share(device)
        await device.until(lambda: device.lines)
        device.line.say(*["hello"] * 20)
        await self.until(lambda: self.share_of(server).unsolicited == 20)
        client = await self.client(server)
        client.send(b"a\r\n")
        self.assertEqual(await client.until(3), b"A\r\n")
        self.assertEqual(len(self.logged("nobody had asked for")), 5)

    async def test_a_bad_frame_in_place_of_an_answer(self) -> None:
        for policy in ("close", "skip"):
            device = FakeDevice(self)
            server = self.share(device, max_length=5, on_bad_frame=policy)
            [a, b] = await self.clients(server, 2)
            a.send(b"1\r\n")
            await device.has_asked("1")
            b.send(b"2\r\n")
            device.line.say("more than five")
            await a.lost
            self.assertEqual(bytes(a.received), b"")
            await device.has_asked("1", "2")
            device.line.say("two")
            self.assertEqual(await b.until(5), b"two\r\n")
            [of_device] = self.logged("lost the device: ")
            self.assertIn(f"scale 127.0.0.1:{device.number}: lost the device: ", of_device)
            [of_asker] = self.logged("before it answered")
            self.assertIn("max", of_asker)
            self.assertEqual(server.events.bad_frames, {"MessageTooLong": 1})
            self.lines.clear()

    async def test_a_bad_frame_after_an_answer_hurts_nobody_else(self) -> None:
        device = FakeDevice(self)
        server = self.share(device, max_length=5)
        [a, b] = await self.clients(server, 2)
        a.send(b"1\r\n")
        await device.has_asked("1")
        b.send(b"2\r\n")
        await self.until(lambda: self.pending(server) == [1, 1])
        device.line.say("one", "more than five")
        await device.has_asked("1", "2")
        device.line.say("two")
        self.assertEqual(await b.until(5), b"two\r\n")
        self.assertEqual(await a.until(5), b"one\r\n")
        self.assertEqual(len(device.lines), 2)

    async def test_a_device_that_dies_with_a_request(self) -> None:
        device = FakeDevice(self)
        server = self.share(device)
        [a, b] = await self.clients(server, 2)
        a.send(b"1\r\n")
        await device.has_asked("1")
        b.send(b"2\r\n")
        await self.until(lambda: self.pending(server) == [1, 1])
        await device.stop()
        await a.lost
        await self.until(lambda: self.logged("no connection"))
        await device.restart()
        device.answers = str.upper
        self.assertEqual(await b.until(3), b"2\r\n")
        # It may have been carried out.
        self.assertEqual(device.asked, ["1", "2"])
        lines = self.said()
        self.assertRegex(lines[0], r"^lost the device: .*; connecting again$")
        self.assertRegex(lines[1], r"^the device was lost before it answered: .*; closing$")
        self.assertRegex(lines[2], r"^no connection: .*refused.*[^.]; trying again$")
        self.assertRegex(lines[3], r"^connected again after [\d.e-]+ s$")
        self.assertEqual(len(lines), 4)

    async def test_a_device_that_ends_its_stream(self) -> None:
        device = FakeDevice(self)
        client = await self.client(self.share(device))
        client.send(b"1\r\n")
        await device.has_asked("1")
        assert device.line.transport is not None
        device.line.transport.loseConnection()
        await client.lost
        self.assertEqual(len(self.logged("before it answered: it has ended its stream; closing")), 1)
        await device.until(lambda: len(device.lines) == 2)

    async def test_a_device_that_is_not_there_at_the_start(self) -> None:
        device = FakeDevice(self)
        await device.stop()
        server = self.share(device)
        client = await self.client(server)
        client.send(b"a\r\n")
        await self.until(lambda: self.logged("no connection"))
        device.answers = str.upper
        await device.restart()
        self.assertEqual(await client.until(3), b"A\r\n")
        self.assertEqual(len(self.logged("no connection")), 1)
        self.assertTrue(self.share_of(server).connected)

    async def test_requests_wait_for_a_device_that_is_away_as_long_as_for_an_answer(self) -> None:
        device = FakeDevice(self)
        await device.stop()
        server = self.share(device, answer_timeout=0.1)
        [a, b] = await self.clients(server, 2)
        a.send(b"1\r\n2\r\n")
        b.send(b"3\r\n")
        await gatherResults([a.lost, b.lost])
        self.assertEqual(server.closings, {"answer_timeout": 2})
        self.assertEqual(len(self.logged("no connection to the device for 0.1 seconds (answer_timeout); closing")), 2)

    async def test_a_client_that_leaves_takes_its_requests_along(self) -> None:
        device = FakeDevice(self)
        server = self.share(device)
        [a, b] = await self.clients(server, 2)
        a.send(b"1\r\n2\r\n3\r\n")
        await device.has_asked("1")
        b.send(b"4\r\n")
        await self.until(lambda: self.pending(server) == [3, 1])
        a.reset()
        await self.until(lambda: len(server.channels) == 1)
        self.assertEqual(device.asked, ["1"])
        device.line.say("one")
        await device.has_asked("1", "4")
        device.line.say("four")
        self.assertEqual(await b.until(6), b"four\r\n")
        self.assertEqual(self.share_of(server).unsolicited, 0)
        self.assertEqual(len(device.lines), 1)

    async def test_an_answer_that_nobody_waits_for_any_more_has_to_come_too(self) -> None:
        device = FakeDevice(self)
        server = self.share(device, answer_timeout=0.1)
        [a, b] = await self.clients(server, 2)
        a.send(b"1\r\n")
        await device.has_asked("1")
        a.reset()
        b.send(b"2\r\n")
        await device.has_asked("1", "2")
        device.line.say("two")
        self.assertEqual(await b.until(5), b"two\r\n")
        self.assertEqual(len(device.lines), 2)
        self.assertEqual(len(self.logged("(answer_timeout), and its client has left; connecting again")), 1)

    async def test_a_request_that_cannot_cross(self) -> None:
        device = FakeDevice(self, str.upper)
        for policy, action in (("close", "closing"), ("skip", "skipping it")):
            server = self.share(device, framing="windev", handler=f"{device.handler},buffered", on_bad_frame=policy)
            client = await self.client(server)
            client.send(b"1\r\na" + b"3\r\n\r\nx" * 2000 + b"1\r\nb")
            if policy == "close":
                await client.lost
                self.assertEqual(bytes(client.received), b"1\r\nA")
            else:
                self.assertEqual(await client.until(8), b"1\r\nA1\r\nB")
            found = self.logged(f"cannot cross to tcp:127.0.0.1:{device.number}: ")
            self.assertTrue(found[0].endswith(f"; {action}"), found)
            self.lines.clear()

    async def test_an_answer_that_cannot_cross_closes_its_asker(self) -> None:
        device = FakeDevice(self, lambda _: "x" * 300)
        server = self.share(device, framing="int8", handler=f"{device.handler},buffered")
        client = await self.client(server)
        client.send(b"\x01a")
        await client.lost
        self.assertEqual(len(self.logged("the answer of the device cannot cross: ")), 1)
        self.assertEqual(len(device.lines), 1)

    def run_device(self, port: int) -> tuple[Process, int]:
        """A real device, and its port."""
        device = Process([sys.executable, "-c", PROGRAM, str(port)], stdout=PIPE, text=True)
        self.addCleanup(device.wait)
        self.addCleanup(device.kill)
        assert device.stdout is not None
        with device.stdout as said:
            return device, int(said.readline())

    async def test_a_real_device_is_killed_and_returns(self) -> None:
        device, port = self.run_device(0)
        server = self.serve(SocketServer("scale", LOCAL, "buffered", f"share:tcp:127.0.0.1:{port}"))
        [a, b] = await self.clients(server, 2)
        b.send(b"before\r\n")
        self.assertEqual(await b.until(8), b"BEFORE\r\n")
        a.send(b"die\r\n")
        await self.until(lambda: 1 in self.pending(server))
        device.kill()
        device.wait()
        await a.lost
        b.send(b"after\r\n")
        self.run_device(port)
        self.assertEqual(await b.until(15), b"BEFORE\r\nAFTER\r\n")


@implementer(IStreamClientEndpoint)
class Refusing:
    """An endpoint where nobody is. at: when that was tried."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.at: list[float] = []

    def connect(self, protocolFactory: object) -> Deferred[Any]:  # noqa: N803 - the interface's name
        self.at.append(self.clock.seconds())
        return fail(ConnectionRefusedError())


class PauseTests(SynchronousTestCase):
    def test_the_pauses_grow_while_the_device_does_not_answer(self) -> None:
        clock = Clock()
        endpoint = Refusing(clock)
        options = ConnectionOptions(reactor=clock, socket="scale")
        share = Share(
            endpoint, parse("int8"), "tcp:a:1", options, max_pending=1, answer_timeout=1, durations=Durations()
        )
        share.start()
        clock.pump([0.01] * 3000)
        pauses = [round(after - before, 1) for before, after in pairwise(endpoint.at)]
        self.assertEqual(pauses, [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0])
        share.stop()
        self.assertEqual(clock.getDelayedCalls(), [])


class WrappedTests(SynchronousTestCase):
    def test_an_endpoint_may_give_a_wrapper(self) -> None:
        endpoint = Memory()
        options = ConnectionOptions(reactor=Clock(), socket="scale")
        share = Share(
            endpoint, parse("int8"), "tcp:a:1", options, max_pending=1, answer_timeout=1, durations=Durations()
        )
        share.start()
        device, transport = endpoint.factory.buildProtocol(None), CountingTransport()
        device.makeConnection(transport)
        endpoint.connecting.callback(object())
        asker = share.client()
        asker.framing = "int8"
        _, near = connect(asker)
        asker.dataReceived(b"\x01a")
        self.assertEqual(transport.value(), b"\x01a")
        device.dataReceived(b"\x01A")
        self.assertEqual(near.value(), b"\x01A")


class SettingTests(SynchronousTestCase):
    def refused(self, **settings: Any) -> str:  # noqa: ANN401
        with self.assertRaises(SettingError) as caught:
            SocketSettings("scale", **{"listen": "tcp:7000", "framing": "buffered", **settings})
        return str(caught.exception)

    def test_what_is_accepted(self) -> None:
        settings = SocketSettings("scale", "tcp:7000", "windev", "share:tcp:scale-7:4001,int32", answer_timeout="2s")
        self.assertEqual(settings.answer_timeout, 2.0)
        device = settings.answers.device
        assert device is not None
        self.assertEqual((str(device.framing), device.description), ("int32", "tcp:scale-7:4001"))

    def test_an_endpoint_that_is_none(self) -> None:
        with self.assertRaisesRegex(ValueError, "'share:tcp:x': .*accepted: share:ENDPOINT.*,FRAMING"):
            as_handler("share:tcp:x")
        with self.assertRaisesRegex(ValueError, "^'share' is unknown"):
            as_handler("share")

    def test_raw_tells_no_answer_from_the_next(self) -> None:
        self.assertIn("handler: 'share:tcp:a:1': raw", self.refused(framing="raw", handler="share:tcp:a:1"))
        self.assertIn("framing: the handler is a share: raw", self.refused(framing="raw", handler="share:tcp:a:1,int8"))

    def test_eof_has_one_answer_and_no_more(self) -> None:
        line = "handler: 'share:tcp:a:1,eof': eof on the device's side: it carries one message in each direction"
        self.assertIn(line, self.refused(framing="int8", handler="share:tcp:a:1,eof"))

    def test_a_share_that_leads_back_to_its_own_socket(self) -> None:
        self.assertIn("leads in a circle", self.refused(handler="share:tcp:localhost:7000"))

    def test_it_has_no_datagrams(self) -> None:
        self.assertIn("needs connections", self.refused(listen="udp:7000", framing="raw", handler="share:tcp:a:1,int8"))

    def test_answer_timeout_needs_a_device(self) -> None:
        self.assertIn("answer_timeout: no device is asked", self.refused(handler="echo", answer_timeout=1))
        self.assertIn("or a share", self.refused(handler="echo", max_pending=1))

    def test_several_workers_would_be_several_clients_of_the_device(self) -> None:
        def place(key: str) -> str:
            return f"orders.toml: {key}"

        socket = check_socket("scale", {"listen": "tcp:7000", "framing": "int8", "handler": "share:tcp:a:1"}, place)
        for workers, refused in ((1, False), (2, True)):
            program, _ = check_program({"workers": workers}, place)
            try:
                check_sockets([socket], program, lambda _, key: place(f"socket.scale.{key}"), place)
            except ConfigError as error:
                self.assertTrue(refused)
                self.assertEqual(
                    str(error),
                    "orders.toml: socket.scale.handler: each worker would connect to the device; accepted: one worker, "
                    "or without workers",
                )
            else:
                self.assertFalse(refused)
