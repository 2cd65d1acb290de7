"""Instants that clocks stumble over, on the virtual board: midnight with a leap second, ticks that wrap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from core.readings import Kind
from sim.sentences import fix, sentence
from tests.sim.alone import MINUTE_MS, START_MS, Duty

DAY_MS = 86_400_000
MIDNIGHT_MS = 20 * MINUTE_MS
"""After the start, by the receiver; the board's ticks wrap ten minutes after the start, and 2^30 ms after that."""
WRAP_MS = 10 * MINUTE_MS
BEHIND_MS = START_MS % DAY_MS + MIDNIGHT_MS


@pytest.fixture
def duty(tmp_path: Path) -> Iterator[Duty]:
    duty = Duty(tmp_path, every_fix=True)
    yield duty
    duty.end()


def leaping(t_ms: int) -> bytes:
    """What a receiver says whose day ends with 23:59:60, so many hours behind that the day ends soon."""
    since_ms = t_ms - START_MS - MIDNIGHT_MS
    told_ms = t_ms - BEHIND_MS - (1000 if since_ms >= 0 else 0)
    if not 0 <= since_ms < 1000:
        return fix(told_ms, 52.1, 4.9)
    lines = fix(told_ms, 52.1, 4.9).decode().split("\r\n")[:-1]
    return b"".join(sentence(line[1:-3].replace("235959", "235960")) for line in lines)


def test_midnight_a_leap_second_and_ticks_that_wrap_leave_times_in_order_and_right(duty: Duty) -> None:
    duty.says = leaping  # type: ignore[method-assign]
    duty.run(MIDNIGHT_MS + 10 * MINUTE_MS)
    assert b"235960" in leaping(START_MS + MIDNIGHT_MS)
    told = [t_ms + BEHIND_MS for t_ms in duty.positions(-DAY_MS)]
    steps = Counter(later - earlier for earlier, later in pairwise(told))
    assert steps.pop(1000) >= 27 * 60
    assert steps == {0: 1}, "23:59:60 is told as the next day's first second, which then comes"
    (twice,) = (earlier for earlier, later in pairwise(told) if earlier == later)
    assert twice == MIDNIGHT_MS
    assert duty.tampers() == []
    assert duty.tag.resets == 0


@pytest.mark.long
def test_ticks_that_wrap_again_after_twelve_days_leave_the_times_of_a_tag_without_fixes_right(
    duty: Duty,
) -> None:
    duty.run(MINUTE_MS)
    period_ms = 1 << 30
    for t_ms in range(DAY_MS, WRAP_MS + period_ms + DAY_MS, DAY_MS):
        duty.fed_ms = t_ms  # the receiver says nothing
        duty.tag.run_until(START_MS + t_ms)
    times = [t_ms for t_ms, _ in duty.of_kind(Kind.STATUS)]
    assert times[-1] > WRAP_MS + period_ms
    assert all(899_000 <= later - earlier <= 905_000 for earlier, later in pairwise(times))
    assert duty.tag.resets == 0
