"""A tag whose motion sensor holds its bus: the watchdog bites, again and again, until safe mode lets it speak."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from core.readings import Kind
from sim.bench.tag import SENSOR_HANGING, SENSOR_HEALTHY, SENSOR_PIN, WATCHDOG
from tests.sim.alone import HOUR_MS, MINUTE_MS, Duty

SAFE_MODE = 11
HUNG_MS = 10 * MINUTE_MS


@pytest.fixture
def duty(tmp_path: Path) -> Iterator[Duty]:
    duty = Duty(tmp_path)
    yield duty
    duty.end()


def boots(duty: Duty) -> list[int]:
    """Why it started each time, as its boot records tell."""
    return [struct.unpack_from("<B", record)[0] for _, record in duty.of_kind(Kind.BOOT)]


def test_a_sensor_that_hangs_three_times_leads_to_safe_mode_which_speaks_and_ends_after_its_hour(
    duty: Duty,
) -> None:
    duty.run(HUNG_MS, 10_000)
    duty.pin(HUNG_MS, SENSOR_PIN, SENSOR_HANGING)
    duty.run(HUNG_MS + 20 * MINUTE_MS, 10_000)
    assert duty.tag.resets == 3
    assert [(code, detail) for _, code, detail in duty.tampers()] == [(SAFE_MODE, 3)]
    assert boots(duty)[-1] == WATCHDOG, "the lives that hung had no time to tell of themselves"
    ((told_ms, _, _),) = duty.tampers()
    assert told_ms <= HUNG_MS + 10 * MINUTE_MS, "each bite within two minutes"
    assert duty.positions(told_ms) == []
    duty.tell(1, "settings", [{1: 30}])
    duty.run(HUNG_MS + 40 * MINUTE_MS, 10_000)
    assert [record[8] for _, record in duty.of_kind(Kind.COMMAND)] == [0], "the link works"
    duty.pin(HUNG_MS + 41 * MINUTE_MS, SENSOR_PIN, SENSOR_HEALTHY)
    duty.run(told_ms + HOUR_MS + 20 * MINUTE_MS, 10_000)
    assert duty.tag.resets == 4
    again = duty.positions(told_ms)
    assert told_ms + HOUR_MS <= again[0] <= told_ms + HOUR_MS + MINUTE_MS
    assert again[-1] >= told_ms + HOUR_MS + 17 * MINUTE_MS
    assert len(duty.tampers()) == 1


def test_a_sensor_that_hangs_for_good_is_tried_after_an_hour_and_then_after_two(duty: Duty) -> None:
    duty.pin(0, SENSOR_PIN, SENSOR_HANGING)
    duty.run(4 * HOUR_MS, MINUTE_MS)
    told = [t_ms for t_ms, code, _ in duty.tampers() if code == SAFE_MODE]
    held = [later - earlier for earlier, later in pairwise(told)]
    assert len(held) == 2
    for hours, held_ms in enumerate(held, 1):
        assert hours * HOUR_MS <= held_ms <= hours * HOUR_MS + 3 * MINUTE_MS
    assert duty.tag.resets == 3 + 2 * 2, "one at the end of safe mode, and one for the life that followed"
    assert max(t_ms for t_ms, _ in duty.of_kind(Kind.STATUS)) >= 3 * HOUR_MS + 30 * MINUTE_MS, (
        "it still speaks"
    )
