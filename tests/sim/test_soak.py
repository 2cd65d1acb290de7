"""Each device through whole days, its heap metered each minute: nothing is lost, and nothing grows."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from core.readings import Kind
from sim.bench.tag import VirtualTag
from tests.sim.days import DAY_MS, DEVICES, FEEDS, START_MS, begin, live_a_day
from tests.sim.stand_in import StandIn


def live_at_end_of(tag: VirtualTag, day: int) -> float:
    """Bytes live in the last hour of a day (1 is the first): the median of its minutes."""
    end_ms = START_MS + day * DAY_MS
    return median(live for at_ms, live in tag.heap if end_ms - 3_600_000 < at_ms <= end_ms)


def nothing_is_missing(gateway: StandIn, tag: VirtualTag) -> int:
    """How many readings have come; asserts that they are the first ones of one epoch."""
    numbers = sorted(gateway.readings[tag.device])
    assert [n for _, n in numbers] == list(range(1, len(numbers) + 1))
    assert len({epoch for epoch, _ in numbers}) <= 1
    return len(numbers)


@pytest.mark.parametrize("kind", sorted(FEEDS))
def test_a_day_with_a_real_broker_under_mutual_tls(kind: str, tmp_path: Path) -> None:
    with StandIn(tmp_path / "gateway") as gateway, begin(gateway, tmp_path / "tag", kind) as tag:
        live_a_day(gateway, tag, step_ms=15_000)
        counted = tag.counters()
        assert tag.log() == ""
        assert tag.resets == 0
        assert not {"memory_errors", "flash_errors"} & set(counted)
        if kind == "rf_tag":
            assert counted["beacons_sent"] >= 5760
        else:
            assert nothing_is_missing(gateway, tag) >= counted["readings_made"] - 10
            assert {kind for kind, _, _ in gateway.readings[DEVICES[kind]].values()} >= {
                Kind.BOOT, Kind.STATUS, Kind.TAMPER
            }  # fmt: skip
        assert len(tag.heap) >= 1400
        assert max(live for _, live in tag.heap) < 60_000


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(FEEDS))
def test_thirty_days_end_with_no_more_of_the_heap_in_use_than_two(kind: str, tmp_path: Path) -> None:
    with StandIn(tmp_path / "gateway") as gateway, begin(gateway, tmp_path / "tag", kind) as tag:
        for _ in range(30):
            live_a_day(gateway, tag)
        second, last = live_at_end_of(tag, 2), live_at_end_of(tag, 30)
        assert abs(last - second) < 0.02 * second, (second, last)
        assert tag.resets == 0
        assert tag.log() == ""
        nothing_is_missing(gateway, tag)
