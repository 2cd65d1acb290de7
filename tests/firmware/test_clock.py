"""The tag's clock against the calendar, ticks that wrap, and receivers."""

from __future__ import annotations

import datetime as dt

import records
from clock import Clock, civil_from_days, days_from_civil, instant
from hypothesis import given
from hypothesis import strategies as st

RING = 1 << 30  # of a board's ticks
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
INSTANTS = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2099, 12, 31, 23, 59, 59))


class Board:
    """Ticks and an RTC to set by hand."""

    def __init__(self, ticks: int = 0, kept: tuple[int, ...] | None = None) -> None:
        self.ms = ticks
        self.kept = kept
        self.settings = 0

    def ticks_ms(self) -> int:
        return self.ms % RING

    def rtc(self) -> tuple[int, ...] | None:
        return self.kept

    def set_rtc(self, when: tuple[int, ...]) -> None:
        self.kept = when
        self.settings += 1


def tenths(when: dt.datetime) -> int:
    """A naive UTC datetime as tenths of a second."""
    return int((when.replace(tzinfo=dt.UTC) - EPOCH) / dt.timedelta(milliseconds=100))


@given(st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)))
def test_dates_are_those_of_the_calendar(date: dt.date) -> None:
    days = (date - EPOCH.date()).days
    assert days_from_civil(date.year, date.month, date.day) == days
    assert civil_from_days(days) == (date.year, date.month, date.day)


@given(INSTANTS)
def test_an_instant_is_that_of_the_calendar(when: dt.datetime) -> None:
    made = instant(
        when.year, when.month, when.day, when.hour, when.minute, when.second, when.microsecond // 100000
    )
    assert made == tenths(when)


@given(st.integers(0, RING - 1), st.lists(st.integers(0, RING // 2 - 1), max_size=20))
def test_the_uptime_does_not_wrap_with_the_ticks(start: int, steps: list[int]) -> None:
    board = Board(start)
    clock = Clock(board)
    for step in steps:
        board.ms += step
        assert clock.uptime_ms() == board.ms - start


def test_a_tag_that_never_knew_the_time_says_seconds_since_boot() -> None:
    board = Board(RING - 500)
    clock = Clock(board)
    board.ms += 12_345
    assert clock.now() == (123, records.UNSET)
    assert clock.time_of_day(5) == (123, records.UNSET)


@given(INSTANTS)
def test_the_clock_is_kept_over_a_reboot(when: dt.datetime) -> None:
    board = Board()
    Clock(board).gnss(tenths(when))
    assert board.kept is not None
    assert board.kept[:7] == (
        when.year,
        when.month,
        when.day,
        when.weekday(),
        when.hour,
        when.minute,
        when.second,
    )
    reborn = Clock(board)
    board.ms += 60_000
    assert reborn.now() == (tenths(when.replace(microsecond=0)) + 600, records.KEPT)


@given(INSTANTS, st.integers(-430_000, 430_000))
def test_a_time_of_day_takes_the_date_that_is_nearest_to_the_tags_clock(
    when: dt.datetime, error_ds: int
) -> None:
    board = Board()
    clock = Clock(board)
    clock.gnss(tenths(when))
    true_ds = tenths(when) + error_ds
    assert clock.time_of_day(true_ds % 864_000) == (true_ds, records.TIME_OF_DAY)
    assert clock.now() == (true_ds, records.KEPT)


def test_a_step_is_told_once_and_a_correction_is_none() -> None:
    board = Board()
    clock = Clock(board)
    assert clock.take_step() is None
    board.ms = 5_000
    assert clock.gnss(17_000_000_000) == 17_000_000_000 - 50
    assert clock.take_step() == (5, 1_700_000_000 - 5, records.SOURCE_GNSS)
    assert clock.take_step() is None
    board.ms += 1_000
    assert clock.gnss(17_000_000_029) == 19
    assert clock.take_step() is None
    assert clock.gnss(17_000_000_000) == -29
    assert clock.take_step() == (6, -3, records.SOURCE_GNSS)


def test_the_rtc_is_set_once_an_hour_and_at_steps() -> None:
    board = Board()
    clock = Clock(board)
    for second in range(7201):
        board.ms = second * 1000
        clock.gnss(17_000_000_000 + second * 10)
    assert board.settings == 3


# dates in doubt

NOW = 17_936_000_000  # 2026-11-02
ROUND = 1024 * 7 * 864_000


def test_a_first_date_that_can_not_be_true_is_put_into_the_first_round_in_which_it_can_and_is_in_doubt() -> (
    None
):
    for rounds in (1, 2):
        board = Board()
        clock = Clock(board)
        assert clock.receiver(NOW - rounds * ROUND) == (NOW, records.TIME_OF_DAY | records.DATE_SUSPECT)
        assert clock.doubt
        assert clock.now() == (NOW, records.KEPT | records.DATE_SUSPECT)
        assert board.kept is None, "no date in doubt outlives a boot"
        board.ms += 1000
        assert clock.receiver(NOW - rounds * ROUND + 10) == (
            NOW + 10,
            records.TIME_OF_DAY | records.DATE_SUSPECT,
        )
        assert clock.time_of_day((NOW + 10) % 864_000) == (
            NOW + 10,
            records.TIME_OF_DAY | records.DATE_SUSPECT,
        )


def test_the_gateways_time_ends_the_doubt_and_the_receiver_is_then_known_to_be_a_round_behind() -> None:
    board = Board()
    clock = Clock(board)
    clock.receiver(NOW - ROUND)
    clock.gateway(NOW + 3)
    assert clock.now() == (NOW + 3, records.KEPT)
    assert board.kept is not None
    assert clock.receiver(NOW - ROUND + 3) == (NOW + 3, records.TIME_OF_DAY)
    assert clock.receiver(NOW - 3 * 864_000) == (NOW, records.TIME_OF_DAY | records.DATE_SUSPECT)
    assert not clock.doubt


def test_a_plausible_first_date_that_is_wrong_is_corrected_by_the_gateway() -> None:
    board = Board()
    clock = Clock(board)
    assert clock.receiver(NOW + ROUND) == (NOW + ROUND, records.GNSS)
    assert clock.wanted_ms <= clock.uptime_ms(), "nobody else has said so yet: the gateway is asked"
    assert clock.gateway(NOW) == -ROUND
    assert clock.take_step() == (0, -ROUND // 10, records.SOURCE_GATEWAY)
    assert clock.receiver(NOW + ROUND) == (NOW, records.TIME_OF_DAY)
    assert clock.now() == (NOW, records.KEPT)


def test_a_date_in_doubt_gives_way_to_one_that_can_be_true() -> None:
    clock = Clock(Board())
    clock.receiver(NOW - 2 * ROUND - 30 * 864_000)
    assert clock.receiver(NOW) == (NOW, records.GNSS)
    assert clock.now() == (NOW, records.KEPT)


def test_a_contradiction_is_asked_about_at_once_unless_the_gateway_has_spoken() -> None:
    board = Board()
    Clock(board).gnss(NOW)
    clock = Clock(board)  # kept over a boot
    assert clock.wanted_ms == 3_600_000
    clock.receiver(NOW)
    assert clock.wanted_ms == 86_400_000, "two that agree"
    clock.receiver(NOW + 9 * 864_000)
    assert clock.doubt
    assert clock.wanted_ms == 0
    clock.gateway(NOW)
    clock.receiver(NOW + 9 * 864_000)
    assert not clock.doubt
    assert clock.wanted_ms == 86_400_000


@given(
    st.lists(
        st.tuples(st.sampled_from(["receiver", "gateway", "time_of_day", "boot"]), INSTANTS), max_size=20
    )
)
def test_whatever_a_clock_is_told_the_rtc_never_holds_a_date_in_doubt(
    story: list[tuple[str, dt.datetime]],
) -> None:
    board = Board()
    clock = Clock(board)
    for what, when in story:
        before = board.kept
        if what == "boot":
            clock = Clock(board)
            assert not clock.doubt
        elif what == "time_of_day":
            clock.time_of_day(tenths(when) % 864_000)
        else:
            getattr(clock, what)(tenths(when))
        assert not clock.doubt or board.kept == before
