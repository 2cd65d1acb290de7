"""Whether the tag moves, and when its motion sensor may be believed that it does not."""

from __future__ import annotations

import motion
from motion import DRIVE_MS, NO_ANSWER, SELF_TEST_FAILED, SELF_TEST_MS, STILL_MS, STUCK, WORKS, Motion
from rest import ACQUIRE_MS, REST_MS, Rest

LOOK_MS = 2000


class Board:
    """A sensor to set by hand."""

    def __init__(self) -> None:
        self.shaken = False
        self.mute = False
        self.passes: bool | None = True
        self.tests = 0
        self.powered = True

    def moved(self) -> bool:
        if self.mute:
            raise OSError(19)
        return self.shaken

    def motion_self_test(self) -> bool | None:
        self.tests += 1
        if self.mute:
            raise OSError(19)
        return None if self.shaken else self.passes

    def receiver_power(self, on: bool) -> None:
        self.powered = on


def look(sensor: Motion, from_ms: int, to_ms: int) -> int:
    """Look from one instant to another; the first at which the tag is at rest, or -1."""
    first = -1
    for now_ms in range(from_ms, to_ms, LOOK_MS):
        sensor.look(now_ms)
        if first < 0 and sensor.at_rest(now_ms):
            first = now_ms
    return first


def test_ten_minutes_without_a_movement_are_rest_and_the_first_movement_ends_it() -> None:
    board = Board()
    sensor = Motion(board, 0)
    assert look(sensor, 0, STILL_MS * 2) == STILL_MS
    board.shaken = True
    sensor.look(STILL_MS * 2)
    assert not sensor.at_rest(STILL_MS * 2)
    board.shaken = False
    assert look(sensor, STILL_MS * 2, STILL_MS * 4) == STILL_MS * 3


def test_before_each_rest_and_every_hour_of_it_the_sensor_is_tested() -> None:
    board = Board()
    board.shaken = True
    sensor = Motion(board, 0)
    look(sensor, 0, STILL_MS)
    before, board.shaken = board.tests, False
    assert look(sensor, STILL_MS, 2 * STILL_MS + LOOK_MS) > 0
    assert board.tests == before + 1
    look(sensor, 2 * STILL_MS + LOOK_MS, 2 * STILL_MS + 3 * SELF_TEST_MS)
    assert board.tests in (before + 3, before + 4)


def test_a_sensor_that_fails_its_test_or_does_not_answer_allows_no_rest() -> None:
    for broken, fault in (({"passes": False}, SELF_TEST_FAILED), ({"mute": True}, NO_ANSWER)):
        board = Board()
        vars(board).update(broken)
        sensor = Motion(board, 0)
        assert sensor.fault == fault
        assert look(sensor, 0, 3 * STILL_MS) == -1
        assert sensor.still_ms(3 * STILL_MS) == 0


def test_a_sensor_that_begins_to_fail_at_rest_ends_the_rest_within_an_hour() -> None:
    board = Board()
    sensor = Motion(board, 0)
    look(sensor, 0, STILL_MS + LOOK_MS)
    board.passes = False
    look(sensor, STILL_MS + LOOK_MS, STILL_MS + SELF_TEST_MS + LOOK_MS)
    assert sensor.fault == SELF_TEST_FAILED
    assert not sensor.at_rest(STILL_MS + SELF_TEST_MS)


def test_a_sensor_that_works_again_is_believed_again() -> None:
    board = Board()
    board.mute = True
    sensor = Motion(board, 0)
    board.mute = False
    assert look(sensor, 0, SELF_TEST_MS * 2) == SELF_TEST_MS
    assert sensor.fault == WORKS


def test_a_test_during_a_step_is_neither_passed_nor_failed() -> None:
    board = Board()
    board.shaken = True
    sensor = Motion(board, 0)
    assert sensor.fault == WORKS
    board.shaken, board.passes = False, None
    assert look(sensor, 0, 3 * STILL_MS) == -1  # each test ends in a movement
    assert sensor.fault == WORKS


def test_a_sensor_that_feels_nothing_of_a_drive_is_not_believed_again_before_a_boot() -> None:
    board = Board()
    sensor = Motion(board, 0)
    for now_ms in range(0, DRIVE_MS + 1, 1000):
        assert sensor.fault == WORKS
        sensor.look(now_ms)
        sensor.drives(50, now_ms)
    assert sensor.fault == STUCK
    assert look(sensor, DRIVE_MS, DRIVE_MS + 3 * SELF_TEST_MS) == -1


def test_a_drive_that_is_felt_or_a_speed_of_one_fix_accuses_nobody() -> None:
    board = Board()
    sensor = Motion(board, 0)
    for now_ms in range(0, 10 * DRIVE_MS, 1000):
        board.shaken = now_ms % 30000 == 0
        sensor.look(now_ms)
        sensor.drives(50, now_ms)
    board.shaken = False
    for now_ms in range(10 * DRIVE_MS, 20 * DRIVE_MS, 1000):
        sensor.look(now_ms)
        sensor.drives(120 if now_ms % 50000 == 0 else motion.DRIVE_KMH - 1, now_ms)
    assert sensor.fault == WORKS


def rest_until(rest: Rest, from_ms: int, to_ms: int, allowed: bool = True) -> None:
    for now_ms in range(from_ms, to_ms, LOOK_MS):
        rest.look(now_ms, allowed)


def test_at_rest_the_receiver_has_power_once_an_hour_until_a_position_is_made() -> None:
    board = Board()
    rest = Rest(board, 0)
    rest_until(rest, 0, STILL_MS)
    assert board.powered
    rest_until(rest, STILL_MS, STILL_MS + REST_MS)
    assert rest.resting
    assert not board.powered
    assert not rest.due(STILL_MS + REST_MS - 1)
    rest.look(STILL_MS + REST_MS, True)
    assert board.powered
    assert rest.due(STILL_MS + REST_MS)
    rest.sampled(STILL_MS + REST_MS + 9000)
    rest.look(STILL_MS + REST_MS + 10000, True)
    assert not board.powered
    assert not rest.due(STILL_MS + 2 * REST_MS)
    assert rest.due(STILL_MS + 2 * REST_MS + 9000)


def test_a_period_that_becomes_shorter_counts_at_once_and_one_that_becomes_longer_from_the_next_position() -> (
    None
):
    board = Board()
    rest = Rest(board, 0)
    rest_until(rest, 0, STILL_MS + REST_MS // 2)
    assert not board.powered
    now_ms = STILL_MS + REST_MS // 2
    rest.look(now_ms, True, REST_MS // 6)
    assert board.powered
    rest.sampled(now_ms + 9000)
    for at_ms in range(now_ms + 10000, now_ms + REST_MS // 6 + 9000, LOOK_MS):
        rest.look(at_ms, True, REST_MS // 6)
        assert not board.powered
    now_ms += REST_MS // 6 + 9000
    rest.look(now_ms, True)
    assert board.powered
    rest.sampled(now_ms)
    rest_until(rest, now_ms + LOOK_MS, now_ms + REST_MS)
    assert not board.powered


def test_where_a_position_is_wanted_in_vain_the_next_try_is_a_period_after_this_one() -> None:
    board = Board()
    rest = Rest(board, 0)
    on = 0
    for now_ms in range(0, STILL_MS + 2 * REST_MS, LOOK_MS):
        rest.look(now_ms, True, REST_MS // 6)
        on += board.powered
    tries = (on * LOOK_MS - STILL_MS) / (ACQUIRE_MS + LOOK_MS)
    assert 10 <= tries <= 12


def test_where_no_position_is_to_be_had_the_receiver_is_not_left_on() -> None:
    board = Board()
    rest = Rest(board, 0)
    on = 0
    for now_ms in range(0, STILL_MS + 5 * REST_MS, LOOK_MS):
        rest.look(now_ms, True)
        on += board.powered
    assert on * LOOK_MS <= STILL_MS + 5 * (ACQUIRE_MS + LOOK_MS)
    assert on * LOOK_MS >= STILL_MS + 4 * ACQUIRE_MS


def test_a_movement_gives_the_receiver_power_at_the_next_look() -> None:
    board = Board()
    rest = Rest(board, 0)
    rest_until(rest, 0, 2 * STILL_MS)
    board.shaken = True
    assert rest.look(2 * STILL_MS, True)
    assert board.powered
    assert not rest.look(2 * STILL_MS + LOOK_MS, True)


def test_where_rest_is_not_allowed_there_is_none_and_it_ends_where_it_was() -> None:
    board = Board()
    rest = Rest(board, 0)
    rest_until(rest, 0, 2 * STILL_MS, False)
    assert not rest.resting
    rest.look(2 * STILL_MS, True)
    assert rest.resting
    assert rest.look(2 * STILL_MS + LOOK_MS, False)
    assert board.powered


def test_a_position_that_is_asked_for_at_rest_gives_the_receiver_power() -> None:
    board = Board()
    rest = Rest(board, 0)
    rest_until(rest, 0, 2 * STILL_MS)
    rest.ask(2 * STILL_MS)
    assert board.powered
    assert rest.due(2 * STILL_MS)
