"""The figures of named sockets: nothing is counted twice or lost, whatever becomes of the connections."""

from __future__ import annotations

import json
import socket as sockets
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sockserve.connection.channel import Channel
from sockserve.connection.engine import Engine
from sockserve.connection.options import ConnectionOptions
from sockserve.handlers.durations import Durations
from sockserve.handlers.function import Answering
from sockserve.limits.admission import Admission
from sockserve.limits.events import Events
from sockserve.server.figures import answer, merge, remains
from sockserve.server.server import Server
from sockserve.server.sockets import SocketServer
from tests.connection.test_protocol import Recorder
from tests.support.authority import Authority
from tests.support.sockets import LOCAL, Client, SocketCase, turn


def connected(**options: Any) -> Recorder:  # noqa: ANN401 - as in ConnectionOptions
    """A protocol on a new transport."""
    protocol = Recorder()
    protocol.options = ConnectionOptions(reactor=Clock(), **options)
    protocol.makeConnection(StringTransport())
    return protocol


class FigureTests(SocketCase):
    def server(self, framing: str = "windev", handler: Any = "echo", **options: Any) -> Server:  # noqa: ANN401
        socket = SocketServer("orders", LOCAL, framing, handler, **options)
        server = Server([socket])
        self.serve(socket)
        self.socket = socket
        return server

    def ask(self, server: Server, what: str = "figures", **more: object) -> dict[str, Any]:
        """The answer of a process, as it arrives in another one."""
        given: dict[str, Any] = json.loads(json.dumps(answer(server, {"ask": what, **more})))
        return given

    def counters(self, server: Server) -> dict[str, Any]:
        counters: dict[str, Any] = self.ask(server)["sockets"]["orders"]["counters"]
        return counters

    async def gone(self) -> None:
        while self.socket.admission.running:
            await turn()

    async def test_counts_of_living_connections_and_of_those_that_are_gone_are_added(self) -> None:
        server = self.server()
        first, second = [await self.client(self.socket) for _ in range(2)]
        for client in (first, second):
            client.send(b"2\r\nab0\r\n")
            await client.until(8)
        first.end()
        await first.lost
        second.send(b"1\r\nc")
        await second.until(12)
        counters = self.counters(server)
        self.assertEqual(
            {name: counters[name] for name in ("messages_received", "messages_sent", "bytes_received", "bytes_sent")},
            {"messages_received": 5, "messages_sent": 5, "bytes_received": 20, "bytes_sent": 20},
        )
        self.assertEqual((counters["connections_accepted"], counters["connections_closed"]), (2, {"peer": 1}))
        self.assertEqual(self.ask(server)["sockets"]["orders"]["gauges"]["connections"], 1)

    async def test_each_end_has_its_reason(self) -> None:
        async def hang_up(_: bytes, channel: Channel) -> None:
            channel.close()

        server = self.server(handler=hang_up, max_length=5, max_connections=2, when_full="refuse")
        for data, leave in (
            (b"", Client.end),
            (b"", Client.reset),
            (b"bad", None),
            (b"1\r\na", None),
        ):
            client = await self.client(self.socket)
            while not self.socket.admission.running:
                await turn()
            client.send(data)
            if leave is not None:
                leave(client)
            await client.lost
            await self.gone()
        stays = [await self.client(self.socket) for _ in range(2)]
        await (await self.client(self.socket)).lost
        drained = self.socket.drain()
        for client in stays:
            await client.lost
        await drained
        await self.gone()
        expected = {"peer": 1, "lost": 1, "on_bad_frame": 1, "program": 1, "max_connections": 1, "drain": 2}
        self.assertEqual(self.counters(server)["connections_closed"], expected)
        self.assertEqual(self.counters(server)["connections_accepted"], 7)
        endings = self.ask(server, "view")["sockets"]["orders"]["endings"]
        self.assertEqual([each["reason"] for each in endings][-3:], ["on_bad_frame", "lost", "peer"])

    async def test_a_connection_that_waits_is_seen_and_counted_when_it_leaves(self) -> None:
        server = self.server(max_connections=1)
        await self.client(self.socket)
        waiting = await self.client(self.socket)
        while not self.socket.admission.waiting:
            await turn()
        view = self.ask(server, "view")["sockets"]["orders"]
        self.assertEqual((view["gauges"]["connections"], view["gauges"]["connections_waiting"]), (1, 1))
        self.assertEqual(
            [each["waits_for"] for each in view["connections"]], ["a place (max_connections)", "a message"]
        )
        self.ask(server, "close", socket="orders", id=1)
        while self.socket.admission.waiting:
            await turn()
        self.assertEqual(self.ask(server)["sockets"]["orders"]["gauges"]["connections"], 1)
        waiting.end()
        await waiting.lost

    async def test_a_bad_frame_is_kept_with_the_borders_of_the_frames_before_it(self) -> None:
        server = self.server(on_bad_frame="close")
        client = await self.client(self.socket)
        client.send(b"1\r\na2\r\nbcx\r\nd")
        await client.lost
        await self.gone()
        (bad,) = self.ask(server, "view")["sockets"]["orders"]["bad_frames"]
        self.assertEqual(bytes.fromhex(bad["bytes"]), b"1\r\na2\r\nbcx\r\nd")
        self.assertEqual((bad["borders"], bad["kind"], bad["framing"]), ([0, 4, 9], "MalformedHeader", "windev"))
        self.assertEqual(bad["hint"], "")
        self.assertEqual(self.counters(server)["bad_frames"], {"MalformedHeader": 1})

    async def test_a_bad_frame_is_kept_with_the_framing_that_fits(self) -> None:
        server = self.server(on_bad_frame="close")
        client = await self.client(self.socket)
        client.send(b"11:Hello World,")
        await client.lost
        await self.gone()
        (bad,) = self.ask(server, "view")["sockets"]["orders"]["bad_frames"]
        self.assertEqual(bad["hint"], "these bytes fit netstring: header 11:, trailer ,")

    async def test_a_flood_of_bad_frames_is_counted_and_the_first_of_a_read_is_kept(self) -> None:
        server = self.server("buffered", on_bad_frame="skip", max_length=3)
        client = await self.client(self.socket)
        client.send(b"long\r\n" * 1000 + b"ok\r\n")
        await client.until(4)
        view = self.ask(server, "view")["sockets"]["orders"]
        self.assertEqual(view["counters"]["bad_frames"], {"MessageTooLong": 1000})
        self.assertLess(len(view["bad_frames"]), 10)
        self.assertEqual(bytes.fromhex(view["bad_frames"][0]["bytes"])[:6], b"long\r\n")

    async def test_a_stream_that_ends_inside_a_frame_is_kept_too(self) -> None:
        server = self.server()
        client = await self.client(self.socket)
        client.send(b"9\r\nabc")
        client.end()
        await client.lost
        await self.gone()
        (bad,) = self.ask(server, "view")["sockets"]["orders"]["bad_frames"]
        self.assertEqual((bad["kind"], bytes.fromhex(bad["bytes"])), ("TruncatedMessage", b"9\r\nabc"))

    async def test_a_suspended_socket_serves_those_who_are_there_and_lets_others_wait(self) -> None:
        server = self.server()
        first = await self.client(self.socket)
        first.send(b"1\r\na")
        await first.until(4)
        self.assertEqual(self.ask(server, "suspend", socket="orders"), {"done": "orders is suspended"})
        # The kernel accepts it.
        second = await self.client(self.socket)
        second.send(b"1\r\nb")
        first.send(b"1\r\nc")
        await first.until(8)
        for _ in range(10):
            await turn()
        self.assertEqual((self.socket.state, len(self.socket.admission.running)), ("suspended", 1))
        self.assertIn("error", self.ask(server, "suspend", socket="orders"))
        self.assertIn("done", self.ask(server, "resume", socket="orders"))
        self.assertEqual(await second.until(4), b"1\r\nb")
        self.assertEqual(self.socket.state, "open")

    async def test_a_socket_that_was_drained_can_be_resumed(self) -> None:
        answers: list[Deferred[bytes]] = []

        def later(*_: object) -> Deferred[bytes]:
            answers.append(Deferred())
            return answers[-1]

        server = self.server(handler=later)
        client = await self.client(self.socket)
        client.send(b"1\r\na")
        while not answers:
            await turn()
        self.assertIn("done", self.ask(server, "drain", socket="orders"))
        self.assertEqual(self.ask(server)["sockets"]["orders"]["state"], "draining")
        self.assertEqual(
            self.ask(server, "resume", socket="orders"),
            {"error": "'orders' is draining; accepted: suspended or drained"},
        )
        self.assertRaises(RuntimeError, self.socket.resume)
        waiting = await self.client(self.socket)
        waiting.send(b"1\r\nb")
        answers[0].callback(b"A")
        await client.lost
        self.assertEqual(bytes(client.received), b"1\r\nA")
        await self.gone()
        self.assertEqual(self.socket.state, "drained")
        self.assertIn("done", self.ask(server, "resume", socket="orders"))
        while len(answers) < 2:
            await turn()
        answers[1].callback(b"B")
        self.assertEqual(await waiting.until(4), b"1\r\nB")

    async def test_one_connection_is_closed_by_its_id(self) -> None:
        server = self.server()
        client = await self.client(self.socket)
        client.send(b"1\r\na")
        await client.until(4)
        for request in ({"id": 2}, {"id": 1, "worker": 3}, {"id": "1"}, {}):
            self.assertIn("error", self.ask(server, "close", socket="orders", **request))
        self.assertIn("error", self.ask(server, "close", socket="other", id=1))
        self.assertIn("error", self.ask(server, "explode", socket="orders"))
        self.assertIn("done", self.ask(server, "close", socket="orders", id=1, worker=0))
        await client.lost
        await self.gone()
        self.assertEqual(self.counters(server)["connections_closed"], {"admin": 1})
        self.assertEqual(len(self.logged("closed by an operator (admin)")), 1)

    async def test_a_peer_that_does_not_read_pauses_reading_once(self) -> None:
        server = self.server("int32", max_queued="64M")
        client = await self.client(self.socket, paused=True)
        client.send(((1 << 20).to_bytes(4, "big") + bytes(1 << 20)) * 12)
        while not (view := self.ask(server, "view")["sockets"]["orders"])["counters"]["reading_paused"]:
            await turn()
        self.assertEqual(view["connections"][0]["waits_for"], "its peer, to read")
        self.assertGreater(view["gauges"]["held_bytes"], 100_000)

    async def test_answers_under_way_are_counted(self) -> None:
        answers: list[Deferred[bytes]] = []

        def later(*_: object) -> Deferred[bytes]:
            answers.append(Deferred())
            return answers[-1]

        server = self.server(handler=later)
        client = await self.client(self.socket)
        client.send(b"1\r\na" * 3)
        while len(answers) < 3:
            await turn()
        view = self.ask(server, "view")["sockets"]["orders"]
        self.assertEqual(view["gauges"]["pending_answers"], 3)
        self.assertEqual(view["connections"][0]["waits_for"], "3 answers")
        self.assertEqual(sum(view["counters"]["handler_calls"].values()), 0)
        for each in answers:
            each.callback(b"")
        self.assertEqual(sum(self.counters(server)["handler_calls"].values()), 3)

    async def test_datagrams_are_counted(self) -> None:
        socket = self.serve(SocketServer("orders", "udp:0", max_length=4))
        server = Server([socket])
        port = cast("IPv4Address", socket.ports[0].getHost())
        with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as client:
            for datagram in (b"abc", b"too long", b"d"):
                client.sendto(datagram, ("127.0.0.1", port.port))
            while (counters := self.counters(server))["messages_received"] < 3:
                await turn()
        self.assertEqual((counters["messages_sent"], counters["bytes_sent"], counters["bytes_received"]), (2, 4, 12))
        self.assertEqual(counters["datagrams_dropped"], {"max_length": 1})

    async def test_suspended_datagrams_wait(self) -> None:
        socket = self.serve(SocketServer("orders", "udp:0"))
        server = Server([socket])
        port = cast("IPv4Address", socket.ports[0].getHost())
        self.ask(server, "suspend", socket="orders")
        with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as client:
            client.sendto(b"abc", ("127.0.0.1", port.port))
            for _ in range(10):
                await turn()
            self.assertEqual(self.counters(server)["messages_received"], 0)
            self.ask(server, "resume", socket="orders")
            while not self.counters(server)["messages_received"]:
                await turn()

    async def test_the_end_of_a_certificate_is_known(self) -> None:
        authority = Authority(self.mktemp())
        socket = self.serve(SocketServer("orders", authority.listen()))
        ends = self.ask(Server([socket]))["sockets"]["orders"]["least"]["certificate_expiry_timestamp_seconds"]
        self.assertLess(
            abs(datetime.fromtimestamp(ends, UTC) - datetime.now(UTC) - timedelta(days=1)), timedelta(hours=1)
        )


class HandOverTests(SynchronousTestCase):
    def test_a_connection_that_moves_to_another_process_is_counted_once(self) -> None:
        gates: list[Admission[Engine]] = [Admission(), Admission()]
        protocol = connected(gate=gates[0])
        protocol.dataReceived(b"1\r\na1\r\nb")
        engine = protocol._engine
        gates[0].totals.hand_over(engine)
        gates[1].totals.take_over(engine)
        protocol.dataReceived(b"1\r\nc")
        first, second = gates[0].totals.traffic([]), gates[1].totals.traffic([engine])
        self.assertEqual((first.messages_received, second.messages_received), (2, 1))
        self.assertEqual(tuple(map(sum, zip(first, second, strict=True))), engine.traffic)


class DurationTests(SynchronousTestCase):
    def test_each_call_is_counted_once_whether_it_answers_at_once_or_later_or_had_to_wait(self) -> None:
        later: list[Deferred[bytes]] = []

        def answer(message: bytes, _: Channel) -> bytes | Deferred[bytes]:
            if message == b"n":
                return succeed(b"now")
            if message == b"l":
                later.append(Deferred())
                return later[-1]
            return message

        durations = Durations()
        protocol = Answering(answer, max_pending=2, durations=durations)
        protocol.framing = "int8"
        protocol.options = ConnectionOptions(reactor=Clock())
        protocol.makeConnection(StringTransport())
        for _ in range(20):
            # Two have to be waited for, so that what comes after them is not delivered.
            counted = sum(durations.counts)
            protocol.dataReceived(b"\x01a\x01n\x01b\x01l\x01l\x01c\x01d\x01n\x01e")
            self.assertEqual(sum(durations.counts), counted + 3)
            while later:
                later.pop(0).callback(b"")
            self.assertEqual(sum(durations.counts), counted + 9)
        self.assertGreater(durations.sum, 0)

    def test_the_time_falls_into_its_bucket(self) -> None:
        durations = Durations()
        durations.called = 10
        durations.add_at_once(0.03)
        durations.called += 5
        durations.add(100)
        self.assertEqual((durations.counts[3], durations.counts[-1], sum(durations.counts)), (15, 1, 16))


class MergeTests(SynchronousTestCase):
    def process(self, number: int, state: str = "open", **more: object) -> dict[str, Any]:
        return {
            "process": {"counters": {"worker_restarts": 0}, "gauges": {"workers": 1}},
            "sockets": {
                "orders": {
                    "state": state,
                    "counters": {"messages_received": number, "connections_closed": {"peer": number, f"r{number}": 1}},
                    "gauges": {"connections": number},
                    "least": {"end": 100 - number},
                    **more,
                }
            },
        }

    def test_counters_and_gauges_are_summed_and_the_least_is_taken(self) -> None:
        merged = merge([self.process(2, "draining"), self.process(3), self.process(1, "suspended")])
        self.assertEqual(merged["process"]["gauges"]["workers"], 3)
        self.assertEqual(
            merged["sockets"]["orders"],
            {
                "state": "open",
                "counters": {"messages_received": 6, "connections_closed": {"peer": 6, "r1": 1, "r2": 1, "r3": 1}},
                "gauges": {"connections": 6},
                "least": {"end": 97},
            },
        )

    def test_of_a_process_that_ended_the_counters_remain(self) -> None:
        dead = remains(self.process(5))
        merged = merge([dead, self.process(1), {"process": {"counters": {"worker_restarts": 1}}, "sockets": {}}])
        orders = merged["sockets"]["orders"]
        self.assertEqual((orders["counters"]["messages_received"], orders["gauges"]), (6, {"connections": 1}))
        self.assertEqual(merged["process"], {"counters": {"worker_restarts": 1}, "gauges": {"workers": 1}})
        self.assertEqual(remains(merge([dead, dead])), merge([dead, dead]))

    def test_the_connections_of_all_are_shown_with_their_worker(self) -> None:
        merged = merge(
            [self.process(each, connections=[{"id": 1, "since": each, "worker": each}]) for each in (1, 3, 2)]
        )
        self.assertEqual([each["worker"] for each in merged["sockets"]["orders"]["connections"]], [3, 2, 1])

    def test_an_action_has_worked_where_one_process_has_done_it(self) -> None:
        self.assertEqual(merge([{"error": "no"}, {"done": "closing"}]), {"done": "closing"})
        self.assertEqual(merge([{"error": "no"}, {"error": "neither"}]), {"error": "no"})
        self.assertIn("error", merge([]))


class ReasonTests(SynchronousTestCase):
    def test_the_first_limit_is_the_reason(self) -> None:
        protocol = connected(events=Events())
        protocol._engine.telling.tell("frame_timeout")
        protocol._engine.telling.tell("close_timeout")
        self.assertEqual(protocol._engine.reason, "frame_timeout")
