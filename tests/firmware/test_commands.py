"""What a command does, once; settings that commands change; what is kept of both over power cuts."""

from __future__ import annotations

import contextlib
import random
import struct
from typing import Any

import cbor
import config
import kept
import pytest
import records
from clock import Clock
from commands import DONE, FAILED, NOT_UNDERSTOOD, REFUSED, Commands
from hypothesis import given
from hypothesis import strategies as st
from journal import Journal
from pyproj import Geod

from tests.firmware.flash import Flash, PowerCut
from tests.firmware.test_clock import Board

NOON_DS = 17_936_000_000


class Tag:
    """A journal, a clock and commands on one flash."""

    def __init__(self, flash: Flash | None = None) -> None:
        self.flash = flash or Flash()
        self.board = Board()
        self.clock = Clock(self.board)
        self.done: list[list[object]] = []
        self.boot()

    def boot(self) -> None:
        self.journal = Journal("", 1 << 20, random.Random(1).randbytes, folder=self.flash)
        handlers = {"locate": self.locate, "pursuit": self.pursuit}
        self.commands = Commands(self.journal, self.clock, random.Random(2).randbytes, self.flash, handlers)

    def locate(self, arguments: list[object]) -> int:
        self.done.append(arguments)
        return int(DONE)

    def pursuit(self, arguments: list[Any]) -> int:
        (minutes,) = arguments
        raised = {1: ValueError, 2: TypeError, 3: LookupError, 4: OSError, 5: MemoryError}.get(minutes)
        if raised:
            raise raised
        return int(REFUSED)

    def answers(self) -> list[tuple[int, int, int]]:
        """(generation, n, outcome) of each command record."""
        return [
            struct.unpack("<IIBB", body)[:3]
            for _, kind, _, body in self.journal.read(1, 99)
            if kind == records.COMMAND
        ]


def test_a_command_is_executed_once_and_what_came_of_it_is_told_at_once() -> None:
    tag = Tag()
    assert tag.commands.take(1, [1, "locate", []]) == Commands.EXECUTED
    assert tag.done == [[]]
    assert tag.answers() == [(1, 1, DONE)]
    assert tag.journal.urgent == [1]


@pytest.mark.parametrize(
    ("name", "arguments", "outcome"),
    [
        ("locate", [], DONE),
        ("dance", [], NOT_UNDERSTOOD),
        ("vibrate", [1, 1], REFUSED),  # of the protocol, but this device has no motor
        ("locate", {}, NOT_UNDERSTOOD),
        ("pursuit", [], NOT_UNDERSTOOD),
        ("pursuit", [0], REFUSED),
        ("pursuit", [1], NOT_UNDERSTOOD),
        ("pursuit", [2], NOT_UNDERSTOOD),
        ("pursuit", [3], NOT_UNDERSTOOD),
        ("pursuit", [4], FAILED),
        ("pursuit", [5], FAILED),
        ("time", [], NOT_UNDERSTOOD),
        ("time", ["noon", 1], NOT_UNDERSTOOD),
    ],
)
def test_whatever_is_commanded_has_an_outcome(name: str, arguments: object, outcome: int) -> None:
    tag = Tag()
    assert tag.commands.take(3, [7, name, arguments]) == Commands.EXECUTED
    assert tag.answers() == [(3, 7, outcome)]


@pytest.mark.parametrize(
    ("generation", "command"),
    [
        (None, [1, "locate", []]),
        (-1, [1, "locate", []]),
        (2**32, [1, "locate", []]),
        (True, [1, "locate", []]),
        (1, None),
        (1, []),
        (1, [0, "locate", []]),
        (1, [2**32, "locate", []]),
        (1, ["1", "locate", []]),
        (1, [1, 4, []]),
        (1, [1, "locate"]),
    ],
)
def test_what_names_no_command_is_passed_over(generation: object, command: object) -> None:
    tag = Tag()
    assert tag.commands.take(generation, command) == Commands.MALFORMED
    assert (tag.answers(), tag.done) == ([], [])


def test_an_older_pair_is_refused_whatever_its_number_over_a_boot_too() -> None:
    tag = Tag()
    tag.commands.take(2, [5, "locate", []])
    for _ in range(2):
        for pair in ((2, 4), (1, 9), (0, 2**32 - 1)):
            assert tag.commands.take(pair[0], [pair[1], "locate", []]) == Commands.REPLAYED
        tag.boot()
    assert len(tag.done) == 1
    assert tag.commands.take(3, [1, "locate", []]) == Commands.EXECUTED


def test_the_same_pair_is_answered_again_unless_an_answer_is_held() -> None:
    tag = Tag()
    tag.commands.take(1, [1, "pursuit", [0]])
    assert tag.commands.take(1, [1, "pursuit", [0]]) == Commands.REPEATED
    tag.journal.commit(1)
    for _ in range(3):
        tag.commands.take(1, [1, "pursuit", [0]])
    assert tag.answers() == [(1, 1, REFUSED)]
    tag.boot()
    assert tag.commands.take(1, [1, "locate", []]) == Commands.ANSWERED
    assert tag.answers()[-1] == (1, 1, REFUSED)
    assert tag.done == []


@given(st.integers(1, 40))
def test_power_may_go_at_any_step_and_nothing_is_executed_twice(cut: int) -> None:
    tag = Tag()
    tag.flash.cut_at = tag.flash.steps + cut
    with contextlib.suppress(PowerCut):
        tag.commands.take(1, [1, "locate", []])
    tag.flash.cut_at = None
    tag.boot()
    assert tag.commands.take(1, [1, "locate", []]) in (
        Commands.EXECUTED,
        Commands.ANSWERED,
    )
    assert len(tag.done) <= 1
    outcome = tag.answers()[-1]
    assert outcome == (1, 1, DONE if tag.done else FAILED) or (tag.done and outcome == (1, 1, FAILED))


def test_a_command_whose_number_flash_does_not_take_is_not_executed() -> None:
    tag = Tag()
    tag.flash.fail_at = {tag.flash.steps + 1}
    with pytest.raises(OSError, match="refuses"):
        tag.commands.take(1, [1, "locate", []])
    assert tag.done == []
    assert tag.commands.take(1, [1, "locate", []]) == Commands.EXECUTED


def test_a_count_that_can_not_be_read_is_told() -> None:
    tag = Tag()
    tag.commands.take(1, [1, "locate", []])
    tag.flash.files["command"] = b"worn" + tag.flash.files["command"][4:]
    tag.boot()
    assert tag.commands.lost
    assert not Tag().commands.lost, "none was ever there"


# the time


def asked(tag: Tag) -> int:
    nonce = tag.commands.nonce()
    assert isinstance(nonce, int)
    return nonce


def test_the_gateways_time_is_believed_with_the_nonce_of_the_latest_hello_within_a_minute() -> None:
    tag = Tag()
    old = asked(tag)
    nonce = asked(tag)
    tag.board.ms = 60_000
    tag.commands.take(1, [1, "time", [NOON_DS, old]])
    assert tag.clock.now() == (600, records.UNSET), "an older nonce, and none is good after it"
    nonce = asked(tag)
    tag.board.ms += 60_000
    tag.commands.take(1, [2, "time", [NOON_DS, nonce]])
    assert tag.clock.now() == (NOON_DS, records.KEPT)
    tag.commands.take(1, [3, "time", [NOON_DS + 9, nonce]])
    assert tag.clock.now() == (NOON_DS, records.KEPT), "a nonce is good once"
    assert [outcome for _, _, outcome in tag.answers()] == [REFUSED, DONE, REFUSED]
    (step,) = [body for _, kind, _, body in tag.journal.read(1, 9) if kind == records.TIME]
    assert struct.unpack("<IiBB", step)[2] == records.SOURCE_GATEWAY


def test_a_time_that_comes_too_late_is_refused() -> None:
    tag = Tag()
    nonce = asked(tag)
    tag.board.ms = 60_001
    tag.commands.take(1, [1, "time", [NOON_DS, nonce]])
    assert tag.answers() == [(1, 1, REFUSED)]


def test_the_time_is_asked_for_every_ten_minutes_until_it_comes_and_then_after_a_day() -> None:
    tag = Tag()
    asked_at = []
    for tag.board.ms in range(0, 3_600_000, 60_000):
        nonce = tag.commands.ask(tag.clock.uptime_ms())
        if nonce is not None:
            asked_at.append(tag.board.ms // 60_000)
            if len(asked_at) == 3:
                tag.commands.take(1, [1, "time", [NOON_DS, nonce]])
    assert asked_at == [0, 10, 20]
    assert tag.commands.due_ms(tag.clock.uptime_ms()) == 86_400_000 - 39 * 60_000
    assert tag.commands.nonce() is None


# settings


class Provisioned:
    sample_s, upload_s = 60, 120


def changeable(flash: Flash) -> Any:
    return config.Changeable(Provisioned(), flash)


def test_settings_begin_as_provisioned_change_by_command_and_are_kept() -> None:
    flash = Flash()
    settings = changeable(flash)
    assert (settings.sample_s, settings.upload_s, settings.pursuit_s) == (60, 120, 15)
    assert settings.change([{1: 30, 3: 5}]) == DONE
    assert settings.change([{2: 600}]) == DONE
    settings = changeable(flash)
    assert (settings.sample_s, settings.upload_s, settings.pursuit_s) == (30, 600, 5)
    assert settings.change([{1: None, 2: None}]) == DONE
    assert (settings.sample_s, settings.upload_s, settings.pursuit_s) == (60, 120, 5)


@pytest.mark.parametrize(
    ("wish", "outcome"),
    [
        ({1: 0}, REFUSED),
        ({1: 3601}, REFUSED),
        ({2: 3601}, REFUSED),
        ({3: 61}, REFUSED),
        ({1: 30, 2: 0}, REFUSED),
        ({4: [5]}, REFUSED),
        ({4: [5, 5]}, REFUSED),
        ({4: [1, 9, 8, 12]}, REFUSED),
        ({4: [-1, 9]}, REFUSED),
        ({4: [1, 2**32]}, REFUSED),
        ({4: list(range(130))}, REFUSED),
        ({5: [0, 0]}, REFUSED),
        ({5: [0, 0, 0]}, REFUSED),
        ({5: [900_000_001, 0, 1]}, REFUSED),
        ({5: [0, 0, 100_001]}, REFUSED),
        ({5: [0, 0, 1] * 9}, REFUSED),
        ({1: "30"}, NOT_UNDERSTOOD),
        ({1: True}, NOT_UNDERSTOOD),
        ({4: 5}, NOT_UNDERSTOOD),
        ({5: [0, "0", 1]}, NOT_UNDERSTOOD),
        ({6: 1}, NOT_UNDERSTOOD),
        ([1, 30], NOT_UNDERSTOOD),
    ],
)
def test_a_setting_out_of_bounds_or_form_changes_none(wish: Any, outcome: int) -> None:
    flash = Flash()
    settings = changeable(flash)
    settings.change([{1: 42}])
    assert settings.change([wish]) == outcome
    assert (settings.sample_s, changeable(flash).sample_s, settings.upload_s) == (42, 42, 120)


def test_settings_that_can_not_be_read_fall_back_and_say_so() -> None:
    flash = Flash()
    changeable(flash).change([{1: 42}])
    flash.files["settings"] = flash.files["settings"][:-1]
    settings = changeable(flash)
    assert (settings.lost, settings.sample_s) == (True, 60)
    assert settings.change([{1: 43}]) == DONE
    assert (changeable(flash).lost, changeable(flash).sample_s) == (False, 43)


def test_settings_that_no_command_can_have_set_are_not_used() -> None:
    flash = Flash()
    kept.write(flash, "settings", cbor.encode({1: 0}))
    assert (changeable(flash).lost, changeable(flash).sample_s) == (True, 60)


@given(st.integers(1, 12))
def test_a_power_cut_leaves_the_old_settings_or_the_new(cut: int) -> None:
    flash = Flash()
    changeable(flash).change([{1: 42}])
    settings = changeable(flash)
    flash.cut_at = flash.steps + cut
    with contextlib.suppress(PowerCut):
        settings.change([{1: 43}])
    assert changeable(flash).sample_s in (42, 43)
    assert not changeable(flash).lost


def test_readings_in_an_interval_go_at_once_and_so_do_those_of_unknown_time() -> None:
    settings = changeable(Flash())
    assert not settings.at_once(0, records.UNSET, 0, 0, 0)
    settings.change([{4: [1000, 2000, 3000, 4000]}])
    found = [
        settings.at_once(t_s * 10, records.GNSS, 0, 0, 0) for t_s in (999, 1000, 1999, 2000, 3000, 3999, 4000)
    ]
    assert found == [False, True, True, False, True, True, False]
    assert settings.at_once(9_990, records.UNSET, 0, 0, 0)
    assert settings.at_once(9_990, records.KEPT | records.DATE_SUSPECT, 0, 0, 0)


@given(st.floats(-80, 80), st.floats(-180, 180), st.integers(50, 100_000), st.floats(0, 2), st.floats(0, 360))
def test_readings_within_a_circle_go_at_once(
    lat: float, lon: float, radius_m: int, share: float, azimuth: float
) -> None:
    there_lon, there_lat, _ = Geod(ellps="WGS84").fwd(lon, lat, azimuth, share * radius_m)
    settings = changeable(Flash())
    settings.change([{5: [round(lat * 1e7), round(lon * 1e7), radius_m]}])
    found = settings.at_once(NOON_DS, records.GNSS, round(there_lat * 1e7), round(there_lon * 1e7), 0)
    if not 0.9 <= share <= 1.1:
        assert found == (share < 1)
