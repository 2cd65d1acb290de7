"""Fitting visits that go well, and ones that do not: real firmware behind pseudo-terminals, a real broker."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from boards.esp32_pins import PINS
from typer.testing import CliRunner

from gateway.authority import Authority
from gateway.cli import app
from gateway.devices import add_device
from gateway.fitting import Stop
from gateway.fitting.console import signature
from gateway.fitting.door import NotAsked
from gateway.fitting.stops import CableGone, NoAnswer
from gateway.stock import history, register
from gateway.store import installations, orders, stock
from sim.alcohol_feed import CALIBRATION
from sim.bench.tag import SENSOR_BROKEN, SENSOR_HEALTHY, SENSOR_PIN
from sim.fitting import in_one_room
from tests.community_order import every_day
from tests.system.fitting_room import ALL_WELL, PACE, Fault, Plug, Ports, Room, leg

DOOR = tuple(
    f"door {name}"
    for name in (
        *("arrival", "identity", "age", "interpreter", "consent"),
        *("skin", "swelling", "pregnancy", "implant"),
    )
)
STEPS = (
    *DOOR,
    "find",
    "identify",
    "identity",
    "read back",
    "self-test",
    "sky",
    "strap",
    "check",
    "first reading",
    "bind",
    "lock",
    "wipe",
    "leaflet",
    "record",
)
"""Of a visit with a GPS tag, in their order."""
NOW_MS = 1_780_000_000_000
TOUCHES = (*STEPS[len(DOOR) + 1 : len(DOOR) + 9], "lock")
"""Those that speak with the tag."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with Room(tmp_path_factory.mktemp("fitting")) as made:
        yield made


def test_a_tag_from_the_factory_is_fitted_and_all_of_it_is_on_record(room: Room) -> None:
    order_id = room.order("plain")
    with leg(room, "plain") as tag, Plug(tag) as plug:
        begun: list[str] = []
        fitted = room.visit(order_id, plug, "gpsplain", begun.append, pdf=True, leaflet="both")
        assert [step for step in begun if not step.startswith("after ")] == list(STEPS)
        assert fitted.activation == "gpsplain-1"
        assert [row.order_id for row in room.active("gpsplain")] == [order_id]
        with plug.console() as console:
            said = console.identify()
            assert (said.device, said.locked) == ("gpsplain", True)
        with pytest.raises(Stop, match=r"fitted to this wearer already"):
            room.visit(order_id, plug)
    assert fitted.folder is not None
    page = (fitted.folder / "record.html").read_text()
    assert all(said in page for said in ("Alex Example", "gpsplain-1", "Sam Officer", "Position fix"))
    record = json.loads((fitted.folder / "record.json").read_text())
    assert record["officer"] == "Sam Officer"
    assert record["activation"] == "gpsplain-1"
    assert record["steps"]["sky"]["good"]
    assert [line["step"] for line in record["journal"] if line["is"] == "done"] == list(STEPS[:-1])
    files = {path.name for path in fitted.folder.iterdir()}
    papers = {f"{name}.{form}" for name in ("record", "leaflet-en", "leaflet-cy") for form in ("html", "pdf")}
    assert files == {"journal.jsonl", "record.json", *papers}
    assert all((path.stat().st_mode & 0o777) == 0o600 for path in fitted.folder.iterdir())
    key = room.key("gpsplain").hex()
    assert all(key not in path.read_text() for path in fitted.folder.iterdir() if path.suffix != ".pdf")
    assert not (room.settings.devices_dir / "gpsplain").exists()


@pytest.mark.parametrize(
    "steps", [("identity", "first reading", "lock"), pytest.param(TOUCHES, marks=pytest.mark.long)]
)
def test_the_cable_is_pulled_at_step_after_step_and_the_visit_goes_on_each_time(
    room: Room, steps: tuple[str, ...]
) -> None:
    name = f"pulled{len(steps)}"
    order_id, device = room.order(name), f"gps{name}"
    with leg(room, name) as tag, Plug(tag) as plug:
        for step in steps:

            def pull(at: str, wanted: str = step) -> None:
                if at == wanted:
                    plug.pull()

            with pytest.raises(CableGone, match=r"type the same command again"):
                room.visit(order_id, plug, device, pull)
            plug.push()
            whole(room, plug, device)
        assert room.visit(order_id, plug, device).activation == f"{device}-1"
        assert len(room.active(device)) == 1


def test_noise_at_every_step_costs_the_visit_nothing(room: Room) -> None:
    order_id = room.order("noisy")
    with leg(room, "noisy") as tag, Plug(tag) as plug:
        fitted = room.visit(order_id, plug, "gpsnoisy", lambda step: plug.noise(sum(step.encode())))
        assert fitted.activation == "gpsnoisy-1"


@pytest.mark.parametrize("steps", [("strap", "lock"), pytest.param(TOUCHES[2:], marks=pytest.mark.long)])
def test_another_tag_on_the_plug_in_the_midst_of_a_visit_is_noticed(
    room: Room, steps: tuple[str, ...]
) -> None:
    name = f"swapped{len(steps)}"
    order_id, device = room.order(name), f"gps{name}"
    with leg(room, name) as tag, leg(room, f"stranger{name}") as stranger, Plug(tag) as plug:
        stranger.connect_tool()
        for step in steps:

            def swap(at: str, wanted: str = step) -> None:
                if at == wanted:
                    plug.swap(stranger)

            with pytest.raises(Stop, match=r"visit is about gpsswapped.*: put the plug on"):
                room.visit(order_id, plug, device, swap)
            plug.swap(tag)
            whole(room, plug, device)
        assert room.visit(order_id, plug, device).activation == f"{device}-1"
        stranger.connect_tool()
        assert stranger.console('{"do": "identify"}')["device"] is None


KILLED_AT = ("identity", "after bind")


@pytest.mark.parametrize("step", KILLED_AT)
def test_a_command_killed_leaves_nothing_half_done_and_the_next_one_goes_on(room: Room, step: str) -> None:
    killed_at(room, step)


@pytest.mark.long
@pytest.mark.parametrize(
    "step", [one for one in (*STEPS, *(f"after {step}" for step in STEPS[:-1])) if one not in KILLED_AT]
)
def test_a_command_killed_at_any_step_leaves_nothing_half_done(room: Room, step: str) -> None:
    killed_at(room, step)


def killed_at(room: Room, step: str) -> None:
    name = f"kill{zlib.crc32(step.encode()) % 10**8}"
    order_id = room.order(name)
    with leg(room, name) as tag, Plug(tag) as plug:
        command = (sys.executable, "-m", "tests.system.fitting_room", str(room.settings.data_dir))
        ended = subprocess.run(
            [*command, order_id, name, plug.paths[0], step], capture_output=True, text=True, timeout=200
        )
        assert ended.returncode == -9, ended.stderr
        whole(room, plug, name)
        fitted = room.visit(order_id, plug, name)
        assert fitted.resumed
        assert fitted.activation == f"{name}-1"
        assert len(room.active(name)) == 1


@pytest.mark.long
def test_an_open_strap_stops_the_visit_and_closing_it_lets_it_go_on(room: Room) -> None:
    order_id = room.order("strap")
    with leg(room, "strap") as tag:
        tag.set_pin(tag.now_ms, PINS["strap"], 1)
        with Plug(tag) as plug, pytest.raises(Stop, match=r"strap or case is open: close the strap"):
            room.visit(order_id, plug, "gpsstrap")
        assert room.active("gpsstrap") == []
        tag.set_pin(tag.now_ms, PINS["strap"], 0)
        with Plug(tag) as plug:
            assert room.visit(order_id, plug).activation == "gpsstrap-1"


@pytest.mark.long
def test_a_flat_battery_stops_the_visit_and_another_tag_takes_its_place(room: Room) -> None:
    order_id = room.order("flat")
    with leg(room, "flat") as flat, leg(room, "full") as full:
        flat.set_pin(flat.now_ms, PINS["battery_adc"], 1700)
        with Plug(flat) as plug, pytest.raises(Stop, match=r"battery of gpsflat: 3400 mV: charge it"):
            room.visit(order_id, plug, "gpsflat")
        with Plug(full) as plug:
            assert room.visit(order_id, plug, "gpsfull").activation == "gpsfull-1"
    assert room.active("gpsflat") == []


@pytest.mark.long
def test_two_tags_at_once_are_told_apart_by_their_number_or_not_at_all(room: Room) -> None:
    order_id = room.order("two")
    with leg(room, "one") as one, leg(room, "other") as other:
        with (
            Plug(one, other) as plug,
            pytest.raises(Stop, match=r"2 tags are plugged in.*leave only the one"),
        ):
            room.visit(order_id, plug, "gpsone")
        for tag, device in ((one, "gpsone"), (other, "gpsother")):
            with Plug(tag) as plug, pytest.raises(Stop, match=r"would not go on"):
                room.visit(order_id, plug, device, _no_further_than("self-test"))
        with Plug(one, other) as plug:
            assert room.visit(order_id, plug, "gpsother").activation == "gpsother-1"


def test_wrong_tags_are_refused_with_what_to_do(room: Room) -> None:
    order_id = room.order("wrong")
    with leg(room, "wrong") as tag:
        with Plug(tag) as plug, pytest.raises(Stop, match=r"new and has no identity: .* --device"):
            room.visit(order_id, plug)
        with Plug(tag) as plug, pytest.raises(Stop, match=r"no home unit|is not what order"):
            room.visit(room.order("sober", {"id": "a", "type": "alcohol", "mode": "abstinence"}), plug)
        with Plug(tag) as plug, pytest.raises(Stop, match=r"would not go on"):
            room.visit(order_id, plug, "gpswrong", _no_further_than("self-test"))
        with Plug(tag) as plug, pytest.raises(Stop, match=r"this is gpswrong, not gpsright"):
            room.visit(order_id, plug, "gpsright")
        with Plug(tag) as plug:
            assert room.visit(order_id, plug).activation == "gpswrong-1"
            with pytest.raises(Stop, match=r"on another wearer on record .gpswrong-1."):
                room.visit(room.order("another"), plug)


def test_a_locked_tag_obeys_us_and_a_strangers_locked_tag_is_refused(room: Room) -> None:
    order_id = room.order("locked")
    with leg(room, "locked") as tag, Plug(tag) as plug:
        with pytest.raises(Stop, match=r"would not go on"):
            room.visit(order_id, plug, "gpslocked", _no_further_than("self-test"))
        with plug.console(room.key("gpslocked")) as console:
            console.ask("lock")
        assert room.visit(order_id, plug).activation == "gpslocked-1"
    with leg(room, "foreign") as tag, Plug(tag) as plug:
        key = room.given_elsewhere(plug, "gpstheirs")
        with plug.console(key) as console:
            console.ask("lock")
        with pytest.raises(Stop, match=r"gpstheirs belongs to another gateway"):
            room.visit(room.order("ours"), plug)


def test_a_tag_that_only_says_that_it_is_ours_is_not_believed(room: Room) -> None:
    with leg(room, "liar") as tag, Plug(tag) as plug:
        room.given_elsewhere(plug, "gpsliar")
        add_device(room.store, Authority.of(room.settings), "gpsliar", settings=room.settings)
        with pytest.raises(Stop, match=r"does not know the key of gpsliar"):
            room.visit(room.order("liar"), plug)
    assert room.active("gpsliar") == []


@pytest.mark.long
def test_a_silent_port_and_none_at_all_are_told_apart(room: Room) -> None:
    order_id = room.order("silent")
    ours, theirs = pty.openpty()

    try:
        with pytest.raises(Stop, match=r"no tag answers at .* charge the tag"):
            room.visit(order_id, Ports(os.ttyname(theirs)))
    finally:
        os.close(ours)
        os.close(theirs)
    with pytest.raises(Stop, match=r"connection at /dev/there-is-none is gone"):
        room.visit(order_id, Ports("/dev/there-is-none"))


def test_a_dry_run_changes_nothing_and_writes_nothing(room: Room) -> None:
    order_id = room.order("dry")
    before = room.open_visits()
    with leg(room, "dry") as tag, Plug(tag) as plug:
        assert room.visit(order_id, plug, "gpsdry", dry_run=True).activation is None
        with plug.console() as console:
            assert console.identify().device is None
    assert room.open_visits() == before
    assert room.active("gpsdry") == []


class CutOffError(BaseException):
    """The command is gone as a step begins or is over."""


def test_a_visit_at_which_nobody_opens_is_on_record_once_and_a_task_waits_whenever_it_is_cut_off(
    room: Room,
) -> None:
    order_id = room.order("nobody")
    nobody = {"arrival": "no_answer", "note": "dark, two rings"}
    for cut in ("door arrival", "after door arrival", "outcome", "after outcome", "record"):

        def stop(at: str, wanted: str = cut) -> None:
            if at == wanted:
                raise CutOffError

        with pytest.raises(CutOffError):
            room.visit(order_id, Ports(), answers=nobody, fault=stop)
    ended = room.visit(order_id, Ports(), answers=nobody)
    assert (ended.outcome, ended.activation, ended.resumed) == ("no_answer", None, True)
    assert ended.folder is not None
    page = (ended.folder / "record.html").read_text()
    assert all(
        said in page for said in ("NOT DONE: no answer", "dark, two rings", "have another visit planned")
    )
    (task,) = room.tasks(order_id)
    assert task.kind == "visit_no_answer"
    assert "Nothing was fitted" in task.sentence
    assert not [path for path in room.open_visits() if path.name.startswith("nobody-")]


def test_without_answers_nothing_is_begun_and_what_is_missing_is_named(room: Room) -> None:
    order_id = room.order("silent door")
    with leg(room, "untouched") as tag, Plug(tag) as plug:
        with pytest.raises(
            NotAsked, match=r"not answered: arrival .yes, no_answer.*implant.*--answers FILE"
        ) as stop:
            room.visit(order_id, plug, "gpsnone", answers={})
        assert set(stop.value.missing) == set(ALL_WELL) - {"interpreter"}
        with plug.console() as console:
            assert console.identify().device is None
    assert room.active("gpsnone") == []


def test_the_command_tells_by_its_exit_code_how_the_visit_has_ended(room: Room) -> None:
    order_id = room.order("exits")
    command = [
        "fit",
        order_id,
        "--json",
        "--data-dir",
        str(room.settings.data_dir),
        "--port",
        "/dev/there-is-none",
    ]

    def typed(*more: str) -> tuple[int, dict[str, Any]]:
        ended = CliRunner().invoke(app, [*command, *more])
        return ended.exit_code, json.loads(ended.stdout) if ended.stdout else {}

    code, told = typed("--answer", "arrival=yes", "--answer", "identity=known")
    assert (code, told["outcome"], told["step"]) == (1, "stopped", "door")
    assert "consent" in told["missing"]
    assert "identity" not in told["missing"]
    code, told = typed("--outcome", "unsafe", "--note", "a dog")
    assert (code, told["outcome"], told["activation"]) == (3, "unsafe", None)
    code, told = typed("--check")
    assert (code, "nobody has a device on" in told["problem"]) == (1, True)
    assert CliRunner().invoke(app, ["fit", "check", *command[1:]]).stdout == json.dumps(told) + "\n"
    assert typed("--check", "--remove")[0] == 2
    assert CliRunner().invoke(app, ["fit", "throw", *command[1:]]).exit_code == 2
    assert typed("--outcome", "fitted")[0] == 2
    assert typed("--answer", "skin")[0] == 2


def test_who_sits_there_is_asked_in_few_words_and_is_asked_no_answer_twice(room: Room) -> None:
    order_id = room.order("asked")
    typed = iter(["perhaps", "y", "doc", "ad", "", "yes", "", "n", "not", "n", "yes", "other", "advice"])
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return next(typed)

    def stop(at: str) -> None:
        if at == "door skin":
            raise CutOffError

    with pytest.raises(CutOffError):
        room.visit(order_id, Ports("/dev/there-is-none"), answers={}, ask=ask, fault=stop)
    with pytest.raises(Stop, match=r"no tag answers"):
        room.visit(order_id, Ports("/dev/there-is-none"), answers={}, ask=ask)
    assert next(typed, None) is None
    assert len([one for one in asked if one.startswith("How do you know")]) == 1
    assert [
        "adjustment needed" in one.sentence or "adjustment is needed" in one.sentence
        for one in room.tasks(order_id)
    ]
    ended = room.visit(order_id, Ports(), answers={"arrival": "refused"})
    assert ended.outcome == "refused"
    assert ended.steps["door skin"] == {"asked": True, "answer": "no"}
    assert ended.steps["door interpreter"] == {"asked": False, "answer": None}
    assert {one.kind for one in room.tasks(order_id)} == {"visit_adjustment", "visit_refused"}


MOVES = (
    *("old find", "after old find", "old last readings", "after old last readings", "identity", "check"),
    *("bind", "after bind", "lock", "after lock", "leaflet", "record"),
)
"""Of a visit at which a tag takes another's place: where it is cut off, in this order."""


def test_a_tag_takes_anothers_place_and_cut_off_at_every_move_one_whole_tag_is_bound(room: Room) -> None:
    order_id = room.order("swapping")
    with leg(room, "goes") as old, leg(room, "comes") as new:
        with Plug(old) as plug:
            room.visit(order_id, plug, "gpsgoes")
        with Plug(old, new) as plug:
            for step in MOVES:

                def cut(at: str, wanted: str = step) -> None:
                    if at == wanted:
                        raise CutOffError

                with pytest.raises(CutOffError):
                    room.visit(order_id, plug, "gpscomes", cut, purpose="swap")
                bound = [row.device for row in (*room.active("gpsgoes"), *room.active("gpscomes"))]
                assert len(bound) == 1, step
            done = room.visit(order_id, plug, "gpscomes", purpose="swap")
    assert (done.outcome, done.activation) == ("swapped", "gpscomes-1")
    assert done.steps["bind"]["unproven_ms"] is None
    with room.store.read() as connection:
        rows = {row.id: row for row in orders.activations(connection)}
    assert rows["gpsgoes-1"].removed_ms == rows["gpscomes-1"].fitted_ms
    assert done.folder is not None
    record = json.loads((done.folder / "record.json").read_text())
    assert (record["purpose"], record["steps"]["bind"]["replaced"]) == ("swap", "gpsgoes")


@pytest.mark.long
def test_where_the_old_strap_was_open_before_the_new_tag_was_on_the_gap_is_on_record_as_it_was(
    room: Room,
) -> None:
    order_id = room.order("gap")
    with leg(room, "cut") as old, leg(room, "next") as new:
        with Plug(old, pace=1) as plug:
            room.visit(order_id, plug, "gpscut")
        old.set_pin(old.now_ms, PINS["strap"], 1)
        with Plug(old, pace=1) as plug:
            with pytest.raises(
                Stop, match=r"gpscut, the tag that is to go: leave it on the leg, put the plug on"
            ):
                room.visit(order_id, plug, "gpsnext", purpose="swap")
            opened_ms = room.opened("gpscut")
        with Plug(new, pace=1) as plug:
            done = room.visit(order_id, plug, "gpsnext", purpose="swap")
    assert done.steps["bind"]["unproven_ms"] == opened_ms
    assert done.steps["bind"]["unproven_ms"] < done.steps["bind"]["fitted_ms"]
    assert room.active("gpscut") == []
    assert done.folder is not None
    assert "Nothing shows who wore it" in (done.folder / "record.html").read_text()


@pytest.mark.long
def test_a_lost_rf_tag_is_replaced_and_its_home_unit_is_told_to_listen_for_the_new_one(room: Room) -> None:
    home = {"name": "home", "latitude": 52.1, "longitude": 4.9, "radius_m": 30}
    curfew = {"id": "c", "type": "curfew", "address": home, "timetable": every_day("19:00", "07:00")}
    order_id = room.order("rfswap", curfew)
    with (
        leg(room, "rfold", "rf_tag") as old,
        leg(room, "rfnew", "rf_tag") as new,
        leg(room, "hub", "home_unit") as hub,
    ):
        with in_one_room(old, hub, pace=3 * PACE) as ports:
            room.visit(
                order_id, Ports(*(port.path for port in ports)), "rfold001", unit="unitswap", rooms=("hall",)
            )
        with in_one_room(new, hub, pace=3 * PACE) as ports:
            plugs = Ports(*(port.path for port in ports))
            done = room.visit(order_id, plugs, "rfnew001", purpose="swap", lost=True, rooms=("hall",))
    assert (done.outcome, done.steps["bind"]["unit"]) == ("swapped", "unitswap")
    assert done.steps["bind"]["unproven_ms"] is not None
    assert (len(room.active("rfold001")), len(room.active("rfnew001"))) == (0, 1)
    with room.store.read() as connection:
        stands = {one.activation: one for one in installations.every(connection) if one.unit == "unitswap"}
    assert stands["rfold001-1"].removed_ms == stands["rfnew001-1"].installed_ms
    assert stands["rfnew001-1"].removed_ms is None
    assert room.is_told("unitswap", ("hear", "rfnew001"), ("unhear", "rfold001"))


def _no_further_than(step: str) -> Fault:
    def stop(at: str) -> None:
        if at == f"after {step}":
            raise Stop("it would not go on", "this is a test")

    return stop


def whole(room: Room, plug: Plug, device: str) -> None:
    """The tag has all of its identity or none, and there is at most one activation."""
    with plug.console() as console:
        for _ in range(10):
            with contextlib.suppress(NoAnswer):
                said = console.identify()
                break
        assert said.device in (None, device)
        if said.device is not None:
            console.signature = partial(signature, room.key(device))
            told = console.ask("read")
            assert told["settings"]["device"] == device
            assert all(told["sha256"].values())
    assert len(room.active(device)) <= 1


def test_an_alcohol_tag_gets_its_calibration_and_its_baseline(room: Room) -> None:
    order_id = room.order("alcohol", {"id": "dry", "type": "alcohol", "mode": "abstinence"})
    with leg(room, "alcohol", "alcohol_tag") as tag, Plug(tag) as plug:
        with pytest.raises(Stop, match=r"needs the calibration of its maker .* --settings"):
            room.visit(order_id, plug, "alc00001")
        fitted = room.visit(order_id, plug, "alc00001", extra=CALIBRATION)
        assert fitted.steps["baseline"]["infrared_mv"] == pytest.approx(1200, abs=5)
        assert fitted.activation == "alc00001-1"


def test_an_rf_tag_is_bound_with_the_home_unit_that_hears_it_from_every_room(room: Room) -> None:
    home = {"name": "home", "latitude": 52.1, "longitude": 4.9, "radius_m": 30}
    order_id = room.order(
        "rf", {"id": "c", "type": "curfew", "address": home, "timetable": every_day("19:00", "07:00")}
    )
    with (
        leg(room, "rf", "rf_tag") as tag,
        leg(room, "unit", "home_unit") as unit,
        in_one_room(tag, unit, pace=3 * PACE) as ports,
    ):
        plugs = Ports(*(port.path for port in ports))
        fitted = room.visit(order_id, plugs, "rf000001", unit="unitroom", rooms=("kitchen", "bedroom"))
    assert fitted.activation == "rf000001-1"
    assert [(one["room"], one["good"]) for one in fitted.steps["survey"]["rooms"]] == [
        ("kitchen", True),
        ("bedroom", True),
    ]
    with room.store.read() as connection:
        (stands,) = [one for one in installations.every(connection) if one.unit == "unitroom"]
    assert (stands.activation, stands.removed_ms) == ("rf000001-1", None)


def test_what_is_worn_is_checked_and_taken_off_and_the_tag_goes_to_another_wearer(room: Room) -> None:
    order_id, next_order = room.order("first"), room.order("second")
    with leg(room, "worn") as tag, leg(room, "unworn") as unworn:
        with Plug(tag) as plug:
            with pytest.raises(Stop, match=r"nobody has a device on"):
                room.visit(order_id, plug, purpose="check")
            room.visit(order_id, plug, "gpsworn")
            assert room.visit(order_id, plug, purpose="check").outcome == "checked"
        with Plug(unworn) as plug, pytest.raises(Stop, match=r"the wearer has gpsworn on record"):
            room.visit(order_id, plug, purpose="remove")
        with Plug(tag) as plug:
            with pytest.raises(Stop, match=r"would not go on"):
                room.visit(order_id, plug, purpose="remove", fault=_no_further_than("unbind"))
            assert room.visit(order_id, plug, purpose="remove").outcome == "removed"
            assert room.active("gpsworn") == []
            assert room.visit(next_order, plug).activation == "gpsworn-2"
        assert room.visit(next_order, Ports(), purpose="remove", lost=True).activation == "gpsworn-2"


def test_a_tag_in_quarantine_is_refused_and_one_whose_part_is_broken_gets_there_by_itself(room: Room) -> None:
    order_id = room.order("aside")
    with leg(room, "aside") as tag, Plug(tag) as plug:
        room.visit(order_id, plug, "gpsaside")
        room.visit(order_id, plug, purpose="remove")
        with room.store.read() as connection:
            told = history.show(connection, "gpsaside")
        assert told["activations"][0]["fitted_by"] == "Sam Officer"
        assert told["activations"][0]["removed_by"] == "Sam Officer"
        register.quarantine(room.store, "gpsaside", "Wanda Workshop", "wet inside", NOW_MS)
        with pytest.raises(
            Stop, match=r"in quarantine since .*wet inside.*take another one.*device release gpsaside"
        ):
            room.visit(order_id, plug)
        assert room.active("gpsaside") == []
        register.release(room.store, "gpsaside", "Wanda Workshop", "dried", NOW_MS)
        again = room.visit(order_id, plug)
    assert again.activation == "gpsaside-2"


def test_a_verdict_that_nobody_mends_in_a_hallway_puts_the_tag_into_quarantine(room: Room) -> None:
    order_id = room.order("broken")
    with leg(room, "broken") as tag, Plug(tag) as plug:
        tag.set_pin(tag.now_ms, SENSOR_PIN, SENSOR_BROKEN)
        with pytest.raises(Stop, match=r"motion of gpsbroken: .*; it is in quarantine now: take another one"):
            room.visit(order_id, plug, "gpsbroken")
        tag.set_pin(tag.now_ms, SENSOR_PIN, SENSOR_HEALTHY)
        with pytest.raises(Stop, match=r"in quarantine since .*motion of gpsbroken"):
            room.visit(order_id, plug, "gpsbroken")
    with room.store.read() as connection:
        said = [one.what for one in stock.events(connection, "gpsbroken")]
    assert said == ["failed", "quarantined"]
