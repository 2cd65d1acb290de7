"""Alcohol tags on the bench: their firmware as it is, against a real broker, at a skin of our making."""

from __future__ import annotations

import json
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from boards.esp32_pins import PINS

from core.readings import Kind
from sim import equipment, skin
from sim.alcohol_feed import CALIBRATION, FUEL_CELL, INFRARED, TEMPERATURE, UNPLUGGED_MV, Curve, play
from sim.bench.flash import read_files
from sim.bench.tag import HEAP_BYTES, BenchError, VirtualTag
from sim.life import Drink, Exposure, Span
from tests.sim.alone import HOUR_MS, MINUTE_MS, START_MS, Alone
from tests.sim.drinkers import wearer
from tests.sim.stand_in import StandIn

DAY_MS = 24 * HOUR_MS
TAG = "alc00001"
FAST, BASELINE, FAULT = 4, 8, 16
UNKNOWN_I16, UNKNOWN_U16 = -32768, 65535


class Ankle(Alone):
    """A tag at a leg."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, TAG, CALIBRATION, kind="alcohol_tag", patience_s=0.5)

    def live(self, t_ms: int) -> None:
        self.tag.run_until(START_MS + t_ms)

    def samples(self) -> list[tuple[int, int, int, int, int]]:
        """When; alcohol, infrared, temperature and flags without the time's quality."""
        return [
            (t_ms, tac, infrared, temperature, flags & ~3)
            for t_ms, record in self.of_kind(Kind.ALCOHOL)
            for tac, infrared, temperature, flags in [struct.unpack("<hHhB", record)]
        ]


@pytest.fixture
def ankle(tmp_path: Path) -> Iterator[Ankle]:
    ankle = Ankle(tmp_path)
    yield ankle
    ankle.end()


def test_a_sober_day_has_forty_eight_samples_each_half_an_hour_after_the_one_before(ankle: Ankle) -> None:
    ankle.live(DAY_MS)
    samples = ankle.samples()
    assert len(samples) == 48
    steps = np.diff([t_ms for t_ms, *_ in samples])
    assert min(steps) >= 30 * MINUTE_MS
    assert max(steps) <= 30 * MINUTE_MS + 3000
    assert {sample[1:] for sample in samples} == {(0, 1000, 3300, 0)}
    assert ankle.tampers() == []
    assert ankle.tag.log() == ""
    assert ankle.tag.resets == 0


def test_drinking_is_sampled_every_five_minutes_and_each_sample_is_sent_at_once(ankle: Ankle) -> None:
    t_ms = START_MS + np.array([0, 2, 4, 6, 8]) * HOUR_MS
    tac = np.array([0.0, 0.0, 0.08, 0.05, 0.0])
    curve = Curve(t_ms, tac, np.full(5, 1.0), np.full(5, 33.0))
    curve.play(ankle.tag, START_MS, START_MS + 10 * HOUR_MS)
    for minute in range(0, 10 * 60, 30):
        at_ms = minute * MINUTE_MS + 4000
        ankle.live(at_ms)
        last_ms, last, *_ = ankle.samples()[-1]
        if last >= 1000:
            assert at_ms - last_ms <= 5 * MINUTE_MS + 4000
    ankle.live(10 * HOUR_MS)
    samples = ankle.samples()
    for t, found, *_ in samples:
        expected = np.interp(START_MS + t, t_ms, tac)
        # a level lasts for a minute, and is of whole millivolts
        assert abs(found / 1e5 - expected) <= 0.08 / 120 + 0.0002
    fast = [t for t, *_, flags in samples if flags & FAST]
    assert all(step <= 5 * MINUTE_MS + 3000 for step in np.diff(fast))
    assert 2 * HOUR_MS < fast[0] <= 2 * HOUR_MS + 30 * MINUTE_MS + 3000
    assert samples[-1][-1] & FAST == 0  # calm again


def test_the_baseline_is_taken_by_command_and_what_lies_before_the_infrared_is_seen(ankle: Ankle) -> None:
    ankle.tell(1, "baseline", [])
    ankle.live(4 * HOUR_MS)
    samples = ankle.samples()
    (based,) = [index for index, sample in enumerate(samples) if sample[-1] & BASELINE]
    ((_, command),) = ankle.of_kind(Kind.COMMAND)
    assert command[8] == 0
    assert samples[based + 11][0] - samples[based][0] < HOUR_MS
    assert samples[-1][-1] == 0
    ankle.pin(4 * HOUR_MS, INFRARED, 1260)
    ankle.pin(6 * HOUR_MS, INFRARED, 1100)
    ankle.tag.stop()  # the baseline is on flash
    ankle.tag.start()
    ankle.live(8 * HOUR_MS)
    covered = [t for t, _, infrared, *_ in ankle.samples() if infrared == 1260]
    assert len(covered) == 24
    last = [flags for t, *_, flags in ankle.samples() if t > 7 * HOUR_MS + MINUTE_MS]
    assert set(last) == {0}


def test_a_tag_that_is_taken_off_is_sampled_fast_by_the_strap_and_by_the_cold(ankle: Ankle) -> None:
    cut_ms = 100 * MINUTE_MS + 1
    ankle.pin(cut_ms, PINS["strap"], 1)
    ankle.live(cut_ms + 8000)
    ((told_ms, code, detail),) = ankle.tampers()
    assert (code, detail) == (2, 1)
    assert told_ms - cut_ms <= 5000
    assert ankle.samples()[-1][0] - cut_ms <= 5000
    ankle.live(5 * HOUR_MS)
    calm = ankle.samples()[-1]
    assert calm[-1] & FAST == 0
    ankle.pin(5 * HOUR_MS, TEMPERATURE, 720)
    ankle.live(6 * HOUR_MS)
    cold = [flags for t, *_, flags in ankle.samples() if t > 5 * HOUR_MS + 30 * MINUTE_MS]
    assert len(cold) >= 5
    assert all(flags & FAST for flags in cold)


@pytest.mark.parametrize(("channel", "index"), [(FUEL_CELL, 1), (INFRARED, 2), (TEMPERATURE, 3)])
def test_a_sensor_that_is_unplugged_is_a_fault_and_nothing_is_invented(
    ankle: Ankle, channel: int, index: int
) -> None:
    ankle.pin(65 * MINUTE_MS, channel, UNPLUGGED_MV)
    ankle.live(8 * HOUR_MS)
    well, faulty = (0, 1000, 3300), [0, 1000, 3300]
    faulty[index - 1] = UNKNOWN_U16 if channel == INFRARED else UNKNOWN_I16
    for t, *values, flags in ankle.samples():
        assert tuple(values) == (well if t < 65 * MINUTE_MS else tuple(faulty))
        assert (flags & FAULT != 0) == (t >= 65 * MINUTE_MS)
    assert [(code, detail) for _, code, detail in ankle.tampers()] == [(14, 1)]


def test_power_cuts_lose_no_sample_that_was_made_and_make_none_up(ankle: Ankle) -> None:
    chance = random.Random(7)
    t_ms = START_MS + np.arange(0, 25, 2) * HOUR_MS
    tac = np.abs(np.sin(np.arange(13) / 3)) * 0.1
    Curve(t_ms, tac, np.full(13, 1.0), np.full(13, 33.0)).play(ankle.tag, START_MS, START_MS + DAY_MS)
    kills = 0
    while kills < 12 and ankle.tag.now_ms < START_MS + DAY_MS - HOUR_MS:
        ankle.tag.begin_run(min(START_MS + DAY_MS, ankle.tag.now_ms + chance.randint(1, 180) * MINUTE_MS))
        time.sleep(chance.random() * 0.3)
        ankle.tag.kill()
        kills += 1
        ankle.tag.start()
    ankle.live(DAY_MS)
    assert kills > 4
    numbers = sorted(number for _, number in ankle.gateway.readings[TAG])
    assert numbers == list(range(1, len(numbers) + 1))
    samples = ankle.samples()
    times = [t for t, *_ in samples]
    assert times == sorted(times)
    # a kill costs up to a minute, in which the tag feels nothing new; none is ever without its next sample
    assert max(np.diff(times)) <= 31 * MINUTE_MS
    for t, found, infrared, temperature, _ in samples:
        levels = np.interp(START_MS + t - np.array([0, 3 * MINUTE_MS]), t_ms, tac)
        assert min(levels) - 0.003 <= found / 1e5 <= max(levels) + 0.003
        assert (infrared, temperature) == (1000, 3300)


@pytest.mark.parametrize(
    ("days", "journal_kib", "flicker_s"),
    [
        pytest.param(1, 16, 60, id="a day, with a charger that makes contact now and then"),
        pytest.param(7, 20, None, id="a week", marks=pytest.mark.long),
    ],
)
def test_offline_every_sample_is_kept_while_what_fills_the_journal_goes(
    tmp_path: Path, days: int, journal_kib: int, flicker_s: int | None
) -> None:
    gateway = StandIn(tmp_path / "gateway")
    tag = VirtualTag(
        tmp_path / "tag",
        gateway.credentials(TAG),
        start_ms=START_MS,
        config={**CALIBRATION, "journal_kib": journal_kib},
        patience_s=0.2,
        clock_set=True,
        kind="alcohol_tag",
    )
    end_ms = START_MS + days * DAY_MS
    level = 0
    for at_ms in range(START_MS, end_ms, flicker_s * 1000) if flicker_s else ():
        level = 1 - level
        tag.set_pin(at_ms, PINS["charger"], level)
    with tag:
        tag.start()
        tag.run_until(end_ms)
        assert tag.counters()["segments_dropped"] >= 1
        made = tag.counters()["readings_made"]
        with gateway:
            tag.run_until(end_ms + 20 * MINUTE_MS)
    readings = gateway.readings[TAG]
    samples = [t for _, (kind, t, _) in sorted(readings.items()) if kind == Kind.ALCOHOL and t is not None]
    assert len(samples) >= 48 * days
    assert max(np.diff(samples)) <= 30 * MINUTE_MS + 3000
    assert {kind for kind, _, _ in readings.values()} >= {Kind.BOOT, Kind.GAP}
    missing = set(range(1, made + 1)) - {number for _, number in readings}
    assert missing
    assert missing <= {number for _, number in gateway.dropped[TAG]}


def test_a_tag_that_was_never_calibrated_says_so_instead_of_measuring(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path / "gateway")
    tag = VirtualTag(
        tmp_path / "tag", stand_in.credentials(TAG), start_ms=START_MS, clock_set=True, kind="alcohol_tag"
    )
    with tag:
        tag.start()
        with pytest.raises(BenchError, match="'fuel_cell' is None"):
            tag.run_until(START_MS + HOUR_MS)


def test_what_the_feed_plays_is_what_the_curve_says() -> None:
    t_ms = np.array([0, 10, 20]) * MINUTE_MS
    curve = Curve(t_ms, np.array([0.0, 0.1, np.nan]), np.array([1.0, 1.0, 1.5]), np.array([30.0, 20.0, 20.0]))
    levels = list(curve.levels(0, 30 * MINUTE_MS))
    assert levels == sorted(levels)
    fuel = {t // MINUTE_MS: mv for t, pin, mv in levels if pin == FUEL_CELL}
    assert [fuel[minute] for minute in range(11)] == [400 + 50 * minute for minute in range(11)]
    assert fuel[11] == UNPLUGGED_MV
    assert 12 not in fuel
    infrared = {t // MINUTE_MS: mv for t, pin, mv in levels if pin == INFRARED}
    assert (infrared[0], infrared[15], infrared[20]) == (1000, 1250, 1500)
    temperature = {t // MINUTE_MS: mv for t, pin, mv in levels if pin == TEMPERATURE}
    assert (temperature[0], temperature[10], max(temperature)) == (800, 700, 10)


def test_the_flash_holds_the_calibration_that_the_bench_plays_by(ankle: Ankle) -> None:
    config = json.loads(read_files(ankle.tag.folder / "flash.img")["/config.json"])
    assert config["fuel_cell"] == [400_000, 50_000]


def test_an_officer_takes_the_baseline_over_the_console_and_is_told_why_not(ankle: Ankle) -> None:
    ankle.live(MINUTE_MS)
    told = ankle.tag.console(json.dumps({"do": "self_test"}))["tests"]
    assert (told["skin"], told["strap"], told["radio"]) == (True, True, True)
    told = ankle.tag.console(json.dumps({"do": "baseline"}))
    assert told == {"ok": True, "infrared_mv": 1000, "temperature_e2": 3300}
    ankle.live(5 * MINUTE_MS)
    assert [sample[1:] for sample in ankle.samples() if sample[-1] & BASELINE] == [
        (0, 1000, 3300, FAST | BASELINE)
    ]
    ankle.pin(6 * MINUTE_MS, INFRARED, UNPLUGGED_MV)
    ankle.live(7 * MINUTE_MS)
    assert "sensor is at fault" in ankle.tag.console(json.dumps({"do": "baseline"}))["error"]
    told = ankle.tag.console(json.dumps({"do": "self_test"}))["tests"]
    assert told["skin"] == "a channel is out of its range"


def test_half_a_day_of_backlog_passes_in_half_the_heap(tmp_path: Path) -> None:
    with StandIn(tmp_path / "gateway") as gateway:
        tag = VirtualTag(
            tmp_path / "tag",
            gateway.credentials(TAG),
            start_ms=START_MS,
            config=CALIBRATION,
            patience_s=0.2,
            clock_set=True,
            heap_bytes=HEAP_BYTES // 2,
            kind="alcohol_tag",
        )
        tag.set_pin(START_MS + HOUR_MS, FUEL_CELL, 600)
        with tag:
            tag.start()
            gateway.silent = True
            tag.run_until(START_MS + 6 * HOUR_MS)
            gateway.silent = False
            tag.run_until(START_MS + 7 * HOUR_MS)
            counted = tag.counters()
    assert "memory_errors" not in counted
    kinds = [kind for kind, _, _ in gateway.readings[TAG].values()]
    assert kinds.count(Kind.ALCOHOL) >= 2 + 6 * 12


def test_a_life_that_is_played_to_a_tag_gives_to_the_last_digit_the_samples_that_its_arrays_say(
    ankle: Ankle,
) -> None:
    life = wearer(
        1,
        seed=7,
        start_ms=START_MS,
        drinks=(Drink(START_MS + 2 * HOUR_MS, START_MS + 4 * HOUR_MS, 60),),
        exposures=(Exposure(START_MS + 14 * HOUR_MS, "cleaning", 1.0),),
        covered_sensor=(Span(START_MS + 18 * HOUR_MS, START_MS + 19 * HOUR_MS),),
    )
    play(life, ankle.tag, START_MS, START_MS + DAY_MS)
    for at_ms, pin, level in equipment.levels(life, "alcohol_tag", START_MS, START_MS + DAY_MS):
        ankle.tag.set_pin(at_ms, pin, level)
    ankle.live(DAY_MS)
    samples = ankle.samples()
    assert len(samples) > 100
    felt = skin.feel(life, START_MS + np.array([t_ms for t_ms, *_ in samples]))
    assert [sample[1] for sample in samples] == np.rint(felt.tac_g_dl * 1e5).astype(int).tolist()
    assert [sample[2] for sample in samples] == np.rint(felt.ir_v * 1000).astype(int).tolist()
    assert [sample[3] for sample in samples] == np.rint(felt.temp_c * 100).astype(int).tolist()
    status = [(t_ms, struct.unpack("<H", record[:2])[0]) for t_ms, record in ankle.of_kind(Kind.STATUS)]
    assert len(status) == 96
    at = START_MS + np.array([t_ms for t_ms, _ in status])
    assert [mv for _, mv in status] == equipment.battery_mv(life, at, "alcohol_tag").astype(int).tolist()
    assert ankle.tampers() == []
