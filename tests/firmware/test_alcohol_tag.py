"""What an alcohol tag makes of the levels at its sensors, how often it takes them, and what it tells of itself."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import channels
import counters
import pytest
import records
import rhythm
from baseline import Baseline
from channels import HIGH_UV, HOTTEST_UV, LOW_UV, Calibration
from clock import Clock
from commands import DONE, FAILED, NOT_UNDERSTOOD, REFUSED
from equipment import LOOK_MS, Equipment
from hypothesis import given
from hypothesis import strategies as st
from rhythm import CALM_MS, FAST_S, SLOW_S, Rhythm
from skin import WELL_SAMPLES, Skin

from tests.firmware.flash import Shelf
from tests.firmware.ledger import Ledger

MINUTE_MS = 60_000
OFFSET_UV, SLOPE_UV = 400_000, 50_000
UNKNOWN_I16, UNKNOWN_U16 = -32768, 65535
FAST, BASELINE, FAULT = 4, 8, 16
calibrations = st.builds(Calibration, st.integers(LOW_UV + 1, HIGH_UV - 1), st.integers(1000, 1_000_000))


@pytest.fixture(autouse=True)
def _counted_from_zero() -> Iterator[None]:
    counters.COUNTERS.clear()
    yield
    counters.COUNTERS.clear()


# ------------------------------------------------------------------------------------ volts to figures


@given(st.integers(0, 3_300_000), calibrations)
def test_a_level_is_the_nearest_figure_or_none_where_the_electronics_can_not_give_it(
    uv: int, calibration: Calibration
) -> None:
    tac = channels.tac_e5(uv, calibration)
    assert type(tac) is int
    if not LOW_UV <= uv <= HIGH_UV:
        assert tac == UNKNOWN_I16
    elif abs(tac) < 32767:
        assert (
            2 * abs(tac * calibration.slope_uv - (uv - calibration.offset_uv) * 1000) <= calibration.slope_uv
        )
    else:
        beyond = (uv - calibration.offset_uv) * 1000 // calibration.slope_uv
        assert (beyond > 0) == (tac > 0)
        assert abs(beyond) >= 32766


@given(calibrations, st.integers(LOW_UV, HIGH_UV - 1))
def test_more_alcohol_never_reads_as_less(calibration: Calibration, uv: int) -> None:
    assert channels.tac_e5(uv, calibration) <= channels.tac_e5(uv + 1, calibration)


@given(st.integers(-6000, 32767))
def test_each_hundred_thousandth_is_told_apart_by_the_calibration_of_the_bench(tac: int) -> None:
    assert channels.tac_e5(OFFSET_UV + tac * 50, Calibration(OFFSET_UV, SLOPE_UV)) == tac


@given(st.integers(0, 3_300_000))
def test_infrared_and_temperature_are_nearest_figures_or_none(uv: int) -> None:
    infrared, temperature = channels.infrared_mv(uv), channels.temperature_e2(uv)
    assert (infrared == UNKNOWN_U16) == (not LOW_UV <= uv <= HIGH_UV)
    assert infrared == UNKNOWN_U16 or abs(infrared * 1000 - uv) <= 500
    assert (temperature == UNKNOWN_I16) == (not LOW_UV <= uv <= HOTTEST_UV)
    assert temperature == UNKNOWN_I16 or abs(temperature * 100 + 500_000 - uv) <= 50


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "None, not"),
        ({"fuel_cell": [400_000]}, "not .microvolts in clean air"),
        ({"fuel_cell": [400_000, 5.5]}, "not .microvolts in clean air"),
        ({"fuel_cell": [400_000, True]}, "not .microvolts in clean air"),
        ({"fuel_cell": [400_000, 0]}, "no calibration"),
        ({"fuel_cell": [0, 50_000]}, "no calibration"),
    ],
)
def test_a_tag_without_a_calibration_says_so_and_takes_none_for_granted(
    tmp_path: Path, settings: dict[str, object], why: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=f"'fuel_cell'.*{why}"):
        channels.load(str(path))


def test_the_calibration_is_read_from_what_was_provisioned(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"device": "alc00001", "fuel_cell": [OFFSET_UV, SLOPE_UV]}))
    calibration = channels.load(str(path))
    assert (calibration.offset_uv, calibration.slope_uv) == (OFFSET_UV, SLOPE_UV)


# ------------------------------------------------------------------------------------------- when


@given(
    st.lists(st.tuples(st.integers(1, 45), st.booleans()), max_size=60),
    st.sampled_from([60, FAST_S, 900, SLOW_S, 3600]),
)
def test_no_sample_comes_sooner_than_it_may_nor_later_than_it_must(
    life: list[tuple[int, bool]], slow_s: int
) -> None:
    policy, now_ms, taken = Rhythm(), 0, list[int]()
    seen: list[int] = []
    for minutes, sees in life:
        for _ in range(minutes * 2):
            if policy.due(now_ms, slow_s):
                policy.take(now_ms)
                taken.append(now_ms)
            now_ms += MINUTE_MS // 2
        if sees:
            policy.see(now_ms)
            seen.append(now_ms)
    assert not life or taken[0] == 0
    fast_ms = min(FAST_S, slow_s) * 1000
    for one, next_one in pairwise([*taken, now_ms]):
        between = [at for at in range(one, next_one, MINUTE_MS // 2) if was_seen(seen, at)]
        # never after the slow interval, nor after the fast one where that held throughout
        assert next_one - one <= slow_s * 1000
        if len(between) == (next_one - one) // (MINUTE_MS // 2):
            assert next_one - one <= fast_ms
        if next_one != now_ms:
            assert next_one - one >= (fast_ms if was_seen(seen, next_one) else slow_s * 1000)


def was_seen(seen: list[int], at: int) -> bool:
    """Whether something was seen in the hour before."""
    return any(instant <= at < instant + CALM_MS for instant in seen)


WELL = (0, 1000, 3300)
BASE = (1000, 3300)


@pytest.mark.parametrize(
    ("values", "before", "base", "expected"),
    [
        pytest.param(WELL, 3300, BASE, False, id="as at fitting"),
        pytest.param((0, 1250, 3300), 3300, BASE, False, id="0.25 V away"),
        pytest.param((0, 1251, 3300), 3300, BASE, True, id="further"),
        pytest.param((0, 749, 3300), 3300, BASE, True, id="further the other way"),
        pytest.param((0, 2900, 3300), 3300, (UNKNOWN_U16, UNKNOWN_I16), False, id="no baseline"),
        pytest.param((0, UNKNOWN_U16, 3300), 3300, BASE, False, id="unknown infrared"),
        pytest.param((0, 1000, 2801), 3300, BASE, False, id="a little colder"),
        pytest.param((0, 1000, 2800), 3300, BASE, True, id="5 degrees colder than before"),
        pytest.param((0, 1000, 2800), UNKNOWN_I16, BASE, False, id="nothing known of before"),
        pytest.param((0, 1000, 2300), 2400, BASE, True, id="10 degrees colder than at fitting"),
        pytest.param((0, 1000, UNKNOWN_I16), 3300, BASE, False, id="unknown temperature"),
        pytest.param((0, 1000, 4501), 4400, BASE, True, id="warmer than skin"),
        pytest.param((0, 1000, 999), 1200, (1000, UNKNOWN_I16), True, id="colder than skin"),
    ],
)
def test_what_looks_taken_off_and_what_does_not(
    values: tuple[int, int, int], before: int, base: tuple[int, int], expected: bool
) -> None:
    assert rhythm.away(values, before, *base) is expected


def test_what_the_tag_looks_for_is_what_the_core_judges_by() -> None:
    from core.rules import DEFAULT_RULES as RULES

    assert round(RULES.ir_band_v * 1000) == rhythm.BAND_MV
    assert round(RULES.skin_fall_c * 100) == rhythm.FALL_E2
    assert round(RULES.tac_level_g_dl * 1e5) == 2 * rhythm.ALCOHOL_E5
    # the core's series may not tear at either interval, and its baseline is had within the calm
    assert FAST_S < SLOW_S <= RULES.tac_every_s
    assert RULES.ir_baseline_readings * FAST_S * 1000 <= CALM_MS


# --------------------------------------------------------------------------------------- the whole


class Board:
    """Ticks and levels to set by hand."""

    def __init__(self) -> None:
        self.ms = 0
        self.strap = True
        self.uv = [OFFSET_UV, 1_000_000, 830_000]

    def ticks_ms(self) -> int:
        return self.ms % (1 << 30)

    def rtc(self) -> tuple[int, ...]:
        return (2026, 1, 5, 0, 12, 0, 0, 0)

    def skin_uv(self) -> tuple[int, ...]:
        return tuple(self.uv)

    def strap_closed(self) -> bool:
        return self.strap

    def case_closed(self) -> bool:
        return True

    def charging(self) -> bool:
        return False

    def battery_mv(self) -> int:
        return 3700

    def feed_watchdog(self) -> None:
        pass

    def reset_cause(self) -> int:
        return 1


class Leg:
    """A tag at the skin, whose time goes on look by look."""

    sample_s = SLOW_S  # as it is set

    def __init__(self) -> None:
        self.board, self.ledger, self.shelf = Board(), Ledger(), Shelf()
        self.boot()

    def boot(self) -> None:
        self.clock = Clock(self.board)
        self.baseline = Baseline(self.shelf)
        self.equipment = Equipment(self.ledger, self.clock, self.ledger, self.board)
        self.skin = Skin(
            self.ledger,
            self.clock,
            self.ledger,
            self.board,
            Calibration(OFFSET_UV, SLOPE_UV),
            self,
            self.baseline,
            self.equipment,
        )

    def live(self, minutes: int) -> None:
        for _ in range(minutes * MINUTE_MS // LOOK_MS):
            self.equipment.look()
            self.skin.look()
            self.board.ms += LOOK_MS

    def drink(self, tac_e5: int) -> None:
        self.board.uv[0] = OFFSET_UV + 50 * tac_e5

    def samples(self) -> list[tuple[int, int, int, int]]:
        """Alcohol, infrared, temperature and flags of each."""
        return [struct.unpack("<hHhB", body) for _, body in self.ledger.of_kind(3)]

    def instants(self) -> list[int]:
        """Minutes of the samples."""
        made = [t_ds for t_ds, _ in self.ledger.of_kind(3)]
        return [(t_ds - made[0]) // 600 for t_ds in made]

    def faults(self) -> list[int]:
        told = [struct.unpack("<BHB", body) for _, body in self.ledger.of_kind(5)]
        return [detail for code, detail, _ in told if code == 14]


def test_a_calm_day_has_forty_eight_samples_and_none_of_them_hurries() -> None:
    leg = Leg()
    leg.live(24 * 60)
    assert leg.instants() == list(range(0, 24 * 60, 30))
    assert set(leg.samples()) == {(0, 1000, 3300, 1)}
    assert True not in leg.ledger.woken


def test_alcohol_is_sampled_fast_and_sent_at_once_until_an_hour_after_it_is_gone() -> None:
    leg = Leg()
    leg.live(31)
    leg.drink(1000)
    leg.live(59)
    leg.drink(999)
    leg.live(120)
    expected = [0, 30, *range(60, 145, 5), 170, 200]
    assert leg.instants() == expected
    assert [flags & FAST != 0 for *_, flags in leg.samples()] == [60 <= at < 145 for at in expected]
    urgent = [urgent for kind, _, _, urgent in leg.ledger.made if kind == 3]
    assert urgent == [60 <= at < 90 for at in expected]


def test_an_opened_strap_is_followed_by_a_sample_within_five_minutes() -> None:
    leg = Leg()
    leg.live(47)
    leg.board.strap = False
    leg.live(90)
    assert leg.instants() == [0, 30, 47, *range(52, 107, 5), 132]
    leg = Leg()
    leg.live(32)
    leg.board.strap = False
    leg.live(10)
    assert leg.instants() == [0, 30, 35, 40]


def test_the_baseline_is_kept_over_a_boot_and_gives_the_core_its_twelve_readings_in_an_hour() -> None:
    leg = Leg()
    leg.live(7)
    leg.board.uv[1] = 1_100_000
    assert leg.skin.command([]) == DONE
    assert leg.samples()[-1] == (0, 1100, 3300, 1 | FAST | BASELINE)
    assert leg.ledger.woken[-1] is True
    leg.live(60)
    assert len(leg.samples()) == 1 + 12
    leg.boot()
    assert (leg.baseline.infrared_mv, leg.baseline.temperature_e2) == (1100, 3300)
    leg.live(1)
    assert leg.samples()[-1][3] & FAST == 0
    leg.board.uv[1] = 1_351_000
    leg.live(60)
    assert leg.samples()[-1][3] & FAST


def test_no_baseline_is_taken_of_an_open_strap_or_a_faulty_sensor_or_where_flash_refuses() -> None:
    leg = Leg()
    assert leg.skin.command([1]) == NOT_UNDERSTOOD
    leg.board.strap = False
    leg.live(1)
    assert leg.skin.command([]) == REFUSED
    leg.board.strap = True
    leg.live(1)
    leg.board.uv[2] = 0
    assert leg.skin.command([]) == FAILED
    leg.board.uv[2] = 830_000
    leg.shelf.worn = True
    with pytest.raises(OSError, match="28"):  # which the commands answer with "failed"
        leg.skin.command([])
    leg.shelf.worn = False
    assert leg.baseline.infrared_mv == UNKNOWN_U16
    leg.board.uv[1] = 0
    assert leg.skin.test() == "a channel is out of its range"
    with pytest.raises(ValueError, match="a sensor is at fault"):
        leg.skin.console({})
    assert not any(flags & BASELINE for *_, flags in leg.samples())


def test_a_baseline_that_can_not_be_read_is_unknown_and_said_to_be() -> None:
    leg = Leg()
    leg.skin.command([])
    leg.shelf.files["baseline"] = b"worn out"
    leg.boot()
    assert (leg.baseline.lost, leg.baseline.infrared_mv) == (True, UNKNOWN_U16)
    assert leg.skin.command([]) == DONE
    assert not leg.baseline.lost
    assert leg.skin.test() is True
    assert leg.skin.console({}) == {"infrared_mv": 1000, "temperature_e2": 3300}


@pytest.mark.parametrize(
    ("channel", "level", "expected"),
    [
        (0, 0, (UNKNOWN_I16, 1000, 3300)),
        (0, 3_100_000, (UNKNOWN_I16, 1000, 3300)),
        (1, 20_000, (0, UNKNOWN_U16, 3300)),
        (2, 0, (0, 1000, UNKNOWN_I16)),
    ],
)
def test_a_channel_that_is_unplugged_is_a_fault_told_once_and_its_figure_is_unknown(
    channel: int, level: int, expected: tuple[int, int, int]
) -> None:
    leg = Leg()
    well = leg.board.uv[channel]
    leg.live(31)
    leg.board.uv[channel] = level
    leg.live(300)
    assert leg.faults() == [1]
    assert leg.samples()[2] == (*expected, 1 | FAST | FAULT)
    assert len(leg.instants()) == 2 + 12 + 7  # fast for an hour only: nothing new is to be seen
    leg.boot()
    leg.live(40)
    assert leg.faults() == [1]
    leg.board.uv[channel] = well
    leg.live(120)
    assert leg.faults() == [1, 0]
    assert leg.samples()[-1][:3] == WELL
    assert leg.samples()[-1][3] & FAULT == 0


def test_a_wire_that_makes_contact_now_and_then_is_one_fault() -> None:
    leg = Leg()
    for _ in range(30):
        leg.board.uv[0] = 0 if len(leg.samples()) % WELL_SAMPLES == 0 else OFFSET_UV
        leg.live(5)
    assert len([flags for *_, flags in leg.samples() if flags & FAULT]) > 3
    assert leg.faults() == [1]


def test_a_fault_keeps_nothing_fast_for_ever_and_a_full_flash_loses_no_turn() -> None:
    leg = Leg()
    leg.ledger.full = True
    leg.live(10)
    assert leg.samples() == []
    leg.ledger.full = False
    leg.live(1)
    assert len(leg.samples()) == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 3_300_000), st.integers(0, 3_300_000), st.integers(0, 3_300_000)),
        min_size=1,
        max_size=20,
    )
)
def test_whatever_the_sensors_do_a_sample_says_only_what_they_said(levels: list[tuple[int, ...]]) -> None:
    leg = Leg()
    for level in levels:
        leg.board.uv = list(level)
        before = len(leg.samples())
        leg.live(5)
        for tac, infrared, temperature, flags in leg.samples()[before:]:
            calibration = Calibration(OFFSET_UV, SLOPE_UV)
            assert tac == channels.tac_e5(level[0], calibration)
            assert infrared == channels.infrared_mv(level[1])
            assert temperature == channels.temperature_e2(level[2])
            assert (flags & FAULT != 0) == (UNKNOWN_I16 in (tac, temperature) or infrared == UNKNOWN_U16)
    told = leg.faults()
    assert all(one != other for one, other in pairwise(told))
    assert told[:1] in ([], [1])


def test_the_record_is_the_one_that_the_protocol_lays_out() -> None:
    from core.readings import SAMPLE_WIRE

    assert struct.calcsize("<H") + len(records.sample(0, 0, 0, 0)) == SAMPLE_WIRE.itemsize
