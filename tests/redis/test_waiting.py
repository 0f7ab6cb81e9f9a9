"""Messages that wait until they come back."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sockserve.redis.waiting import Waiting


class WaitingTests(SynchronousTestCase):
    def messages(self, waiting: Waiting) -> list[bytes]:
        return waiting.batch()[1::2]

    def test_each_has_a_number_after_the_name_of_the_process(self) -> None:
        waiting = Waiting()
        waiting.put([b"a", b"b"], "x")
        self.assertEqual(waiting.batch(), [waiting.origin + b":1", b"a", waiting.origin + b":2", b"b"])
        self.assertRegex(waiting.origin, rb"^[0-9]+-[0-9a-f]{16}$")
        self.assertNotEqual(waiting.origin, Waiting().origin)

    def test_they_wait_until_they_come(self) -> None:
        waiting = Waiting()
        weight = waiting.put([b"a", b"b"], "x") + waiting.put([b"c" * 1000], "y")
        self.assertEqual((len(waiting), waiting.weight), (3, weight))
        self.assertEqual(self.messages(waiting), [b"a", b"b", b"c" * 1000])
        self.assertEqual(self.messages(waiting), [])
        self.assertEqual([entry.sender for entry in waiting.come(2)], ["x", "x"])
        self.assertEqual([entry.message for entry in waiting.come(3)], [b"c" * 1000])
        self.assertEqual((len(waiting), waiting.weight, waiting.come(3)), (0, 0, []))

    def test_what_has_not_come_is_added_again_in_order(self) -> None:
        waiting = Waiting()
        waiting.put([b"a", b"b"], "x")
        waiting.batch()
        waiting.put([b"c"], "y")
        waiting.come(1)
        waiting.rewind()
        self.assertEqual(self.messages(waiting), [b"b", b"c"])
        self.assertEqual(waiting.last_added, 3)

    def test_one_may_come_before_it_is_added_again(self) -> None:
        waiting = Waiting()
        waiting.put([b"a", b"b"], "x")
        waiting.batch()
        waiting.rewind()
        self.assertEqual(len(waiting.come(1)), 1)
        self.assertEqual(self.messages(waiting), [b"b"])

    def test_a_batch_is_bounded_in_bytes_and_messages_but_has_one_at_least(self) -> None:
        waiting = Waiting()
        waiting.put([bytes(3 << 20), bytes(600_000), bytes(400_000), bytes(400_000)], "x")
        self.assertEqual([list(map(len, self.messages(waiting))) for _ in range(3)], [
            [3 << 20], [600_000, 400_000], [400_000],
        ])  # fmt: skip
        waiting.put([b""] * 1200, "x")
        self.assertEqual([len(self.messages(waiting)) for _ in range(4)], [500, 500, 200, 0])

    def test_those_of_some_senders_are_given_up(self) -> None:
        waiting = Waiting()
        waiting.put([b"a"], "x")
        waiting.put([b"b"], "y")
        waiting.batch()
        weight = waiting.weight
        waiting.put([b"c"], "x")
        self.assertEqual(waiting.give_up(lambda sender: sender == "x"), 2)
        self.assertEqual((len(waiting), waiting.weight), (1, weight // 2))
        waiting.rewind()
        self.assertEqual(self.messages(waiting), [b"b"])
