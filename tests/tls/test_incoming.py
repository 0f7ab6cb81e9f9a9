"""How many records have come: what OpenSSL is asked for, and not once more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sockserve.tls.incoming import Records

LENGTHS = st.sampled_from([0, 1, 2, 5, 40, 300, 16_384 + 2048])


def record(length: int, kind: int = 23) -> bytes:
    return bytes([kind, 3, 3]) + length.to_bytes(2, "big") + bytes(length)


class RecordsTests(SynchronousTestCase):
    @given(st.lists(LENGTHS, max_size=5), st.lists(st.integers(0, 40_000), max_size=6))
    def test_each_counts_once_wherever_the_reads_end(self, lengths: list[int], ends: list[int]) -> None:
        data = b"".join(map(record, lengths))
        borders = {sum(5 + length for length in lengths[: number + 1]) for number in range(len(lengths))}
        records = Records()
        start = 0
        for end in [*sorted(ends), len(data)]:
            stop = min(end, len(data))
            expected = sum(start < border <= stop for border in borders)
            self.assertEqual(records.ended(data[start:stop]), expected, (lengths, start, stop))
            start = stop

    def test_byte_by_byte(self) -> None:
        records = Records()
        data = record(3) + record(0) + record(1)
        counts = [records.ended(data[at : at + 1]) for at in range(len(data))]
        self.assertEqual([at + 1 for at, count in enumerate(counts) if count], [8, 13, 19])

    def test_what_is_no_header_is_looked_at_at_once(self) -> None:
        for wrong in (b"GET / HTTP/1.1\r\n", record(2, kind=19), record(16_384 + 2049)[:100], record(2, kind=24)[:5]):
            self.assertGreaterEqual(Records().ended(record(3) + wrong), 2, wrong)
