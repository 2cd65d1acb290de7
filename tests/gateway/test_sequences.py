"""Ranges of known numbers, against plain sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.wire import MAX_SEQUENCE
from gateway.sequences import Heard, How, Known, Range, Run, Span, hear

SPANS = st.tuples(st.integers(1, 40), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
OPERATIONS = st.lists(st.tuples(st.sampled_from(["put", "fill"]), SPANS, st.sampled_from(How)), max_size=20)


def as_dict(known: Known) -> dict[int, int]:
    return {number: part.how for part in known.ranges for number in range(part.first, part.last + 1)}


@given(OPERATIONS, SPANS)
def test_ranges_hold_what_a_plain_table_of_numbers_would(
    operations: list[tuple[str, tuple[int, int], How]], asked: tuple[int, int]
) -> None:
    known, table = Known(), dict[int, int]()
    for name, (first, last), how in operations:
        numbers = range(first, last + 1)
        if name == "put":
            known.put(first, last, how)
            table |= dict.fromkeys(numbers, int(how))
        else:
            filled = known.fill(first, last, how)
            expected = {number for number in numbers if number not in table}
            assert {n for span in filled for n in range(span.first, span.last + 1)} == expected
            table |= dict.fromkeys(expected, int(how))
    assert as_dict(known) == table
    upto = next(number for number in range(len(table) + 1) if number + 1 not in table)
    assert known.contiguous() == upto
    pieces = list(known.split(*asked))
    assert [n for span, _ in pieces for n in range(span.first, span.last + 1)] == list(
        range(asked[0], asked[1] + 1)
    )
    for span, how_known in pieces:
        assert {table.get(number) for number in range(span.first, span.last + 1)} == {how_known}


@given(OPERATIONS)
def test_ranges_are_ascending_disjoint_and_joined(
    operations: list[tuple[str, tuple[int, int], How]],
) -> None:
    known = Known()
    for name, (first, last), how in operations:
        (known.put if name == "put" else known.fill)(first, last, how)
    for before, after in zip(known.ranges, known.ranges[1:], strict=False):
        assert before.last < after.first
        assert before.how != after.how or before.last + 1 < after.first


def test_a_long_life_is_one_range() -> None:
    known = Known()
    for first in range(1, 10_001, 5):
        decision = hear(known, Heard(7, 1, (Run(first, first + 4, lambda number: number),)), lambda *_: {})
        assert decision.commit == first + 4
    assert known.ranges == [Range(1, 10_000, How.STORED)]


def test_the_largest_numbers_are_counted_like_all_others() -> None:
    known = Known()
    message = Heard(7, MAX_SEQUENCE, (Run(MAX_SEQUENCE, MAX_SEQUENCE, lambda number: number),))
    decision = hear(known, message, lambda *_: {})
    assert decision.forgotten == [Span(1, MAX_SEQUENCE - 1)]
    assert decision.commit == MAX_SEQUENCE


def test_a_base_beyond_every_number_forgets_no_more_than_there_are() -> None:
    known = Known()
    decision = hear(known, Heard(7, MAX_SEQUENCE + 1), lambda *_: {})
    assert decision.forgotten == [Span(1, MAX_SEQUENCE)]


def test_evidence_that_can_not_be_found_is_a_conflict_not_a_duplicate() -> None:
    known = Known([Range(1, 3, How.STORED)])
    decision = hear(known, Heard(7, 1, (Run(1, 3, lambda number: number),)), lambda *_: {1: 1, 3: 3})
    assert (decision.duplicates, decision.conflicts) == ([1, 3], [2])
