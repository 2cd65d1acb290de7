"""What home units are told of the tags that they are to hear: once, in time, and not after."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core import wire
from core.readings import Outcome
from gateway import commands
from gateway.cli import app
from gateway.commands import CommandError, Outbox, queue
from gateway.duties import AGAIN_MS, LOOK_MS
from gateway.ears import Ears
from gateway.installations import MOST_TAGS, install, uninstall
from gateway.orders import OrderRefused, activate, add_order, deactivate
from gateway.store import Store, device_keys, devices, state
from gateway.store import commands as book
from gateway.store.commands import Answer, CommandRow, Loss
from tests.gateway.test_duties import DAY_MS, HOUR_MS, NOW_MS, curfew, order
from tests.gateway.vaults import VAULT, sealed

UNIT, TAG, OTHER = "unit0001", "rf000001", "rf000002"
KEYS = {TAG: b"\x01" * 32, OTHER: b"\x02" * 32}


class Office:
    """A store with a home unit and two RF tags, and whoever sees to it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "store.sqlite", busy_timeout_ms=0)
        with self.store.write() as connection:
            devices.add(connection, devices.Device(UNIT, sealed(UNIT, bytes(32)), b"", 0, None, "home_unit"))
            for tag, key in KEYS.items():
                devices.add(connection, devices.Device(tag, sealed(tag, key), b"", 0, None, "rf_tag"))
        self.ears = Ears(self.store)
        self.now_ms = NOW_MS
        self.seq = 0

    def wear(self, tag: str) -> str:
        """Fit a tag on a wearer of its own; returns the activation."""
        added = add_order(self.store, order(curfew()) | {"order_id": f"o-{tag}"})
        return activate(self.store, tag, added.order_id, self.now_ms)

    def fit(self, tag: str) -> str:
        """The same, and install the unit for him."""
        activation = self.wear(tag)
        install(self.store, UNIT, activation, installed=self.now_ms)
        return activation

    def look(self, later_ms: int = 0) -> int:
        self.now_ms += later_ms
        return self.ears.look(self.now_ms)

    def rows(self) -> list[CommandRow]:
        with self.store.read() as connection:
            return book.of_device(connection, UNIT)

    def told(self) -> list[tuple[str, str]]:
        """Name and tag of each command, oldest first."""
        return [(row.name, row.arguments["tag"]) for row in reversed(self.rows())]

    def answer(self, outcome: Outcome = Outcome.DONE) -> None:
        """The unit takes what is open."""
        for row in reversed(self.rows()):
            if row.outcome is None and row.expires_at_ms > self.now_ms:
                self.seq += 1
                with self.store.write() as connection:
                    book.acknowledge(connection, [Answer(UNIT, row.generation, row.n, 7, self.seq, outcome)])


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    opened = Office(tmp_path)
    yield opened
    opened.store.close()


def test_a_unit_is_told_each_tag_once_and_to_forget_it_when_it_is_taken_away(office: Office) -> None:
    office.wear(OTHER)
    assert office.look() == 0
    office.fit(TAG)
    assert office.look() == 1
    office.answer()
    assert sum(office.look(HOUR_MS) for _ in range(24 * 30)) == 0
    uninstall(office.store, UNIT, removed=office.now_ms + HOUR_MS)
    assert office.look(1000) == 0, "not before"
    assert office.look(HOUR_MS) == 1
    office.answer()
    assert office.look(DAY_MS) == 0
    assert office.told() == [("hear", TAG), ("unhear", TAG)]


def test_a_tag_that_is_taken_off_or_revoked_is_heard_no_longer(office: Office) -> None:
    activation = office.fit(TAG)
    office.fit(OTHER)
    assert office.look() == 2
    office.answer()
    deactivate(office.store, activation, office.now_ms)
    assert office.look() == 1
    office.answer()
    with office.store.write() as connection:
        devices.revoke(connection, OTHER, office.now_ms)
    assert office.look() == 1
    assert office.told()[2:] == [("unhear", TAG), ("unhear", OTHER)]


def test_room_is_made_before_it_is_taken(office: Office) -> None:
    activation = office.fit(OTHER)
    office.look()
    office.answer()
    office.fit(TAG)
    uninstall(office.store, UNIT, activation, removed=office.now_ms)
    assert office.look() == 2
    assert office.told()[1:] == [("unhear", OTHER), ("hear", TAG)]


def test_a_new_process_says_nothing_that_was_said(office: Office) -> None:
    office.fit(TAG)
    office.look()
    for acknowledge in (False, True):
        if acknowledge:
            office.answer()
        office.ears = Ears(office.store)
        assert office.look(LOOK_MS) == 0


def test_what_is_still_being_said_is_not_said_any_more_when_the_opposite_is(office: Office) -> None:
    office.fit(TAG)
    office.look()
    uninstall(office.store, UNIT, removed=office.now_ms)
    assert office.look() == 1
    newest, before = office.rows()
    assert (newest.name, before.expires_at_ms) == ("unhear", office.now_ms)


def test_a_unit_that_does_not_answer_is_told_on_and_on_in_two_rows_at_most(office: Office) -> None:
    office.fit(TAG)
    for _ in range(60):
        office.look(DAY_MS)
    assert len(office.rows()) <= 2
    assert sum(row.expires_at_ms > office.now_ms for row in office.rows()) == 1


def test_a_unit_that_has_lost_its_list_or_its_journal_or_knows_an_older_store_is_told_again(
    office: Office,
) -> None:
    office.fit(TAG)
    office.look()
    office.answer()
    with office.store.write() as connection:
        book.lose(connection, [Loss(UNIT, 8, 1)])
    assert office.look(LOOK_MS) == 1
    office.answer()
    with office.store.write() as connection:
        state.set_number(connection, state.GENERATION, 2)
        state.note_change(connection)
    assert office.look(LOOK_MS) == 1
    assert len(office.rows()) == 3


def test_what_a_unit_can_not_do_is_tried_again_later(office: Office) -> None:
    office.fit(TAG)
    office.look()
    office.answer(Outcome.FAILED)
    assert office.look(AGAIN_MS[Outcome.FAILED] // 2) == 0
    assert office.look(AGAIN_MS[Outcome.FAILED]) == 1


def test_what_a_person_commands_holds_until_the_unit_is_next_installed(office: Office) -> None:
    activation = office.fit(TAG)
    office.look()
    office.answer()
    office.now_ms += 1000
    queue(office.store, UNIT, "unhear", {"tag": TAG}, now_ms=office.now_ms, given_by="pat")
    office.answer()
    assert office.look(DAY_MS) == 0
    uninstall(office.store, UNIT, activation, removed=office.now_ms)
    assert office.look() == 0, "it does not hear it"
    install(office.store, UNIT, activation, installed=office.now_ms + 1000)
    assert office.look(LOOK_MS) == 1


def test_the_key_is_said_to_its_unit_alone_and_stands_nowhere_else(office: Office) -> None:
    office.fit(TAG)
    office.look()
    outbox = Outbox(office.store, VAULT)
    outbox.refresh(office.now_ms)
    ((device, said),) = outbox.due(office.now_ms)
    key = hmac.digest(KEYS[TAG], b"beacon", hashlib.sha256)
    number = wire.beacon_number(TAG)
    mask = hmac.digest(bytes(32), b"hear" + struct.pack("<II", number, 1), hashlib.sha256)
    hidden = bytes(a ^ b for a, b in zip(mask, key, strict=True))
    assert (device, said) == (UNIT, wire.Command(1, "hear", [number, 1, hidden]))
    assert key not in wire.encode_down(wire.Down(1, None, said))
    assert len(wire.encode_down(wire.Down(2**32 - 1, (2**32 - 1, 2**32 - 1), said))) < 100
    listed = json.dumps(commands.listing(office.store, UNIT, office.now_ms))
    assert key.hex() not in listed
    assert KEYS[TAG].hex() not in listed
    office.answer()
    uninstall(office.store, UNIT, removed=office.now_ms)
    office.look()
    outbox.refresh(office.now_ms)
    assert [command for _, command in outbox.due(office.now_ms)] == [
        wire.Command(2, "unhear", [wire.beacon_number(TAG)])
    ]


def test_a_person_is_told_why_a_tag_can_not_be_heard(office: Office) -> None:
    for tag in ("rf999999", UNIT):
        with pytest.raises(CommandError, match="is no RF tag that is known"):
            queue(office.store, UNIT, "hear", {"tag": tag}, now_ms=office.now_ms)
    with pytest.raises(CommandError, match="lacks tag"):
        queue(office.store, UNIT, "hear", {}, now_ms=office.now_ms)


def test_a_unit_is_installed_for_as_many_wearers_as_it_can_hear(office: Office) -> None:
    for n in range(MOST_TAGS + 1):
        tag = f"rfmany{n:02}"
        with office.store.write() as connection:
            devices.add(connection, devices.Device(tag, sealed(tag, bytes([n]) * 32), b"", 0, None, "rf_tag"))
        if n < MOST_TAGS:
            office.fit(tag)
        else:
            with pytest.raises(OrderRefused, match="all it can"):
                office.fit(tag)


def test_an_operator_commands_it_by_the_tags_name(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.store.close()
    said = CliRunner().invoke(
        app, ["device", "command", UNIT, "hear", "--tag", TAG, "--data-dir", str(tmp_path), "--json"]
    )
    assert said.exit_code == 0, said.output
    assert json.loads(said.output) == {"device": UNIT, "n": 1, "name": "hear"}


def test_a_tag_whose_key_has_changed_is_told_anew_to_the_units_that_hear_it(office: Office) -> None:
    office.fit(TAG)
    office.fit(OTHER)
    assert office.look() == 2
    office.answer()
    office.now_ms += HOUR_MS
    with office.store.write() as connection:
        was = sealed(TAG, KEYS[TAG])
        row = device_keys.KeyRow(TAG, 1, "retired", was, False, 0, 0, office.now_ms)
        device_keys.retire(connection, row)
        devices.put_keys(connection, {TAG: sealed(TAG, b"\x03" * 32)})
    assert office.look() == 1
    office.answer()
    assert office.look(DAY_MS) == 0
    assert office.told()[2:] == [("hear", TAG)]
