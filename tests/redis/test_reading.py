"""Where a process stands in a stream, from replies that are written by hand."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.redis.reading import Message, News, Reading, passed

ONE, TWO = b"1-00000000000000aa", b"2-00000000000000bb"


def reply(added: int, ids: str, *, length: int | None = None, last: str = "") -> list[int | bytes]:
    """The entries with these ids, all that follow the position. length: how many the stream has; None: these.

    Each id is `ID` for an entry of another program, or `ID/ORIGIN/NUMBER`.
    """
    found: list[int | bytes] = []
    for text in ids.split():
        number, *own = text.split("/")
        name = b"%s:%d" % ({"one": ONE, "two": TWO}[own[0]], int(own[1])) if own else b"field"
        found += [number.encode(), name, f"m{number}".encode()]
    count = len(found) // 3
    first = found[0] if length is None and found else b"0-1"
    last_id = last.encode() or (found[-3] if found else b"0-0")
    return [added, count if length is None else length, first, last_id, *found]


def texts(news: News) -> list[bytes]:
    return [each.message for each in news.messages]


class ReadingTests(SynchronousTestCase):
    def test_it_goes_on_from_entry_to_entry(self) -> None:
        reading = Reading(2, "5-1")
        news = reading.take(reply(4, "6-0 7-0", length=4))
        self.assertEqual((texts(news), news.missed, news.end, news.lost), ([b"m6-0", b"m7-0"], 0, True, False))
        self.assertEqual((reading.position, reading.count), ("7-0", 4))
        news = reading.take(reply(4, "", length=4, last="7-0"))
        self.assertEqual((news.messages, news.missed, news.end, news.lost), ([], 0, True, False))

    def test_it_is_not_at_the_end_while_there_is_more(self) -> None:
        reading = Reading(0, "0-0")
        self.assertFalse(reading.take(reply(3, "6-0 7-0", length=3, last="8-0")).end)
        self.assertEqual((reading.position, reading.count), ("7-0", 2))
        self.assertTrue(reading.take(reply(3, "8-0", length=3)).end)

    def test_whose_a_message_is(self) -> None:
        news = Reading(0, "0-0").take(reply(3, "6-0/one/1 6-1/two/9 6-2", length=3))
        self.assertEqual(news.messages, [Message(ONE, 1, b"m6-0"), Message(TWO, 9, b"m6-1"), Message(b"", 0, b"m6-2")])

    def test_each_value_of_an_entry_is_a_message(self) -> None:
        reading = Reading(0, "0-0")
        news = reading.take([1, 1, b"6-0", b"6-0", b"6-0", b"a", b"x", b"6-0", b"b", b"y"])
        self.assertEqual((texts(news), reading.count), ([b"x", b"y"], 1))

    def test_what_was_added_twice_is_read_once(self) -> None:
        reading = Reading(0, "0-0")
        first = reading.take(reply(3, "6-0/one/1 6-1/one/2 6-2/two/1", length=3))
        self.assertEqual(len(first.messages), 3)
        again = reading.take(reply(8, "7-0/one/1 7-1/one/2 7-2/two/1 7-3/one/3 7-4/two/2", length=8))
        self.assertEqual(texts(again), [b"m7-3", b"m7-4"])

    def test_two_connections_that_add_the_same(self) -> None:
        reading = Reading(0, "0-0")
        news = reading.take(reply(6, "6-0/one/1 6-1/one/1 6-2/one/2 6-3/one/3 6-4/one/2 6-5/one/3", length=6))
        self.assertEqual(texts(news), [b"m6-0", b"m6-2", b"m6-3"])

    def test_what_was_removed_before_it_was_read_is_counted_once(self) -> None:
        reading = Reading(2, "5-1")
        news = reading.take(reply(10, "9-0 9-1", length=3, last="9-2"))
        self.assertEqual((texts(news), news.missed, reading.count), ([b"m9-0", b"m9-1"], 5, 9))
        news = reading.take(reply(10, "9-2", length=3))
        self.assertEqual((news.missed, reading.count), (0, 10))

    def test_what_was_removed_after_it_was_read_is_not_missed(self) -> None:
        reading = Reading(2, "5-1")
        reading.take(reply(4, "6-0 7-0", length=4))
        self.assertEqual(reading.take(reply(104, "9-0", length=100, last="9-9")).missed, 0)

    def test_all_was_removed(self) -> None:
        reading = Reading(2, "5-1")
        news = reading.take(reply(6, "", length=0, last="9-0"))
        self.assertEqual((news.missed, news.end, reading.count), (4, True, 6))

    def test_a_server_that_comes_back_empty_is_read_from_its_start(self) -> None:
        reading = Reading(2, "5-1")
        reading.take(reply(4, "6-0 7-0", length=4))
        self.assertTrue(reading.take([0, 0, b"0-0", b"0-0"]).lost)
        self.assertEqual((reading.position, reading.count), ("0-0", 0))
        news = reading.take(reply(2, "8-0 8-1"))
        self.assertEqual((texts(news), news.missed, news.lost), ([b"m8-0", b"m8-1"], 0, False))

    def test_a_server_that_was_empty_and_has_new_entries(self) -> None:
        reading = Reading(2, "5-1")
        reading.take(reply(4, "6-0 7-0", length=4))
        self.assertTrue(reading.take([2, 2, b"8-0", b"8-1"]).lost)
        news = reading.take(reply(2, "8-0 8-1"))
        self.assertEqual((texts(news), news.missed, news.lost), ([b"m8-0", b"m8-1"], 0, False))

    def test_an_older_state_is_read_again_from_where_the_process_began(self) -> None:
        reading = Reading(2, "5-1")
        reading.take(reply(5, "6-0/one/1 6-1/one/2 6-2/one/3", length=5))
        # It has lost 6-2, and somebody whose clock is behind has added another.
        self.assertTrue(reading.take([5, 5, b"3-0", b"6-1"]).lost)
        self.assertEqual((reading.position, reading.count), ("5-1", 2))
        news = reading.take([*reply(5, "6-0/one/1 6-1/one/2 6-1/two/1", length=5)])
        self.assertEqual((texts(news), news.missed), ([b"m6-1"], 0))

    def test_a_state_older_than_the_process_brings_nothing(self) -> None:
        reading = Reading(2, "5-1")
        reading.take(reply(4, "6-0 7-0", length=4))
        self.assertTrue(reading.take([1, 1, b"3-0", b"3-0"]).lost)
        self.assertEqual((reading.position, reading.count), ("3-0", 1))
        self.assertEqual(texts(reading.take(reply(2, "8-0", length=2))), [b"m8-0"])

    def test_fewer_entries_than_before_are_a_loss_too(self) -> None:
        reading = Reading(7, "5-1")
        self.assertTrue(reading.take(reply(3, "8-0", length=3)).lost)
        self.assertFalse(reading.take(reply(3, "8-0", length=3)).lost)

    def test_ids_are_numbers(self) -> None:
        for position, number, expected in (("10-0", "9-5", True), ("9-10", "9-9", True), ("9-9", "9-10", False)):
            self.assertIs(passed(position, number), expected)
