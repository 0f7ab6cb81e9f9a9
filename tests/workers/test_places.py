"""The places of several workers: who is given one, who waits, and what becomes of those of a worker that is gone."""

from __future__ import annotations

from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from sockserve.workers.places import Places


class Owner:
    """A worker that remembers what it was told. taker: who its connections move to."""

    taker: Owner | None = None

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def tell(self, message: dict[str, Any]) -> None:
        self.told.append((message["is"], message["place"]))


class PlacesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.places = Places()
        self.one, self.other = Owner(), Owner()

    def limit(self, **limits: object) -> None:
        self.places.limit({"x": limits})

    def say(self, owner: Owner, what: str, place: str, peer: str = "") -> None:
        self.places.told(cast("Any", owner), {"socket": "x", "place": place, "what": what, "peer": peer})

    def test_in_the_order_of_their_asking(self) -> None:
        self.limit(connections=1)
        self.say(self.one, "ask", "a")
        self.say(self.other, "ask", "b")
        self.say(self.one, "ask", "c")
        self.assertEqual(self.one.told, [("granted", "a"), ("full", "c")])
        self.assertEqual(self.other.told, [("full", "b")])
        self.say(self.one, "give back", "a")
        self.say(self.other, "give back", "b")
        self.assertEqual(self.other.told[1:], [("granted", "b")])
        self.assertEqual(self.one.told[2:], [("granted", "c")])

    def test_who_leaves_while_it_waits(self) -> None:
        self.limit(connections=1)
        for place in "abc":
            self.say(self.one, "ask", place)
        self.say(self.one, "give back", "b")
        self.say(self.one, "give back", "a")
        self.assertEqual(self.one.told[-1], ("granted", "c"))

    def test_refused(self) -> None:
        self.limit(connections=1, refuse=True)
        self.say(self.one, "ask", "a")
        self.say(self.other, "ask", "b")
        self.assertEqual(self.other.told, [("refused", "b")])
        self.say(self.one, "give back", "a")
        self.say(self.other, "ask", "c")
        self.assertEqual(self.other.told[-1], ("granted", "c"))

    def test_what_one_peer_may_have(self) -> None:
        self.limit(per_peer=2)
        self.say(self.one, "ask", "a", "192.0.2.7")
        self.say(self.other, "ask", "b", "192.0.2.7")
        self.say(self.one, "ask", "c", "192.0.2.7")
        self.say(self.one, "ask", "d", "192.0.2.8")
        self.say(self.one, "ask", "e")
        self.say(self.other, "give back", "b")
        self.say(self.one, "ask", "f", "192.0.2.7")
        self.assertEqual(
            self.one.told,
            [("granted", "a"), ("refused", "c"), ("granted", "d"), ("granted", "e"), ("granted", "f")],
        )

    def test_a_worker_that_is_gone_leaves_its_places(self) -> None:
        self.limit(connections=2, per_peer=2)
        self.say(self.one, "ask", "a", "192.0.2.7")
        self.say(self.one, "ask", "b", "192.0.2.7")
        self.say(self.one, "ask", "c", "192.0.2.8")
        self.say(self.other, "ask", "d", "192.0.2.8")
        self.places.gone(cast("Any", self.one))
        self.assertEqual(self.other.told, [("full", "d"), ("granted", "d")])
        self.say(self.other, "ask", "e", "192.0.2.7")
        self.assertEqual(self.other.told[-1], ("granted", "e"))

    def test_a_place_that_moves_to_another_worker(self) -> None:
        self.limit(connections=1)
        self.say(self.one, "ask", "a", "192.0.2.7")
        self.say(self.other, "keep", "a", "192.0.2.7")
        self.places.gone(cast("Any", self.one))
        self.say(self.one, "give back", "a")
        self.say(self.other, "ask", "b")
        self.assertEqual(self.other.told, [("full", "b")])
        self.say(self.other, "give back", "a")
        self.assertEqual(self.other.told[-1], ("granted", "b"))

    def test_a_worker_may_be_gone_before_the_other_one_says_that_it_has_a_connection(self) -> None:
        self.limit(connections=2, per_peer=1)
        self.one.taker = self.other
        self.say(self.one, "ask", "a", "192.0.2.7")
        self.say(self.one, "ask", "b", "192.0.2.8")
        self.say(self.one, "pass on", "a")
        self.places.gone(cast("Any", self.one))
        # The second one has not moved, and its place is free.
        self.say(self.other, "ask", "c", "192.0.2.7")
        self.say(self.other, "ask", "d", "192.0.2.8")
        self.say(self.other, "ask", "e", "192.0.2.9")
        self.assertEqual(self.other.told, [("refused", "c"), ("granted", "d"), ("full", "e")])
        self.say(self.other, "keep", "a", "192.0.2.7")
        self.assertEqual(self.other.told[3:], [])
        self.say(self.other, "give back", "a")
        self.assertEqual(self.other.told[3:], [("granted", "e")])

    def test_a_connection_that_is_lost_while_it_moves_frees_its_place_whoever_says_so_first(self) -> None:
        for order in (
            ("pass on", "keep", "give back"),
            ("keep", "pass on", "give back"),
            ("keep", "give back", "pass on"),
        ):
            places = self.places = Places()
            one, other = self.one, self.other = Owner(), Owner()
            one.taker = other
            self.limit(connections=1)
            self.say(one, "ask", "a", "192.0.2.7")
            self.say(other, "ask", "b")
            for what in order:
                self.say(one if what == "pass on" else other, what, "a")
            places.gone(cast("Any", one))
            self.assertEqual(other.told, [("full", "b"), ("granted", "b")], order)

    def test_what_is_passed_on_to_one_that_is_gone_is_free(self) -> None:
        self.limit(connections=1)
        self.say(self.one, "ask", "a")
        self.say(self.one, "pass on", "a")
        self.say(self.other, "ask", "b")
        self.places.gone(cast("Any", self.one))
        self.assertEqual(self.other.told, [("full", "b"), ("granted", "b")])

    def test_limits_that_change(self) -> None:
        self.limit(connections=1)
        for place in "abc":
            self.say(self.one, "ask", place)
        self.limit(connections=2)
        self.assertEqual(self.one.told[-1], ("granted", "b"))
        self.places.limit({})
        self.assertEqual(self.one.told[-1], ("granted", "c"))
