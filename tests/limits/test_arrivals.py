"""Connections that are not with their protocol yet: how many, of whom, and what they hold."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sockserve.limits.arrivals import Arrivals
from sockserve.limits.memory import MemoryBudget
from sockserve.limits.peers import PeerCount

PEER = IPv4Address("TCP", "192.0.2.7", 4711)
OTHER = IPv4Address("TCP", "192.0.2.8", 4711)


class Handshake:
    """One that is under way, and holds so many bytes."""

    def __init__(self, arrivals: Arrivals, held: int = 0) -> None:
        self.held = held
        self.paused = False
        self.aborted: list[tuple[str, str]] = []
        self._arrivals = arrivals

    def hold_reading(self, reason: str) -> None:
        self.paused = True

    def release_reading(self, reason: str) -> None:
        self.paused = False

    def abort_for(self, limit: str, text: str) -> None:
        self.held = 0
        self.aborted.append((limit, text))
        self._arrivals.leave(self)

    def forget(self) -> None:
        self.aborted.append(("", ""))


class ArrivalsTests(SynchronousTestCase):
    def test_one_too_many_ends_the_oldest(self) -> None:
        arrivals = Arrivals(most=2)
        handshakes = [Handshake(arrivals) for _ in range(3)]
        self.assertEqual([arrivals.enter(each) for each in handshakes], [True] * 3)
        self.assertEqual([len(each.aborted) for each in handshakes], [1, 0, 0])
        self.assertIn("handshake_timeout", handshakes[0].aborted[0][1])
        self.assertEqual(len(arrivals), 2)

    def test_those_that_are_forgotten_are_gone(self) -> None:
        arrivals = Arrivals()
        handshakes = [Handshake(arrivals) for _ in range(3)]
        for handshake in handshakes:
            arrivals.enter(handshake)
        arrivals.forget()
        self.assertEqual(len(arrivals), 0)
        self.assertEqual([each.aborted for each in handshakes], [[("", "")]] * 3)

    def test_one_that_is_ready_makes_room(self) -> None:
        arrivals = Arrivals(most=1)
        for _ in range(3):
            handshake = Handshake(arrivals)
            arrivals.enter(handshake)
            arrivals.leave(handshake)
            arrivals.leave(handshake)
            self.assertEqual(handshake.aborted, [])

    def test_they_count_for_their_peer_together_with_its_connections(self) -> None:
        peers = PeerCount(2)
        arrivals = Arrivals(peers=peers)
        self.assertEqual(peers.take("a connection", PEER), "")
        first, second = Handshake(arrivals), Handshake(arrivals)
        self.assertTrue(arrivals.enter(first, PEER))
        self.assertFalse(arrivals.enter(second, PEER))
        self.assertEqual(second.aborted[0][0], "max_connections_per_peer")
        self.assertIn("192.0.2.7", second.aborted[0][1])
        self.assertTrue(arrivals.enter(Handshake(arrivals), OTHER))
        arrivals.leave(first)
        self.assertTrue(arrivals.enter(Handshake(arrivals), PEER))

    def test_of_a_peer_that_is_not_known_yet_there_may_be_any_number(self) -> None:
        arrivals = Arrivals(peers=PeerCount(1))
        for _ in range(3):
            self.assertTrue(arrivals.enter(Handshake(arrivals)))

    def test_what_they_hold_counts_for_the_budget(self) -> None:
        memory = MemoryBudget(1000, Clock())
        arrivals = Arrivals(memory)
        small, large = Handshake(arrivals, 200), Handshake(arrivals, 880)
        for each in (small, large):
            arrivals.enter(each)
            arrivals.grow(each.held, each)
        self.assertEqual((small.paused, large.paused), (False, True))
        large.held = 1000
        arrivals.grow(200, large)
        self.assertEqual([limit for limit, _ in large.aborted], ["memory_budget"])
        self.assertEqual((small.aborted, len(arrivals)), ([], 1))
