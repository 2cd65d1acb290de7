"""Commands from the command line to the device's topic, and what the gateway makes of the answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from core import wire
from gateway import commands
from gateway.cli import app
from gateway.commands import CommandError, Outbox, queue
from gateway.devices import revoke_device
from gateway.store import state
from tests.gateway.conftest import House, open_house
from tests.gateway.stand_in import EPOCH, START_S, StandIn, answered, positions

MINUTE_MS = 60_000
BEGIN_MS = START_S * 1000


class Desk:
    """A gateway whose time is moved by hand, and whoever commands."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.now_ms = BEGIN_MS
        self.pass_ms(0)

    def pass_ms(self, ms: int) -> None:
        self.now_ms += ms
        self.house.gateway.advance(self.now_ms)

    def command(self, tag: StandIn, name: str, expires_ms: int | None = None, **arguments: object) -> int:
        return queue(self.house.store, tag.device, name, arguments, now_ms=self.now_ms, expires_ms=expires_ms)

    def states(self, tag: StandIn) -> list[tuple[str, str]]:
        """Name and state of each command to the device, oldest first."""
        rows = commands.listing(self.house.store, tag.device, self.now_ms)
        return [(row["name"], row["state"]) for row in reversed(rows)]

    def said(self, tag: StandIn) -> list[wire.Command | None]:
        """What was said to the device and not yet looked at."""
        self.house.settle()
        time.sleep(0.2)  # what was sent before is on its way through the broker
        found = []
        while not tag.downs.empty():
            found.append(tag.answer().command)
        return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    house = open_house(tmp_path_factory.mktemp("commands"))
    try:
        yield Desk(house)
    finally:
        house.close()
        assert house.gateway.stop() == 0


def test_a_command_is_said_by_itself_and_every_half_minute_until_it_is_acknowledged(desk: Desk) -> None:
    tag = desk.house.new_tag()
    n = desk.command(tag, "pursuit", minutes=30)
    expected = wire.Command(n, "pursuit", [30])
    desk.pass_ms(1000)
    assert desk.said(tag) == [expected]
    desk.pass_ms(29_000)
    assert desk.said(tag) == []
    desk.pass_ms(1000)
    assert desk.said(tag) == [expected]
    tag.say(answered(1, 1, n))
    desk.pass_ms(60_000)
    assert desk.said(tag) == []
    assert desk.states(tag) == [("pursuit", "done")]


def test_a_command_travels_with_the_commit_at_every_hello(desk: Desk) -> None:
    tag = desk.house.new_tag()
    desk.command(tag, "locate")
    desk.pass_ms(0)
    desk.said(tag)  # by itself
    tag.say(positions(1, 2))
    for _ in range(3):
        assert tag.hello() == wire.Down(1, (EPOCH, 2), wire.Command(1, "locate", []))
    assert tag.say(positions(3, 1)).command is None, "not with every message"


def test_one_command_at_a_time_in_the_order_in_which_they_were_given(desk: Desk) -> None:
    tag = desk.house.new_tag()
    for times in (1, 2, 3):
        desk.command(tag, "vibrate", pattern=1, times=times)
    desk.pass_ms(0)
    desk.said(tag)  # by itself
    for number, times in enumerate((1, 2, 3), 1):
        assert tag.hello().command == wire.Command(times, "vibrate", [1, times])
        tag.say(answered(number, 1, times))
    assert tag.hello().command is None


@pytest.mark.parametrize(
    ("outcome", "word"), [(0, "done"), (1, "not understood"), (2, "failed"), (3, "refused"), (9, "outcome 9")]
)
def test_what_came_of_a_command_is_kept_with_the_reading_that_tells_it(
    desk: Desk, outcome: int, word: str
) -> None:
    tag = desk.house.new_tag()
    n = desk.command(tag, "locate")
    tag.say(positions(1, 2), answered(3, 1, n, outcome))
    (row,) = commands.listing(desk.house.store, tag.device, desk.now_ms)
    assert (row["state"], row["reading"]) == (word, (EPOCH, 3))
    tag.say(answered(4, 1, n, 0))
    assert desk.states(tag) == [("locate", word)], "the first answer counts"


def test_an_answer_to_no_command_changes_nothing(desk: Desk) -> None:
    tag = desk.house.new_tag()
    desk.command(tag, "locate")
    assert tag.say(answered(1, 1, 7), answered(2, 2, 1)).commit == (EPOCH, 2)
    assert desk.states(tag) == [("locate", "open")]


def test_an_answer_of_another_device_acknowledges_nothing(desk: Desk) -> None:
    tag, other = desk.house.new_tag(), desk.house.new_tag()
    n = desk.command(tag, "locate")
    other.say(answered(1, 1, n))
    assert desk.states(tag) == [("locate", "open")]


def test_an_expired_command_is_not_said_any_more_and_makes_room_for_the_next(desk: Desk) -> None:
    tag = desk.house.new_tag()
    desk.command(tag, "vibrate", 10 * MINUTE_MS, pattern=1, times=1)
    desk.command(tag, "locate")
    desk.pass_ms(10 * MINUTE_MS - 1)
    assert [command.name for command in desk.said(tag) if command] == ["vibrate"]
    desk.pass_ms(1)
    assert [command.name for command in desk.said(tag) if command] == ["locate"]
    assert desk.states(tag) == [("vibrate", "expired"), ("locate", "open")]


def test_the_time_is_told_to_who_asks_for_it_as_it_is_at_the_saying(desk: Desk) -> None:
    tag = desk.house.new_tag()
    assert tag.hello(nonce=7).command is None, "a stepped clock tells the time at its steps"
    desk.pass_ms(500)
    assert desk.said(tag) == [wire.Command(1, "time", [desk.now_ms // 100, 7])]
    desk.pass_ms(31_000)
    assert desk.said(tag) == [wire.Command(1, "time", [desk.now_ms // 100, 7])]
    tag.hello(nonce=2**32 - 1)
    desk.pass_ms(500)
    again = wire.Command(2, "time", [desk.now_ms // 100, 2**32 - 1])
    assert desk.said(tag) == [again], "the older nonce is void"
    desk.pass_ms(commands.TIME_MS)
    assert desk.said(tag) == []


def test_the_time_waits_for_the_command_before_it(desk: Desk) -> None:
    tag = desk.house.new_tag()
    n = desk.command(tag, "locate")
    desk.pass_ms(0)
    desk.said(tag)  # by itself
    assert tag.hello(nonce=9).command == wire.Command(n, "locate", [])
    tag.say(answered(1, 1, n))
    desk.pass_ms(500)
    assert desk.said(tag) == [wire.Command(n + 1, "time", [desk.now_ms // 100, 9])]


def test_settings_are_told_by_key_and_lists_flat(desk: Desk) -> None:
    tag = desk.house.new_tag()
    desk.command(
        tag,
        "settings",
        sample_s=15,
        upload_s=None,
        at_once_times=[[1, 2], [5, 9]],
        at_once_places=[[515_000_000, -1_200_000, 800]],
    )
    desk.pass_ms(0)
    desk.said(tag)  # by itself
    expected = {1: 15, 2: None, 4: [1, 2, 5, 9], 5: [515_000_000, -1_200_000, 800]}
    assert tag.hello().command == wire.Command(1, "settings", [expected])


def test_commands_outlive_the_ingest(desk: Desk) -> None:
    tag = desk.house.new_tag()
    n = desk.command(tag, "locate")
    desk.house.gateway.kill_part("ingest")
    desk.pass_ms(1000)
    assert wire.Command(n, "locate", []) in desk.said(tag)


def test_a_revoked_device_is_not_spoken_to(desk: Desk) -> None:
    tag = desk.house.new_tag()
    desk.command(tag, "locate")
    revoke_device(desk.house.store, tag.device, settings=desk.house.settings)
    desk.pass_ms(1000)
    assert desk.said(tag) == []
    with pytest.raises(CommandError, match="revoked"):
        desk.command(tag, "locate")


def test_after_a_restored_backup_no_older_command_is_said(desk: Desk) -> None:
    tag = desk.house.new_tag()
    desk.command(tag, "locate")
    with desk.house.store.write() as connection:
        state.set_number(connection, state.GENERATION, 2)
        state.note_change(connection)
    outbox = Outbox(desk.house.store, desk.house.authority.vault)
    outbox.refresh(desk.now_ms)
    try:
        assert outbox.due(desk.now_ms) == []
        assert desk.states(tag) == [("locate", "void: a backup was restored")]
        assert desk.command(tag, "locate") == 1, "counted anew within the generation"
    finally:
        with desk.house.store.write() as connection:
            state.set_number(connection, state.GENERATION, 1)
            state.note_change(connection)


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("dance", {}, "'dance' is no command: give one of settings, pursuit"),
        ("time", {"nonce": 1}, "'time' is no command"),
        ("pursuit", {}, "pursuit lacks minutes: give it"),
        ("pursuit", {"minutes": 1441}, "minutes is 1441: give 0 to 1440"),
        ("pursuit", {"minutes": True}, "minutes is True: give"),
        ("locate", {"minutes": 5}, "locate takes no minutes: it takes nothing"),
        ("baseline", {"minutes": 5}, "baseline takes no minutes: it takes nothing"),
        ("vibrate", {"pattern": 0, "times": 1}, "pattern is 0: give 1 to 3"),
        ("vibrate", {"pattern": 1, "times": 0}, "times is 0: give 1 to 30"),
        ("settings", {}, "settings changes nothing"),
        ("settings", {"sample_s": 0}, "sample_s is 0: give 1 to 3600"),
        ("settings", {"at_once_times": [[5, 5]]}, "overlap, touch or end"),
        ("settings", {"at_once_times": [[5, 9], [9, 12]]}, "overlap, touch or end"),
        ("settings", {"at_once_times": [[n, n + 1] for n in range(0, 130, 2)]}, "65 intervals: give at most"),
        ("settings", {"at_once_places": [[0, 0, 0]]}, "a radius of 0 m: give 1 to"),
        ("settings", {"at_once_places": [[900_000_001, 0, 5]]}, "not on Earth"),
        ("settings", {"at_once_places": [[0, 0, 5]] * 9}, "9 circles: give at most 8"),
    ],
)
def test_a_command_out_of_bounds_is_refused_with_what_to_do(
    desk: Desk, name: str, arguments: dict[str, Any], why: str
) -> None:
    tag = desk.house.new_device()
    with pytest.raises(CommandError, match=why.replace("(", r"\(")):
        queue(desk.house.store, tag.device, name, arguments, now_ms=desk.now_ms)


# the command line


def typed(house: House, *words: str) -> Result:
    return CliRunner().invoke(app, ["device", *words, "--data-dir", str(house.settings.data_dir)])


@pytest.fixture
def stepped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGWATCH_CLOCK", "stepped")


@pytest.mark.usefixtures("stepped")
def test_what_is_typed_is_said_and_listed(desk: Desk, tmp_path: Path) -> None:
    tag = desk.house.new_tag()
    done = typed(desk.house, "command", tag.device, "pursuit", "--minutes", "30", "--json")
    assert (done.exit_code, json.loads(done.stdout)["n"]) == (0, 1)
    words = ["--upload-s", "30", "--near", "51.5,-0.12,800", "--provisioned", "sample_s"]
    words += ["--at-once", "2026-12-01T19:00:00Z/2026-12-02T07:00:00+00:00"]
    assert typed(desk.house, "command", tag.device, "settings", *words).exit_code == 0
    desk.pass_ms(1000)
    assert desk.said(tag) == [wire.Command(1, "pursuit", [30])]
    tag.say(answered(1, 1, 1))
    changes = {1: None, 2: 30, 4: [1_796_151_600, 1_796_194_800], 5: [515_000_000, -1_200_000, 800]}
    assert tag.hello().command == wire.Command(2, "settings", [changes])
    listed = json.loads(typed(desk.house, "commands", tag.device, "--json").stdout)
    assert [(row["n"], row["name"], row["state"]) for row in listed] == [
        (2, "settings", "open"),
        (1, "pursuit", "done"),
    ]
    assert "pursuit" in typed(desk.house, "commands", tag.device).stdout


@pytest.mark.usefixtures("stepped")
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["command", "nobody", "locate"], "device nobody is not known: see `tagwatch device list`"),
        (["commands", "nobody"], "device nobody is not known"),
        (["command", "{tag}", "pursuit", "--minutes", "99999"], "minutes is 99999: give 0 to 1440"),
        (["command", "{tag}", "settings", "--near", "here"], "'here' is no circle: write LATITUDE"),
        (["command", "{tag}", "settings", "--at-once", "now"], "'now' is no interval: write FROM/UNTIL"),
        (
            ["command", "{tag}", "locate", "--expires-minutes", "0"],
            "expired at once; give it at least a minute",
        ),
    ],
)
def test_what_is_mistyped_names_the_thing_the_fact_and_the_remedy(
    desk: Desk, words: list[str], why: str
) -> None:
    tag = desk.house.new_device()
    done = typed(desk.house, *[word.format(tag=tag.device) for word in words])
    assert done.exit_code == 1
    assert why in done.output
