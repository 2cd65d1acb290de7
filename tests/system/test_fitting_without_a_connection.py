"""Visits with an enrolment bundle where there is no connection, finished later; and fittings before a release."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway import users
from gateway.authority import Authority
from gateway.fitting import Asked, Fitted, Stop, bundle, finish, issuing, visit
from gateway.fitting.bundle import Bundle
from gateway.fitting.bundle_desk import BundleDesk
from gateway.fitting.context import Purpose
from gateway.fitting.journal import Journal
from gateway.fitting.local_desk import LocalDesk
from gateway.fitting.officer import Officer
from gateway.fitting.remote_desk import Away, RemoteDesk
from gateway.officer_cli import taken_along
from gateway.orders import activate
from gateway.settings import Settings
from gateway.store import alerts, bundles, devices, orders
from tests.system.fitting_courses import OF_REMOVE
from tests.system.fitting_faults import DOOR, CutOffError, cut_at
from tests.system.fitting_room import ALL_WELL, SPANS, Fault, Plug, Watcher, leg
from tests.system.gateway_elsewhere import Elsewhere

PASSPHRASE = "seven brown hares run"
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    with Elsewhere(tmp_path_factory.mktemp("without")) as made:
        users.add(made.store, "robin", "Robin Officer", "field_officer", None, "test")
        yield made


def fetched(room: Elsewhere, order_id: str, *devices: str) -> Path:
    """A bundle for one order and new GPS tags, fetched over HTTPS."""
    path = room.laptop / "bundles" / f"{order_id}.tagwatch"
    with RemoteDesk(Officer.read(room.laptop), room.laptop) as desk:
        numbers, private = taken_along(desk, [order_id], devices, None, 0)
        signed = desk.bundle(secrets.token_hex(8), [order_id], numbers, 24)
        bundle.write(path, signed, private, PASSPHRASE)
        desk.wipe(list(private))
    return path


def opened(room: Elsewhere, path: Path, passphrase: str = PASSPHRASE) -> BundleDesk:
    officer = Officer.read(room.laptop)
    found = bundle.read(path, passphrase, bytes.fromhex(officer.authority), officer.name)
    return BundleDesk(found, room.laptop)


def asked(order_id: str, device: str | None = None, **more: Any) -> Asked:
    return Asked(order_id, "Sam Officer", device, **{**SPANS, "answers": ALL_WELL, **more})


def finished(room: Elsewhere, order_id: str, purpose: Purpose = "fit") -> Fitted:
    with RemoteDesk(Officer.read(room.laptop), room.laptop, tries=2) as desk:
        return finish(desk, room.laptop, asked(order_id), Watcher(), purpose)


def taken_off(
    room: Elsewhere, order_id: str, plug: Plug, device: str, cuts: tuple[str, ...] = (), *, lost: bool = False
) -> None:
    """What is worn is taken off without a connection, in a visit that is cut off at these points; then it is told."""
    path = fetched(room, order_id)
    room.wire.cut = "unplugged"
    try:
        wanted = asked(order_id, ports=plug.paths)

        def typed(purpose: Purpose, fault: Fault | None = None) -> Fitted:
            given = replace(wanted, lost=lost and purpose == "remove")
            return visit(opened(room, path), room.laptop, given, Watcher(fault), purpose)

        with pytest.raises(Stop, match=rf"can not be checked.*look at strap.*fit {order_id} --check` where"):
            typed("check")
        with pytest.raises(
            Stop, match=rf"leave the old one on.*fit {order_id} --swap` where there is a conn"
        ):
            typed("swap")
        before_ms = time.time_ns() // 1_000_000
        for cut in cuts:
            with pytest.raises(CutOffError):
                typed("remove", cut_at(cut))
            assert [row.removed_ms for row in room.active(device)] == [None], cut
        done = typed("remove")
        after_ms = time.time_ns() // 1_000_000
        assert (done.outcome, done.steps["waits"]["waits"]) == ("not finished", ["the end of its activation"])
        assert done.folder is not None
        assert "alerts go on until its activation has ended" in (done.folder / "unfinished.html").read_text()
        with pytest.raises(
            Stop, match=rf"has taken off {device}, and waits for the end.*fit finish {order_id}"
        ):
            typed("remove")
        with pytest.raises(Away, match=r"has a connection"):
            finished(room, order_id, "remove")
    finally:
        room.wire.cut = ""
    assert len(room.active(device)) == 1, "until the gateway is told it goes on"
    over = finished(room, order_id, "remove")
    assert (over.outcome, over.activation) == ("removed", f"{device}-1")
    assert room.active(device) == []
    with room.store.read() as connection:
        (row,) = orders.activations(connection, device)
    assert row.removed_ms is not None
    assert before_ms - 1000 <= row.removed_ms <= after_ms + 1000, "from when it was taken off"
    kept = room.settings.data_dir / "visits" / "done" / over.visit / "record.json"
    told = json.loads(kept.read_text())
    assert (told["purpose"], told["account"], told["device"]) == ("remove", "sam", device)
    assert not path.exists()
    with pytest.raises(Stop, match=r"nothing of a visit to order .* waits"):
        finished(room, order_id, "remove")


def test_a_visit_without_a_connection_is_done_at_the_tag_and_finished_later_from_when_it_was_passed(
    room: Elsewhere,
) -> None:
    order_id = room.order("offline")
    path = fetched(room, order_id, "gpsoffl1")
    key = room.key("gpsoffl1")
    assert key.hex() not in path.read_text() and "Alex" not in path.read_text()
    assert not (room.laptop / "devices" / "gpsoffl1").exists(), "no key lies open beside the bundle"
    room.wire.cut = "unplugged"
    try:
        before_ms = time.time_ns() // 1_000_000
        with leg(room, "offline") as tag, Plug(tag) as plug:
            wanted = asked(order_id, "gpsoffl1", ports=plug.paths)
            done = visit(opened(room, path), room.laptop, wanted, Watcher())
            assert (done.outcome, done.activation) == ("not finished", None)
            with pytest.raises(
                Stop, match=r"waits for the first reading and the binding.*fit finish offline"
            ):
                visit(opened(room, path), room.laptop, wanted, Watcher())
            with plug.console() as console:
                said = console.identify()
                assert (said.device, said.locked) == ("gpsoffl1", True)
            after_ms = time.time_ns() // 1_000_000
            assert done.folder is not None
            assert "NOT FINISHED" in (done.folder / "unfinished.html").read_text()
            assert room.active("gpsoffl1") == []
            with pytest.raises(Away, match=r"has a connection"):
                finished(room, order_id)
            room.wire.cut = ""
            over = finished(room, order_id)
            assert [row.id for row in room.active("gpsoffl1")] == ["gpsoffl1-1"]
            assert not path.exists(), "a bundle that is used up is wiped"
            taken_off(room, order_id, plug, "gpsoffl1", ("last readings", "waits"))
    finally:
        room.wire.cut = ""
    assert (over.outcome, over.activation) == ("fitted", "gpsoffl1-1")
    with room.store.read() as connection:
        (row,) = orders.activations(connection, "gpsoffl1")
    assert before_ms - 1000 <= row.fitted_ms <= after_ms + 1000, "from when the tag was passed"
    kept = room.settings.data_dir / "visits" / "done" / over.visit / "record.json"
    assert json.loads(kept.read_text())["account"] == "sam"
    with pytest.raises(Stop, match=r"nothing of a visit to order offline waits"):
        finished(room, order_id)
    left = [one for one in room.laptop.rglob("*") if one.is_file() and one.suffix != ".pdf"]
    assert all(key.hex() not in one.read_text("latin-1") for one in left)


@pytest.mark.long
@pytest.mark.parametrize("lost", [False, True])
def test_a_tag_is_taken_off_without_a_connection_wherever_that_is_cut_off_and_its_activation_ends_from_then_on(
    room: Elsewhere, lost: bool
) -> None:
    order_id, device = room.order(f"off{lost}"), f"gpsoff{lost}".lower()
    with leg(room, device) as tag, Plug(tag) as plug:
        room.visit(order_id, plug, device)
        steps = ("waits",) if lost else (*DOOR[:4], *OF_REMOVE, "waits")
        cuts = [f"{when}{one}" for one in steps for when in ("", "after ")]
        taken_off(room, order_id, plug, device, tuple(cuts[:-1]), lost=lost)


@pytest.fixture(scope="module")
def made(room: Elsewhere) -> Path:
    return fetched(room, room.order("refused"), "gpsrefu1")


def test_a_bundle_opens_for_its_officer_with_its_passphrase_alone(room: Elsewhere, made: Path) -> None:
    assert opened(room, made).order("refused").order_id == "refused"
    with pytest.raises(Stop, match=r"passphrase is wrong, or somebody has changed the file"):
        opened(room, made, "seven brown hares ran")
    document = json.loads(made.read_text())
    for name, value in (("expires", "2036-01-01T00:00:00Z"), ("officer", "robin"), ("nonce", "00" * 12)):
        changed = made.with_name("changed.tagwatch")
        changed.write_text(json.dumps(document | {name: value}))
        with pytest.raises(Stop, match=r"somebody has changed the file"):
            opened(room, changed)
    for bad in ({"memory_kib": 1 << 30}, {"tagwatch_bundle": 2}, {"salt": 7}):
        changed.write_text(json.dumps(document | bad))
        with pytest.raises(Stop, match=r"no enrolment bundle that can be used"):
            opened(room, changed)
    officer = Officer.read(room.laptop)
    with pytest.raises(Stop, match=r"this bundle is Sam Officer's, and was made for nobody else"):
        bundle.read(made, PASSPHRASE, bytes.fromhex(officer.authority), "robin")
    with pytest.raises(Stop, match=r"passphrase has 5 characters"):
        bundle.write(
            changed, bundle.Signed('{"id": "", "officer": "", "expires_ms": 0}', b"", b""), {}, "short"
        )


def test_a_bundle_that_somebody_else_has_made_is_not_believed(room: Elsewhere, tmp_path: Path) -> None:
    """Neither of another gateway's authority, nor signed with a device's certificate of this one."""
    ours = Authority.of(room.settings)
    stranger = Authority.of(Settings.load(tmp_path / "stranger", mqtt_port=0))
    said = json.dumps({"id": "ab" * 8, "officer": "sam", "full_name": "Sam", "expires_ms": 2**41})
    forged = bundle.sign(stranger, said, 2**41)
    path = tmp_path / "forged.tagwatch"
    bundle.write(path, forged, {}, PASSPHRASE)
    with pytest.raises(Stop, match=r"was not made by this officer's gateway"):
        bundle.read(path, PASSPHRASE, ours.ca_der, "sam")
    honest = bundle.sign(ours, said, 2**41)
    bundle.write(
        path, bundle.Signed(said.replace("sam", "eve"), honest.certificate, honest.signature), {}, PASSPHRASE
    )
    with pytest.raises(Stop, match=r"was not made by this officer's gateway"):
        bundle.read(path, PASSPHRASE, ours.ca_der, "eve")
    bundle.write(path, honest, {}, PASSPHRASE)
    assert bundle.read(path, PASSPHRASE, ours.ca_der, "sam").id == "ab" * 8


def test_what_was_begun_in_time_may_go_on_and_nothing_begins_after(room: Elsewhere, tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    told = {"id": "cd" * 8, "officer": "sam", "full_name": "Sam", "orders": [], "devices": []}

    def of(issued_ms: int, expires_ms: int) -> BundleDesk:
        said = told | {"issued_ms": issued_ms, "expires_ms": expires_ms}
        return BundleDesk(Bundle(said, {}, tmp_path / "none"), tmp_path)

    expired = of(now_ms - 9 * HOUR_MS, now_ms - HOUR_MS)
    with Journal(tmp_path, "new", "fit", "v", "2026-01-01T00:00:00Z") as journal:
        with pytest.raises(Stop, match=r"this bundle has expired at .*fetch a new bundle"):
            expired.begins(journal)
        journal.note("find", "begun", "2026-01-01T00:00:00Z", {})
    with Journal(tmp_path, "new", "fit", "", "") as journal:
        expired.begins(journal)
    with pytest.raises(Stop, match=r"clock .* is before the making of the bundle"):
        of(now_ms + HOUR_MS, now_ms + 9 * HOUR_MS).now_ms()


def test_the_gateway_takes_back_one_visit_of_a_bundle_from_its_officer_in_time(
    room: Elsewhere, made: Path
) -> None:
    desk = LocalDesk(room.settings, room.store)
    of = opened(room, made).bundle
    now_ms, visited = desk.now_ms(), "20261122T230448Z-00000001"

    def claim(
        bundle_id: str = of.id,
        account: str = "sam",
        order_id: str = "refused",
        visit: str = visited,
        at: int = now_ms,
    ) -> None:
        issuing.claim(desk, bundle_id, account, order_id, visit, at)

    with pytest.raises(Stop, match=r"was not made by this gateway; the tag is on, and nobody is monitored"):
        claim(bundle_id="00" * 8)
    with pytest.raises(Stop, match=r"is another officer's.*have that officer finish"):
        claim(account="robin")
    with pytest.raises(Stop, match=r"is not for order another"):
        claim(order_id="another")
    with pytest.raises(Stop, match=r"this visit began at .* was good from .* until"):
        claim(at=of.expires_ms + 1000)
    with pytest.raises(Stop, match=r"was good from"):
        claim(at=of.issued_ms - HOUR_MS)
    claim()
    claim()
    with pytest.raises(
        Stop, match=r"was used for another visit to order refused .20261122T230448Z-00000001."
    ):
        claim(visit="20261122T230448Z-00000002")
    with pytest.raises(Stop, match=r"bundle .* was made for something else"):
        issuing.issue(desk, of.id, "robin", ["refused"], [], 24)
    assert issuing.revoke(desk, of.id) == ["gpsrefu1"], "a number of a lost bundle is believed no more"
    with pytest.raises(Stop, match=r"was revoked at .* call the gateway's operator"):
        claim()
    with pytest.raises(Stop, match=r"there is no bundle"):
        issuing.revoke(desk, of.id)


def test_numbers_of_an_expired_bundle_that_nobody_used_are_given_back_and_no_others(
    room: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = LocalDesk(room.settings, room.store)
    room.order("expires")
    desk.enrol("gpsstock", "gps_tag")
    with room.store.write() as connection:  # long in stock
        connection.execute(text("UPDATE device SET added_at_ms = 1000 WHERE id = 'gpsstock'"))
    for number, kind in (
        ("gpsnever", "gps_tag"),
        ("gpsheard", "gps_tag"),
        ("rftnever", "rf_tag"),
        ("gpsagain", "gps_tag"),
    ):
        desk.enrol(number, kind)
    numbers = ["gpsstock", "gpsnever", "gpsheard", "rftnever", "gpsagain"]
    issuing.issue(desk, "aa" * 8, "sam", ["expires"], numbers, 24)
    with room.store.write() as connection:
        devices.hear(connection, {"gpsheard": desk.now_ms()})
        row = bundles.one(connection, "aa" * 8)
        assert row is not None
        assert issuing.waiting(connection, row) == ["gpsnever", "gpsagain"]
    later_ms = desk.now_ms() + 24 * HOUR_MS + issuing.KEEP_MS
    assert issuing.sweep(desk) == [], "a visit that was begun in time may be finished"
    monkeypatch.setattr(desk, "now_ms", lambda: later_ms)
    issuing.issue(desk, "bb" * 8, "sam", ["expires"], ["gpsagain"], 24)
    gone = {number for number in numbers if (entry := desk.entry(number)) and entry.revoked_at_ms is not None}
    assert gone == {"gpsnever"}
    with pytest.raises(Stop, match=r"gpsnever was revoked"):
        desk.reading_since("gpsnever", 0, None)


def test_a_bundle_holds_no_key_of_a_tag_that_is_worn_and_is_for_officers_only(room: Elsewhere) -> None:
    desk = LocalDesk(room.settings, room.store)
    room.order("theirs")
    desk.enrol("gpsthei1", "gps_tag")
    activate(room.store, "gpsthei1", "theirs", desk.now_ms())
    room.order("mine")
    with pytest.raises(Stop, match=r"gpsthei1 is on a wearer on record .gpsthei1-1."):
        issuing.issue(desk, "ef" * 8, "sam", ["theirs"], ["gpsthei1"], 24)
    users.add(room.store, "reads", "Reads Only", "practitioner", None, "test")
    with pytest.raises(Stop, match=r"reads is no user who may fit devices"):
        issuing.issue(desk, "ef" * 8, "reads", ["mine"], [], 24)


def test_a_tag_fitted_in_a_prison_monitors_from_the_release_on_and_says_what_waits(room: Elsewhere) -> None:
    order_id = room.order("prison")
    with leg(room, "prison") as tag, Plug(tag) as plug:

        def no_uplink(step: str) -> None:
            if step == "first reading":
                raise Stop("no reading has arrived", "this building is of steel")

        with pytest.raises(Stop, match=r"time of the release is not told: .* --release"):
            room.visit(order_id, plug, "gpsprison", at_source=True)
        release_ms = LocalDesk(room.settings, room.store).now_ms() + HOUR_MS
        done = room.visit(order_id, plug, "gpsprison", no_uplink, at_source=True, release_ms=release_ms)
    assert (done.outcome, done.activation) == ("not finished", "gpsprison-1")
    assert done.steps["waits"]["waits"] == ["the first reading"]
    (row,) = room.active("gpsprison")
    assert row.fitted_ms == release_ms
    over = finish(LocalDesk(room.settings, room.store), room.settings.data_dir, asked(order_id), Watcher())
    assert (over.outcome, over.activation) == ("fitted", "gpsprison-1")
    assert over.folder is not None
    record = json.loads((over.folder / "record.json").read_text())
    assert record["steps"]["at source"]["release_ms"] == release_ms
    assert record["steps"]["at source"]["told_by"] == "Sam Officer"
    assert "Monitored from" in (over.folder / "record.html").read_text()
    with room.store.read() as connection:
        assert alerts.listing(connection, device="gpsprison") == [], "before the release nothing is judged"


@pytest.mark.long
def test_an_officer_types_login_bundle_fit_and_finish_and_no_secret_is_on_a_command_line(
    room: Elsewhere, tmp_path: Path
) -> None:
    """Real processes of the command; the tag is the simulated one."""
    order_id = room.order("typed")
    ca = tmp_path / "ca.pem"
    ca.write_text(room.officer("").trusts)
    secrets_of = {"TAGWATCH_PASSPHRASE": PASSPHRASE, "TAGWATCH_TOKEN": room.token}
    answers = [f"--answer={name}={word}" for name, word in ALL_WELL.items()]

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from gateway.cli import main; main()", "fit", *words]
        return subprocess.run(
            [*command, "--data-dir", str(tmp_path / "laptop")],
            env=os.environ | secrets_of,
            capture_output=True,
            text=True,
            timeout=300,
        )

    signed_in = typed("login", f"https://127.0.0.1:{room.wire.port}", "--ca", str(ca))
    assert signed_in.returncode == 0, signed_in.stderr
    assert "Sam Officer fits tags for https://127.0.0.1" in signed_in.stdout
    assert (tmp_path / "laptop" / "officer.json").stat().st_mode & 0o077 == 0
    path = tmp_path / "night.tagwatch"
    made = typed("bundle", order_id, "--device", "gpstyped1", "--out", str(path), "--hours", "8")
    assert made.returncode == 0, made.stderr
    room.wire.cut = "unplugged"
    try:
        wanted = ("--device", "gpstyped1", "--simulated", "gps", "--no-pdf", "--no-input", *answers)
        away = typed(order_id, *wanted)
        assert away.returncode == 1 and "does not answer" in away.stderr
        fitted = typed(order_id, *wanted, "--bundle", str(path))
        assert fitted.returncode == 4, fitted.stderr
        assert "NOT FINISHED" in fitted.stdout and "NOBODY IS MONITORED BY IT YET" in fitted.stdout
        assert typed("finish").returncode == 1
    finally:
        room.wire.cut = ""
    # the simulated tag ends with the command; what it sent is committed, or it sends it when it is on again
    over = typed("finish")
    assert over.returncode == 0, over.stdout + over.stderr
    assert [row.id for row in room.active("gpstyped1")] == ["gpstyped1-1"]
    assert not path.exists()
    assert "nothing waits here" in typed("finish").stdout
    command = [sys.executable, "-c", "from gateway.cli import main; main()", "fit", "bundles", "--json"]
    listed = subprocess.run(
        [*command, "--data-dir", str(room.settings.data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert any("typed" in one["used for"] for one in json.loads(listed.stdout))
