"""Safe mode: when it begins, how long it lasts, what ends it; over boots, and over flash that refuses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from safe_mode import FIRST_MS, LONGEST_MS, MOST_CRASHES, SafeMode

from tests.firmware.flash import Flash, PowerCut

POWER_ON, HARD, WATCHDOG, DEEP_SLEEP, SOFT = 1, 2, 3, 4, 5
HOUR_MS = 3_600_000


def lives(flash: Flash, *causes: int) -> list[bool]:
    """Whether each of some lives in a row, begun for these causes and ended at once, is one in safe mode."""
    return [SafeMode(flash, cause).on for cause in causes]


def test_three_crashes_in_a_row_begin_it_a_watchdog_that_bites_among_them() -> None:
    assert lives(Flash(), POWER_ON, HARD, WATCHDOG, SOFT, HARD) == [False, False, False, True, True]


def test_a_device_that_was_well_for_a_while_counts_anew() -> None:
    flash = Flash()
    lives(flash, POWER_ON, HARD, HARD)
    SafeMode(flash, POWER_ON).survived()
    assert lives(flash, HARD, HARD, HARD) == [False, False, True]


def test_a_lack_of_power_and_a_deep_sleep_are_no_crashes() -> None:
    assert not any(lives(Flash(), *[HARD, HARD, POWER_ON, HARD, HARD, DEEP_SLEEP] * 5))


def test_the_whole_device_is_tried_after_an_hour_then_after_twice_as_long_up_to_a_day() -> None:
    flash = Flash()
    lives(flash, POWER_ON, HARD, HARD)
    held = []
    for _ in range(7):
        crashed = SafeMode(flash, HARD)
        assert crashed.on
        held.append(crashed.hold_ms())
        crashed.leave()
        assert not SafeMode(flash, SOFT).on, "the reset that ends safe mode is no crash"
    assert held == [n * HOUR_MS for n in (1, 2, 4, 8, 16, 24, 24)]


def test_a_trial_that_goes_well_ends_it_for_good() -> None:
    flash = Flash()
    lives(flash, POWER_ON, HARD, HARD)
    SafeMode(flash, HARD).leave()
    SafeMode(flash, SOFT).survived()
    assert lives(flash, HARD, HARD) == [False, False]
    assert SafeMode(flash, HARD).hold_ms() == FIRST_MS


def test_how_many_crashes_in_a_row_is_told() -> None:
    flash = Flash()
    lives(flash, POWER_ON, HARD, HARD, HARD, HARD)
    assert SafeMode(flash, WATCHDOG).crashes == 5


def test_a_life_without_trouble_writes_nothing() -> None:
    flash = Flash()
    for _ in range(5):
        SafeMode(flash, POWER_ON).survived()
    assert flash.steps == 0


def test_a_count_that_can_not_be_read_is_none() -> None:
    assert lives(Flash({"crashes": b"\x03\x00\x00junk"}), HARD, HARD, HARD) == [False, False, True]


def test_flash_that_refuses_stops_nothing() -> None:
    flash = Flash()
    flash.fail_at = set(range(1000))
    for cause in (HARD, HARD, HARD, HARD):
        mode = SafeMode(flash, cause)
        mode.leave()
        mode.survived()


@given(st.lists(st.tuples(st.sampled_from([POWER_ON, HARD, WATCHDOG]), st.integers(0, 9)), max_size=30))
def test_a_power_cut_at_any_step_of_the_count_leaves_a_device_that_boots(
    story: list[tuple[int, int]],
) -> None:
    flash = Flash()
    in_a_row = 0
    for cause, cut in story:
        flash.cut_at = flash.steps + cut if cut else None
        try:
            mode = SafeMode(flash, cause)
        except PowerCut:
            # whether it was counted is not known; a count that was to end may stand
            in_a_row += cause != POWER_ON
            continue
        in_a_row = 0 if cause == POWER_ON else in_a_row + 1
        assert not mode.on or in_a_row >= MOST_CRASHES, "never without three crashes"
        assert mode.hold_ms() <= LONGEST_MS
