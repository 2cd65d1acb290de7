"""The history of an activation: in order, each position once, however it came."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.history import History
from core.readings import Positions
from core.rows import FIX, Rows, cut, fixes_from
from tests.core.wearers import MONDAY_MS, PLACES, made


def rows(count: int, seed: int) -> Positions:
    """Positions with repeated instants, in no order."""
    rng = np.random.default_rng(seed)
    t_ms = MONDAY_MS + rng.integers(0, max(1, count // 2), count) * 1000
    return made(t_ms.tolist(), [PLACES["home"]] * count, [10.0] * count)


def same(some: Rows, others: Rows) -> bool:
    """Bit for bit: what is unknown (NaN) is the same as what is unknown."""
    return some.tobytes() == others.tobytes()


@given(st.integers(0, 60), st.integers(0, 99), st.data())
@settings(max_examples=60, deadline=None)
def test_any_arrival_makes_the_same_history(count: int, seed: int, data: st.DataObject) -> None:
    all_rows = rows(count, seed)
    history = History()
    picks = list(range(count)) + data.draw(
        st.lists(st.integers(0, max(0, count - 1)), max_size=10 if count else 0)
    )
    order = data.draw(st.permutations(picks))
    kept: set[int] = set()
    while order:
        size = data.draw(st.integers(1, len(order)))
        part, order = order[:size], order[size:]
        before = history.fixes.copy()
        first_new = history.add(fixes_from(all_rows.take(np.array(part, np.intp)), 5.0))
        assert same(before[:first_new], history.fixes[:first_new])
        assert (first_new == len(history)) is (set(part) <= kept)
        if first_new < len(before):
            assert not same(before[first_new:], history.fixes[first_new : len(before)])
        kept |= set(part)
    whole = fixes_from(all_rows, 5.0)
    assert same(history.fixes, whole)
    assert len(whole) == count
    names = list(zip(whole["t_ms"].tolist(), whole["key"].tolist(), strict=True))
    assert names == sorted(names)


def test_a_position_bears_its_name_and_never_less_than_the_floor() -> None:
    some = made([MONDAY_MS] * 3, [PLACES["home"]] * 3, [1.0, np.nan, 20.0])
    fixes = fixes_from(some, 5.0)
    assert fixes.dtype == FIX
    assert fixes["radius_m"].tolist() == [5.0, np.inf, 20.0]
    assert [(int(key) >> 32, int(key) & 0xFFFFFFFF) for key in fixes["key"]] == [(77, 1), (77, 2), (77, 3)]


def test_cutting_by_time_takes_the_start_and_leaves_the_end() -> None:
    t_ms = [MONDAY_MS + s * 1000 for s in (0, 1, 1, 2, 3)]
    fixes = fixes_from(made(t_ms, [PLACES["home"]] * 5, [10.0] * 5), 5.0)
    assert cut(fixes, 0, 5, MONDAY_MS + 1000, MONDAY_MS + 3000) == (1, 4)
    assert cut(fixes, 0, 5, MONDAY_MS - 1, MONDAY_MS + 9000) == (0, 5)
    first, last = cut(fixes, 0, 5, MONDAY_MS + 9000, MONDAY_MS + 9999)
    assert first >= last
