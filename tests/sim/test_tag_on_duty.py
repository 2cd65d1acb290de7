"""The GPS tag on its virtual board, with a real broker: what it is told, what it feels, and what may not wait."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from boards.esp32_pins import PINS

from core.readings import Kind
from sim.bench.tag import MOVING_PIN, SENSOR_BROKEN, SENSOR_NUMB, SENSOR_PIN
from sim.sentences import fix, sentence
from tests.sim.alone import HOUR_MS, MINUTE_MS, START_MS, Duty

STRAP, CASE, JAMMING, SENSOR = 2, 3, 6, 10


def stamped_in_time(stamped_ms: int, happened_ms: int) -> bool:
    """Within 5 s; the tag's clock may lag by what a receiver's sentences take."""
    return happened_ms - 1000 <= stamped_ms <= happened_ms + 5000


@pytest.fixture
def duty(tmp_path: Path) -> Iterator[Duty]:
    duty = Duty(tmp_path)
    yield duty
    duty.end()


def test_a_pursuit_samples_each_quarter_of_a_minute_and_sends_at_once_until_it_is_over(duty: Duty) -> None:
    duty.run(10 * MINUTE_MS)
    before = duty.positions()
    assert len(before) <= 11
    duty.tell(1, "pursuit", [10])
    duty.run(14 * MINUTE_MS)  # told with the next answer, within two minutes
    for second in range(0, 120, 20):
        duty.run(14 * MINUTE_MS + second * 1000)
        assert duty.positions()[-1] >= 14 * MINUTE_MS + second * 1000 - 16_000
    assert len(duty.positions(15 * MINUTE_MS - 60_000, 15 * MINUTE_MS)) == 4
    duty.run(30 * MINUTE_MS)
    assert len(duty.positions(24 * MINUTE_MS, 29 * MINUTE_MS)) in (4, 5)
    assert len(duty.of_kind(10)) == 1


def test_under_curfew_and_near_a_zone_every_position_is_sent_at_once_and_else_it_waits(duty: Duty) -> None:
    begin_s = (START_MS + 20 * MINUTE_MS) // 1000
    duty.tell(1, "settings", [{4: [begin_s, begin_s + 600]}])
    waited = []
    for minute in range(10, 20):
        duty.run(minute * MINUTE_MS)
        waited.append(minute * MINUTE_MS - duty.positions()[-1])
    assert max(waited) > 61_000
    for minute in range(22, 30):
        duty.run(minute * MINUTE_MS)
        assert minute * MINUTE_MS - duty.positions()[-1] <= 60_000
    duty.tell(2, "settings", [{4: None, 5: [521_000_000, 49_000_000, 300]}])
    duty.run(34 * MINUTE_MS)
    for minute in range(36, 40):
        duty.run(minute * MINUTE_MS)
        assert minute * MINUTE_MS - duty.positions()[-1] <= 60_000


def test_at_rest_there_is_a_position_an_hour_and_a_movement_brings_one_within_ten_seconds(duty: Duty) -> None:
    duty.pin(0, MOVING_PIN, 0)
    woken_ms = 4 * HOUR_MS + 1234
    duty.pin(woken_ms, MOVING_PIN, 1)
    duty.run(4 * HOUR_MS + 10 * MINUTE_MS)
    at_rest = duty.positions(11 * MINUTE_MS, woken_ms)
    assert len(at_rest) == 3
    assert all(HOUR_MS <= later - earlier < HOUR_MS + 10_000 for earlier, later in pairwise(at_rest))
    assert duty.positions(woken_ms)[0] <= woken_ms + 10_000
    assert len(duty.positions(woken_ms, woken_ms + 6 * MINUTE_MS)) >= 6
    assert duty.tampers() == []


WAKE_MS = 50
"""More than a look at strap, case, charger and motion sensor takes an ESP32 in MicroPython."""


def test_a_tag_at_rest_has_nothing_to_do_for_more_than_nine_tenths_of_the_time(duty: Duty) -> None:
    duty.pin(0, MOVING_PIN, 0)
    duty.run(20 * MINUTE_MS)
    before = duty.tag.wakes
    duty.run(20 * MINUTE_MS + 3 * HOUR_MS)
    assert 0 < (duty.tag.wakes - before) * WAKE_MS < 3 * HOUR_MS // 10


@pytest.mark.parametrize(("condition", "detail"), [(SENSOR_BROKEN, 1), (1, 2)])
def test_a_motion_sensor_at_fault_is_told_and_there_is_no_rest(
    duty: Duty, condition: int, detail: int
) -> None:
    duty.pin(0, MOVING_PIN, 0)
    duty.pin(5000, SENSOR_PIN, condition)
    duty.run(90 * MINUTE_MS, 5000)
    ((_, code, told),) = duty.tampers()
    assert (code, told) == (SENSOR, detail)
    assert len(duty.positions(60 * MINUTE_MS, 80 * MINUTE_MS)) >= 19


def test_a_sensor_that_feels_nothing_of_a_drive_is_told(duty: Duty) -> None:
    duty.pin(1, SENSOR_PIN, SENSOR_NUMB)
    duty.says = lambda t_ms: (  # type: ignore[method-assign]
        fix(t_ms, 52.1, 4.9) + sentence("GPVTG,054.7,T,034.4,M,027.0,N,050.0,K,A")
    )
    duty.run(5 * MINUTE_MS)
    assert [(code, detail) for _, code, detail in duty.tampers()] == [(SENSOR, 3)]


def test_strap_and_case_are_stamped_within_five_seconds_and_told_at_once_however_briefly_they_open(
    duty: Duty,
) -> None:
    duty.run(5 * MINUTE_MS)
    cut_ms = 5 * MINUTE_MS + 777
    duty.pin(cut_ms, PINS["strap"], 1)
    duty.pin(cut_ms + 300, PINS["strap"], 0)  # a third of a second
    duty.pin(cut_ms + 20_000, PINS["case"], 1)
    duty.run(cut_ms + 10_000)
    told = duty.tampers()
    assert [(code, detail) for _, code, detail in told] == [(STRAP, 1), (STRAP, 0)]
    assert stamped_in_time(told[0][0], cut_ms)
    duty.run(cut_ms + 30_000)
    assert duty.tampers()[2][1:] == (CASE, 1)
    assert stamped_in_time(duty.tampers()[2][0], cut_ms + 20_000)


def test_a_strap_cut_while_the_broker_is_away_is_told_within_three_minutes_of_its_return(duty: Duty) -> None:
    duty.run(5 * MINUTE_MS)
    duty.gateway.stop()
    cut_ms = 10 * MINUTE_MS
    duty.pin(cut_ms, PINS["strap"], 1)
    duty.run(40 * MINUTE_MS)
    duty.gateway.start()
    duty.run(43 * MINUTE_MS)
    assert [(code, detail) for _, code, detail in duty.tampers()] == [(STRAP, 1)]
    assert stamped_in_time(duty.tampers()[0][0], cut_ms)


def test_the_charger_is_told_and_a_vibration_is_felt(duty: Duty) -> None:
    duty.pin(2 * MINUTE_MS, PINS["charger"], 1)
    duty.tell(1, "vibrate", [2, 3])
    duty.run(6 * MINUTE_MS)
    assert [record[3] for _, record in duty.of_kind(Kind.STATUS)] == [0, 1]
    assert [level for _, level in duty.tag.vibrations] == [1, 0] * 6


def test_locate_brings_a_position_at_once_even_at_rest(duty: Duty) -> None:
    duty.pin(0, MOVING_PIN, 0)
    duty.run(20 * MINUTE_MS)
    assert duty.positions()[-1] < 12 * MINUTE_MS
    duty.tell(1, "locate", [])
    duty.run(35 * MINUTE_MS)  # with the answer to the next status
    assert duty.of_kind(10) != []
    (located,) = duty.positions(20 * MINUTE_MS)
    assert located - duty.of_kind(10)[0][0] <= 5000


def view(second: int, by: int) -> bytes:
    """GSV of eight satellites, each ``by`` dB weaker than usual."""
    lines = b""
    for number in (1, 2):
        rows = "".join(
            f",{number * 4 + i:02d},{10 + 9 * (number * 4 + i - 4)},083,{34 + number * 4 + i + second % 2 - by}"
            for i in range(4)
        )
        lines += sentence(f"GPGSV,2,{number},08{rows}")
    return lines


def test_a_jammer_beside_a_tag_that_lies_still_is_told_within_half_a_minute(duty: Duty) -> None:
    jammed_ms = 5 * MINUTE_MS
    duty.pin(0, MOVING_PIN, 0)
    duty.says = lambda t_ms: (  # type: ignore[method-assign]
        fix(t_ms, 52.1, 4.9) + view(t_ms // 1000, 14 if t_ms - START_MS >= jammed_ms else 0)
    )
    duty.run(jammed_ms + 30_000)
    ((t_ms, code, detail),) = duty.tampers()
    assert jammed_ms <= t_ms <= jammed_ms + 20_000
    assert code == JAMMING
    assert 120 <= detail <= 150
