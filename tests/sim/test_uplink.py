"""When readings arrive: what waits, what does not, and what becomes of it without a link."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from core.readings import I64
from sim.uplink import (
    BACKLOG_MS,
    CONNECT_MS,
    LATENCY_MS,
    MOST_PAUSE_MS,
    NEVER_MS,
    WAIT_MS,
    arrivals,
    connected,
)

HOUR_MS = 3_600_000
ALWAYS = np.array([[0, 100 * HOUR_MS]])


def arrive(made: list[int], at_once: list[bool] | None = None, links: I64 = ALWAYS) -> list[int]:
    hurry = np.zeros(len(made), np.bool_) if at_once is None else np.array(at_once)
    return [int(t_ms) for t_ms in arrivals(np.array(made, np.int64), hurry, links)]


def test_a_reading_waits_two_minutes_for_company_and_takes_along_what_was_made_meanwhile() -> None:
    assert arrive([1000, 61_000, 130_000]) == [
        1000 + WAIT_MS + LATENCY_MS,
        1000 + WAIT_MS + LATENCY_MS,
        130_000 + WAIT_MS + LATENCY_MS,
    ]


def test_one_that_may_not_wait_takes_everything_with_it() -> None:
    assert arrive([1000, 61_000, 62_000], [False, True, False]) == [
        61_000 + LATENCY_MS,
        61_000 + LATENCY_MS,
        62_000 + WAIT_MS + LATENCY_MS,
    ]


def test_without_a_link_all_waits_for_the_next_and_comes_in_order_or_never() -> None:
    links = np.array([[0, 50_000], [600_000, 700_000]])
    found = arrive([1000, 300_000, 650_000, 690_000], links=links)
    assert found[0] == 600_000 + LATENCY_MS <= found[1] <= 601_000
    assert found[2:] == [NEVER_MS, NEVER_MS]  # the link is lost before their two minutes are over


def test_a_device_is_back_some_time_after_its_network_at_most_two_minutes() -> None:
    links = connected(
        1, np.array([[0, HOUR_MS], [2 * HOUR_MS, 9 * HOUR_MS]]), [(5 * HOUR_MS, 6 * HOUR_MS)], []
    )
    assert links[:, 1].tolist() == [HOUR_MS, 5 * HOUR_MS, 9 * HOUR_MS]
    pauses = links[:, 0] - CONNECT_MS - np.array([0, 2 * HOUR_MS, 6 * HOUR_MS])
    assert pauses[0] == 0 and (pauses[1:] >= 0).all() and (pauses[1:] <= MOST_PAUSE_MS).all()
    assert connected(1, np.zeros((0, 2), np.int64), [], []).shape == (0, 2)


@given(
    st.lists(st.tuples(st.integers(0, 10 * HOUR_MS), st.booleans()), max_size=40),
    st.lists(st.integers(0, 10 * HOUR_MS), max_size=8, unique=True),
)
@example([(0, False), (0, False), (2, True)], [1, 3])
@example([(0, False), (1, True)], [1, 2])
def test_nothing_arrives_before_it_is_made_or_out_of_order_and_what_may_not_wait_does_not(
    made: list[tuple[int, bool]], marks: list[int]
) -> None:
    made.sort()
    marks = sorted(marks)[: len(marks) // 2 * 2]
    links = np.array(marks, np.int64).reshape(-1, 2)
    times = np.array([t for t, _ in made], np.int64)
    found = arrivals(times, np.array([hurry for _, hurry in made], np.bool_), links)
    assert (found >= times + LATENCY_MS).all()
    order = np.diff(np.minimum(found, NEVER_MS))
    assert (order >= 0).all()
    before = 0
    for (t_ms, hurry), arrived in zip(made, found.tolist(), strict=True):
        if hurry and any(a <= t_ms < b for a, b in links.tolist()):
            assert arrived <= max(t_ms + LATENCY_MS, before + BACKLOG_MS)
        before = arrived
