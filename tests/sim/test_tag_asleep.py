"""Light sleep on the virtual board, deaf in it as a chip is: serial lines lose bytes, interrupts are not felt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from boards.esp32_pins import PINS

from core.readings import Kind
from sim.bench.tag import MOVING_PIN, VirtualTag
from tests.sim.alone import HOUR_MS, MINUTE_MS, START_MS, Duty
from tests.sim.stand_in import StandIn
from tests.sim.test_tag_on_duty import CASE, STRAP, stamped_in_time

REST_MS = 20 * MINUTE_MS


@pytest.fixture
def resting(tmp_path: Path) -> Iterator[Duty]:
    """A tag that has lain still for long enough to be at rest."""
    duty = Duty(tmp_path)
    duty.pin(0, MOVING_PIN, 0)
    duty.run(REST_MS)
    yield duty
    duty.end()


def test_a_tag_at_rest_sleeps_nine_tenths_of_the_time_and_one_in_pursuit_not_at_all(resting: Duty) -> None:
    before_ms = resting.tag.asleep_ms
    resting.run(REST_MS + 2 * HOUR_MS)
    assert resting.tag.asleep_ms - before_ms > 2 * HOUR_MS * 9 // 10
    resting.tell(1, "pursuit", [60])
    resting.run(REST_MS + 2 * HOUR_MS + 20 * MINUTE_MS)  # told with the next answer, to a status reading
    assert [outcome for _, record in resting.of_kind(Kind.COMMAND) for outcome in record[8:9]] == [0]
    before_ms = resting.tag.asleep_ms
    resting.run(REST_MS + 2 * HOUR_MS + 50 * MINUTE_MS)
    assert resting.tag.asleep_ms == before_ms
    assert resting.tag.counters()["connections"] == 1, "sleep has cost no connection"


def test_a_tag_that_is_moved_does_not_sleep(tmp_path: Path) -> None:
    duty = Duty(tmp_path)
    duty.run(HOUR_MS)
    assert duty.tag.asleep_ms == 0
    duty.end()


@pytest.mark.parametrize("open_ms", [30, 700, 60_000])
def test_a_strap_or_case_that_opens_in_sleep_is_stamped_within_five_seconds_however_briefly(
    resting: Duty, open_ms: int
) -> None:
    opened = [(REST_MS + 61_234, STRAP, PINS["strap"]), (REST_MS + 4 * MINUTE_MS + 777, CASE, PINS["case"])]
    for at_ms, _, pin in opened:
        resting.pin(at_ms, pin, 1)
        resting.pin(at_ms + open_ms, pin, 0)
    resting.run(REST_MS + 8 * MINUTE_MS)
    told = resting.tampers()
    for at_ms, code, _ in opened:
        stamps = [(t_ms, detail) for t_ms, one, detail in told if one == code]
        assert [detail for _, detail in stamps] == [1, 0]
        assert stamped_in_time(stamps[0][0], at_ms)
        assert stamped_in_time(stamps[1][0], at_ms + open_ms)


def test_an_open_strap_does_not_keep_the_tag_from_sleeping_nor_its_closing_from_being_told(
    resting: Duty,
) -> None:
    resting.pin(REST_MS + 1000, PINS["strap"], 1)
    resting.run(REST_MS + MINUTE_MS)
    before_ms = resting.tag.asleep_ms
    resting.run(REST_MS + 31 * MINUTE_MS)
    assert resting.tag.asleep_ms - before_ms > 27 * MINUTE_MS
    resting.pin(REST_MS + 31 * MINUTE_MS + 500, PINS["strap"], 0)
    resting.run(REST_MS + 35 * MINUTE_MS)
    assert [detail for _, code, detail in resting.tampers() if code == STRAP] == [1, 0]


def test_an_officers_tool_wakes_a_sleeping_tag_and_is_answered_at_once(resting: Duty) -> None:
    asleep_ms = resting.tag.asleep_ms
    begun_ms = resting.tag.now_ms
    assert resting.tag.console('{"do": "identify"}', within_s=1)["kind"] == "gps_tag"
    for _ in range(20):
        resting.tag.run_until(resting.tag.now_ms + 5000)
        assert "tests" in resting.tag.console('{"do": "self_test"}')
    assert resting.tag.asleep_ms - asleep_ms <= 1, "with a tool on its contacts it stays awake"
    resting.tag.connect_tool(False)
    resting.tag.run_until(resting.tag.now_ms + 10 * MINUTE_MS)
    assert resting.tag.asleep_ms - asleep_ms > (resting.tag.now_ms - begun_ms) // 2


def test_a_modem_that_rings_keeps_the_processor_awake_until_what_was_lost_is_sent_again(
    resting: Duty,
) -> None:
    ring = PINS["modem_ring"]
    before_ms = resting.tag.asleep_ms
    for second in range(0, 300, 9):
        resting.pin(REST_MS + second * 1000, ring, 0)
        resting.pin(REST_MS + second * 1000 + 120, ring, 1)
    resting.run(REST_MS + 5 * MINUTE_MS)
    assert resting.tag.asleep_ms - before_ms < 30_000


def test_an_alcohol_tag_sleeps_between_its_looks_and_samples_no_less(tmp_path: Path) -> None:
    with StandIn(tmp_path / "gateway") as gateway:
        credentials = gateway.credentials("alco0001")
        config = {"fuel_cell": [400_000, 100_000]}
        with VirtualTag(
            tmp_path / "tag",
            credentials,
            start_ms=START_MS,
            kind="alcohol_tag",
            config=config,
            clock_set=True,
        ) as tag:
            tag.start()
            tag.run_until(START_MS + 4 * HOUR_MS)
            assert tag.asleep_ms > 4 * HOUR_MS * 9 // 10
            tag.run_until(tag.now_ms + MINUTE_MS * 3)
        samples = [kind for kind, _, _ in gateway.readings["alco0001"].values() if kind == Kind.ALCOHOL]
        assert len(samples) in (8, 9)
