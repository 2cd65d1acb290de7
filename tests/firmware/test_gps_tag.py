"""Which fixes become positions, what time they bear, and what the tag tells of itself."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from itertools import pairwise

import counters
import pytest
import records
from clock import Clock
from commands import DONE, REFUSED
from duty import DRIVEN_KMH, Duty
from equipment import LOOK_MS, STATUS_MS, Equipment, started
from fix import Fix
from hypothesis import given
from hypothesis import strategies as st
from sampler import Sampler

from sim.sentences import fix as sentences_of_a_fix
from sim.sentences import sentence
from tests.firmware.flash import Shelf
from tests.firmware.ledger import Ledger

DAY_DS = 864_000


class Board:
    """Ticks, RTC and equipment to set by hand."""

    def __init__(self) -> None:
        self.ms = 0
        self.closed = True
        self.fed = 0
        self.kept: tuple[int, ...] | None = None
        self.case = True
        self.charger = False
        self.shaken = True
        self.sensor = True
        self.powered = True

    def ticks_ms(self) -> int:
        return self.ms % (1 << 30)

    def rtc(self) -> tuple[int, ...] | None:
        return self.kept

    def set_rtc(self, when: tuple[int, ...]) -> None:
        self.kept = when

    def strap_closed(self) -> bool:
        return self.closed

    def case_closed(self) -> bool:
        return self.case

    def charging(self) -> bool:
        return self.charger

    def moved(self) -> bool:
        return self.shaken

    def motion_self_test(self) -> bool | None:
        return None if self.shaken else self.sensor

    def receiver_power(self, on: bool) -> None:
        self.powered = on

    def battery_mv(self) -> int:
        return 3700

    def reset_cause(self) -> int:
        return 3

    def feed_watchdog(self) -> None:
        self.fed += 1


class Settings:
    """What the gateway has set: intervals to send at once in, and whether the place is near one of the zones."""

    def __init__(self, sample_s: int) -> None:
        self.sample_s = sample_s
        self.pursuit_s = 15
        self.near = False
        self.curfew = False

    def timed(self, t_ds: int, flags: int) -> bool:
        return self.curfew

    def at_once(self, t_ds: int, flags: int, lat_e7: int, lon_e7: int, precision_dm: int) -> bool:
        return self.near


class Bench:
    """A sampler on a board whose time goes on second by second."""

    def __init__(self, sample_s: int = 60, every_fix: bool = False) -> None:
        self.board = Board()
        self.ledger = Ledger()
        self.clock = Clock(self.board, built_year=2016)  # so that days of long ago may be tried
        self.settings = Settings(sample_s)
        self.shelf = Shelf()
        self.every_fix = every_fix
        self.settle()

    def settle(self) -> None:
        """What a boot makes anew of what stands on flash."""
        self.duty = Duty(self.settings, self.clock, self.board, self.shelf)
        self.sampler = Sampler(self.ledger, self.clock, self.ledger, self.duty, self.every_fix)

    def live(self, seconds: int, *, speed: int = 0, fixes: bool = True) -> list[int]:
        """So many seconds with a fix each while the receiver has power; the seconds in which positions were made."""
        made = []
        for second in range(seconds):
            before = len(self.ledger.positions())
            self.board.ms += 1000
            if self.board.ms % 2000 == 0:
                self.sampler.look()
            if self.board.powered and fixes:
                fix = Fix(521000000, 49000000)
                fix.date, fix.time_ds, fix.speed, fix.precision_dm = None, None, speed, 100
                if self.clock.now()[1] == records.UNSET:
                    fix.date, fix.time_ds = TODAY, NOON
                self.sampler.take(fix)
            if len(self.ledger.positions()) > before:
                made.append(second)
        return made

    def take(
        self, date: tuple[int, int, int] | None, time_ds: int | None, after_s: int = 1, flags: int = 0
    ) -> None:
        """A fix that comes ``after_s`` seconds after the last."""
        self.board.ms += after_s * 1000
        fix = Fix(521000000, 49000000)
        fix.date, fix.time_ds, fix.flags = date, time_ds, flags
        self.sampler.take(fix)


def ds(*when: int) -> int:
    """Tenths of a second from 1970 to a civil time."""
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 10  # type: ignore[arg-type, misc]


TODAY = (2026, 1, 15)
NOON = 12 * 36000


def test_one_position_is_made_for_each_interval_from_its_first_fix() -> None:
    bench = Bench()
    for second in range(0, 200):
        bench.take(TODAY, NOON + 300 + second * 10)
    assert [t_ds for t_ds, _ in bench.ledger.positions()] == [
        ds(2026, 1, 15, 12) + offset for offset in (300, 600, 1200, 1800)
    ]
    assert bench.ledger.woken == [False] * 5  # and the time quality record


def test_a_fix_that_is_due_and_does_not_come_is_replaced_by_the_next_that_does() -> None:
    bench = Bench()
    for second in (0, 1, 95, 96, 119, 120):
        bench.take(TODAY, NOON + second * 10)
    assert [t_ds - ds(2026, 1, 15, 12) for t_ds, _ in bench.ledger.positions()] == [0, 950, 1200]


def test_with_every_fix_none_is_left_out() -> None:
    bench = Bench(every_fix=True)
    for second in range(50):
        bench.take(TODAY, NOON + second * 2)
    assert [t_ds - ds(2026, 1, 15, 12) for t_ds, _ in bench.ledger.positions()] == list(range(0, 100, 2))


def test_a_full_date_sets_the_clock_and_the_setting_is_told_once() -> None:
    bench = Bench()
    bench.take(TODAY, NOON, after_s=5)
    bench.take(TODAY, NOON + 10)
    assert bench.clock.now() == (ds(2026, 1, 15, 12) + 10, records.KEPT)
    ((t_ds, body),) = bench.ledger.of_kind(records.TIME)
    uptime_s, step_s, source, flags = struct.unpack("<IiBB", body)
    assert (t_ds, uptime_s, source, flags) == (ds(2026, 1, 15, 12), 5, records.SOURCE_GNSS, records.KEPT)
    assert step_s == ds(2026, 1, 15, 12) // 10 - 5
    assert [flags & records.QUALITY_MASK for _, flags in bench.ledger.positions()] == [records.GNSS]


def test_a_clock_that_is_stepped_by_more_than_two_seconds_says_so() -> None:
    bench = Bench()
    bench.take(TODAY, NOON)
    bench.take(TODAY, NOON + 10 + 15)
    assert len(bench.ledger.of_kind(records.TIME)) == 1
    bench.take(TODAY, NOON + 10 + 15 + 10 + 25)
    (_, body) = bench.ledger.of_kind(records.TIME)[1]
    assert struct.unpack("<IiBB", body)[1] == 2


def test_a_fix_without_date_bears_the_time_since_boot_until_a_date_is_known() -> None:
    bench = Bench(every_fix=True)
    bench.take(None, NOON, after_s=3)
    bench.take(None, None, after_s=4)
    bench.take(TODAY, NOON + 100, after_s=3)
    bench.take(None, NOON + 110)
    bench.take(None, None)
    noon = ds(2026, 1, 15, 12)
    assert bench.ledger.positions() == [
        (30, records.UNSET),
        (70, records.UNSET),
        (noon + 100, records.GNSS),
        (noon + 110, records.TIME_OF_DAY),
        (noon + 120, records.KEPT),
    ]


@given(st.integers(0, DAY_DS - 1), st.integers(-DAY_DS // 2 + 10, DAY_DS // 2 - 10))
def test_a_time_of_day_takes_the_date_that_lies_nearest_to_the_clock(now_ds: int, error_ds: int) -> None:
    bench = Bench(every_fix=True)
    bench.take((2026, 1, 15), now_ds)
    truth = ds(2026, 1, 15) + now_ds + error_ds
    bench.take(None, truth % DAY_DS, after_s=0)
    assert bench.ledger.positions()[-1] == (truth, records.TIME_OF_DAY)


@pytest.mark.parametrize("date", [(1999, 8, 22), (2006, 5, 31), (2026, 1, 13), (2026, 1, 17), (2045, 8, 31)])
def test_a_date_that_contradicts_the_clock_is_not_believed_and_marked(date: tuple[int, int, int]) -> None:
    bench = Bench(every_fix=True)
    bench.take(TODAY, NOON)
    bench.take(date, NOON + 20, after_s=2)
    assert bench.ledger.positions()[1] == (
        ds(2026, 1, 15, 12) + 20,
        records.TIME_OF_DAY | records.DATE_SUSPECT,
    )
    bench.take(TODAY, NOON + 30)
    assert bench.ledger.positions()[2] == (ds(2026, 1, 15, 12) + 30, records.GNSS)


def test_a_receiver_that_tells_the_new_time_with_the_old_date_at_midnight_does_not_put_the_clock_back() -> (
    None
):
    bench = Bench(every_fix=True)
    bench.take((2026, 1, 15), DAY_DS - 20)
    bench.take((2026, 1, 15), 0, after_s=2)
    bench.take((2026, 1, 16), 10)
    midnight = ds(2026, 1, 16)
    told = bench.ledger.positions()
    assert [t_ds for t_ds, _ in told] == [midnight - 20, midnight, midnight + 10]
    assert told[1][1] & records.DATE_SUSPECT
    assert len(bench.ledger.of_kind(records.TIME)) == 1


def test_midnight_is_no_contradiction() -> None:
    bench = Bench(every_fix=True)
    bench.take((2025, 12, 31), DAY_DS - 5)
    bench.take((2026, 1, 1), 5)
    assert bench.ledger.positions()[1] == (ds(2026, 1, 1) + 5, records.GNSS)


def test_a_leap_second_is_the_first_of_the_next_day() -> None:
    bench = Bench(every_fix=True)
    bench.take((2016, 12, 31), DAY_DS + 3)
    assert bench.ledger.positions() == [(ds(2017, 1, 1) + 3, records.GNSS)]


def test_a_fixs_flags_are_kept_beside_the_quality_of_its_time() -> None:
    bench = Bench()
    bench.take(TODAY, NOON, flags=records.THREE_D | records.NOT_SATELLITE)
    assert bench.ledger.positions()[0][1] == records.THREE_D | records.NOT_SATELLITE | records.GNSS


def test_a_position_that_flash_refused_is_made_of_the_next_fix() -> None:
    counters.COUNTERS.clear()
    bench = Bench()
    bench.ledger.full = True
    bench.take(TODAY, NOON)
    bench.ledger.full = False
    bench.take(TODAY, NOON + 10)
    assert counters.COUNTERS["flash_errors"] == 2  # the position and the time quality record
    assert [t_ds for t_ds, _ in bench.ledger.positions()] == [ds(2026, 1, 15, 12) + 10]


def test_sentences_are_counted() -> None:
    counters.COUNTERS.clear()
    bench = Bench()
    bench.sampler.feed(sentences_of_a_fix(1_767_225_600_000, 52.1, 4.9) + b"$GPGGA,torn*00\r\n")
    bench.sampler.idle()
    assert (counters.COUNTERS["sentences_accepted"], counters.COUNTERS["sentences_rejected"]) == (2, 1)
    assert counters.COUNTERS["fixes"] == 1


def equipment(board: Board, ledger: Ledger) -> Equipment:
    return Equipment(ledger, Clock(board), ledger, board)


def test_the_boot_record_tells_why_and_how_often_the_tag_has_started() -> None:
    board, ledger = Board(), Ledger()
    started(ledger, Clock(board), ledger, board.reset_cause())
    ((_, body),) = ledger.of_kind(records.BOOT)
    assert struct.unpack("<BHHB", body) == (3, 1, 7, records.UNSET)


def test_what_flash_refuses_at_boot_is_counted_and_the_device_goes_on() -> None:
    counters.COUNTERS.clear()
    board, ledger = Board(), Ledger()
    ledger.full = True
    started(ledger, Clock(board), ledger, board.reset_cause())
    assert (ledger.made, ledger.woken) == ([], [])
    assert counters.COUNTERS["flash_errors"] == 1


def test_a_strap_that_opens_and_closes_is_told_twice_each_time_at_once() -> None:
    board, ledger = Board(), Ledger()
    watch = equipment(board, ledger)
    for second, closed in enumerate((True, False, False, True, True)):
        board.ms, board.closed = second * LOOK_MS, closed
        watch.look()
    told = [struct.unpack("<BHB", body)[:2] for _, body in ledger.of_kind(records.TAMPER)]
    assert told == [(records.TAMPER_STRAP, 1), (records.TAMPER_STRAP, 0)]
    assert [urgent for kind, _, _, urgent in ledger.made if kind == records.TAMPER] == [True, True]
    assert board.fed == 5


def test_a_strap_cut_while_the_tag_was_off_is_told_at_its_first_look() -> None:
    board, ledger = Board(), Ledger()
    board.closed = False
    equipment(board, ledger).look()
    assert len(ledger.of_kind(records.TAMPER)) == 1


def test_a_strap_cut_that_flash_refused_is_told_at_the_next_look() -> None:
    board, ledger = Board(), Ledger()
    board.closed, ledger.full = False, True
    watch = equipment(board, ledger)
    watch.look()
    ledger.full = False
    watch.look()
    assert len(ledger.of_kind(records.TAMPER)) == 1


def test_the_battery_is_told_every_quarter_of_an_hour() -> None:
    counters.COUNTERS.clear()
    counters.count("sentences_rejected", 5)
    board, ledger = Board(), Ledger()
    watch = equipment(board, ledger)
    for board.ms in range(0, 4 * STATUS_MS, LOOK_MS):
        watch.look()
    told = [struct.unpack("<HbBHB", body) for _, body in ledger.of_kind(records.STATUS)]
    assert told == [(3700, -128, 0, 5, records.UNSET)] * 4


def test_the_charger_is_told_when_it_is_plugged_in_and_out() -> None:
    counters.COUNTERS.clear()
    board, ledger = Board(), Ledger()
    watch = equipment(board, ledger)
    for board.ms in range(0, STATUS_MS, LOOK_MS):
        board.charger = 100_000 <= board.ms < 200_000
        watch.look()
    told = [struct.unpack("<HbBHB", body)[2] for _, body in ledger.of_kind(records.STATUS)]
    assert told == [0, 1, 0]


def test_the_case_is_told_like_the_strap_and_apart_from_it() -> None:
    board, ledger = Board(), Ledger()
    watch = equipment(board, ledger)
    for second, case in enumerate((True, False, False, True)):
        board.ms, board.case, board.closed = second * LOOK_MS, case, second < 2
        watch.look()
    told = [struct.unpack("<BHB", body)[:2] for _, body in ledger.of_kind(records.TAMPER)]
    assert told == [(records.TAMPER_CASE, 1), (records.TAMPER_STRAP, 1), (records.TAMPER_CASE, 0)]


# ---------------------------------------------------------------------------------------------- duty


def tampers(bench: Bench) -> list[tuple[int, int]]:
    return [struct.unpack("<BHB", body)[:2] for _, body in bench.ledger.of_kind(records.TAMPER)]


def test_in_pursuit_a_position_is_made_each_quarter_of_a_minute_until_it_is_over() -> None:
    bench = Bench()
    assert len(bench.live(600)) in (10, 11)
    assert bench.duty.pursuit([10]) == DONE
    assert len(bench.live(600)) in (40, 41)
    assert len(bench.live(600)) in (10, 11)


def test_a_pursuit_is_ended_by_one_of_no_minutes_and_none_lasts_for_ever() -> None:
    bench = Bench()
    bench.duty.pursuit([60])
    bench.duty.pursuit([0])
    assert not bench.duty.in_pursuit()
    for minutes in (-1, 24 * 60 + 1, None, "10"):
        assert bench.duty.pursuit([minutes]) == REFUSED
    assert not bench.duty.in_pursuit()


def test_a_pursuit_goes_on_after_a_boot_until_its_time() -> None:
    bench = Bench()
    bench.live(10)
    bench.duty.pursuit([30])
    bench.live(600)
    bench.settle()
    assert bench.duty.in_pursuit()
    bench.live(1190)
    assert bench.duty.in_pursuit()
    bench.live(20)
    assert not bench.duty.in_pursuit()


def test_a_pursuit_that_flash_refuses_is_not_begun() -> None:
    bench = Bench()
    bench.shelf.worn = True
    with pytest.raises(OSError, match="28"):
        bench.duty.pursuit([30])
    assert not bench.duty.in_pursuit()


def test_at_rest_a_position_is_made_each_hour_and_a_movement_brings_one_within_ten_seconds() -> None:
    bench = Bench()
    bench.board.shaken = False
    assert len(bench.live(600)) in (10, 11)
    assert not bench.board.powered
    made = bench.live(6 * 3600)
    assert len(made) == 6
    assert all(3590 < later - earlier < 3610 for earlier, later in pairwise(made))
    bench.board.shaken = True
    assert bench.live(10)[0] <= 3
    assert len(bench.live(600)) in (10, 11)


def test_without_a_sensor_that_works_there_is_no_rest_and_the_fault_is_told_once() -> None:
    bench = Bench()
    bench.board.shaken = bench.board.sensor = False
    bench.settle()
    assert len(bench.live(7200)) in (120, 121)
    assert tampers(bench) == [(records.TAMPER_MOTION_FAULT, 1)]
    assert bench.ledger.woken.count(True) == 1


def test_a_sensor_that_feels_nothing_of_a_drive_ends_rest_for_good_and_is_told() -> None:
    bench = Bench()
    bench.board.shaken = False
    bench.live(120, speed=60)
    assert tampers(bench) == [(records.TAMPER_MOTION_FAULT, 3)]
    assert len(bench.live(7200)) in (120, 121)


def test_no_one_in_pursuit_rests() -> None:
    bench = Bench()
    bench.board.shaken = False
    bench.live(1200)
    assert not bench.board.powered
    bench.duty.pursuit([10])
    assert len(bench.live(600)) >= 38
    bench.live(10)
    assert not bench.board.powered


def test_locate_makes_a_position_of_the_next_fix_and_sends_it_at_once_even_at_rest() -> None:
    bench = Bench()
    bench.board.shaken = False
    bench.live(1200)
    hurried = bench.ledger.hurried
    assert bench.duty.locate([]) == DONE
    assert bench.live(30)[0] == 0
    assert bench.ledger.hurried == hurried + 1
    assert not bench.board.powered


def test_positions_near_a_zone_or_under_curfew_are_sent_at_once_and_no_others() -> None:
    bench = Bench()
    bench.live(600)
    assert bench.ledger.hurried == 0
    bench.settings.near = True
    assert bench.ledger.hurried == 0
    made = bench.live(600)
    assert bench.ledger.hurried == len(made) >= 10


def gsv_round(second: int, by: int) -> bytes:
    """A burst in which every satellite is ``by`` dB weaker than usual."""
    groups = b""
    for number in (1, 2):
        body = f"GPGSV,2,{number},08" + "".join(
            f",{number * 4 + i:02d},{10 + 9 * (number * 4 + i)},083,{34 + number * 4 + i - by}"
            for i in range(4)
        )
        groups += sentence(body)
    return sentences_of_a_fix(1_767_225_600_000 + second * 1000, 52.1, 4.9) + groups


def test_a_jammer_that_is_switched_on_beside_a_tag_that_lies_still_is_told_at_once() -> None:
    bench = Bench()
    bench.board.shaken = False
    for second in range(300):
        bench.board.ms += 1000
        if second % 2:
            bench.sampler.look()
        bench.sampler.feed(gsv_round(second, 14 if second >= 200 else 0))
    ((code, detail),) = tampers(bench)
    assert (code, detail) == (records.TAMPER_JAMMING, 140)
    ((t_ds, _),) = bench.ledger.of_kind(records.TAMPER)
    assert 0 <= t_ds - 17_672_256_000 - 2000 <= 150


def test_a_moved_tag_takes_a_position_every_20_s_where_none_may_wait_and_else_each_minute() -> None:
    bench = Bench()
    bench.board.shaken = True
    assert len(bench.live(300)) in (5, 6)
    bench.settings.near = True
    bench.live(60)
    assert len(bench.live(120)) == 6
    bench.board.shaken = False
    bench.live(62)  # what has lain still for a minute is not moved
    assert len(bench.live(180)) == 3
    bench.settings.near, bench.board.shaken = False, True
    bench.live(60)
    assert len(bench.live(180)) == 3


def test_a_position_says_that_the_tag_was_not_carried_away_where_a_sound_sensor_felt_little() -> None:
    bench = Bench()

    def said(seconds: int = 60, speed: int = 0) -> bool:
        bench.live(seconds, speed=speed)
        return bool(bench.ledger.positions()[-1][1] & records.NOT_MOVED)

    bench.board.shaken = False
    assert not said(1), "before the first position there is none"
    assert said(120)
    bench.board.shaken = True
    bench.live(8)
    bench.board.shaken = False
    assert said(52), "a stir of some seconds"
    bench.board.shaken = True
    bench.live(14)
    bench.board.shaken = False
    assert not said(46)
    assert said()
    assert not said(speed=DRIVEN_KMH)
    assert said()
    bench.board.sensor = False
    bench.live(3700)
    assert bench.duty.fault()
    assert not said()
