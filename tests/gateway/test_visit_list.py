"""Tonight's visits: planned, looked at by name, sealed where they lie, taken along, and gone when they are over."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.authority import Authority
from gateway.cli import app
from gateway.fitting import sheet
from gateway.fitting.sheet import SheetError
from gateway.keys import change_master
from gateway.orders.intake import take_in
from gateway.orders.told import local
from gateway.seal import SealError
from gateway.settings import Settings
from gateway.store import Store, looks, orders
from gateway.visit_list import KEPT_MS, VisitList

PASSPHRASE = "three random words"
NOW_MS = time.time_ns() // 1_000_000
HOUR_MS = 3_600_000
WEARER = {
    "first_name": "Nia",
    "last_name": "Example",
    "date_of_birth": "2010-05-01",
    "adult_child": "child",
    "responsible_adult_required": "true",
    "parent": "Mair Example",
    "parent_phone_number": "0290 000 000",
    "interpreter_required": "true",
    "language": "Welsh",
    "disability": [{"disability": "Hearing"}],
    "risk_details": "a large dog",
    "no_fixed_address": "false",
    "address_1": "1 Sea Road",
    "address_post_code": "SA1 1AA",
}
SECRETS = ("Nia", "Mair", "Sea Road", "dog", "order-of-nia")

Typed = Callable[..., Any]


@pytest.fixture
def gateway(tmp_path: Path) -> tuple[Settings, str]:
    settings = Settings.load(tmp_path / "gateway", clock_trust="box")
    store = Store.open(settings.store_place)
    wearer = take_in(store, "createDW", "cemo", json.dumps(WEARER).encode(), NOW_MS)
    message = {"case_id": wearer, "order_id": "order-of-nia", "trail_monitoring": "true"}
    order = take_in(store, "createMO", "cemo", json.dumps(message).encode(), NOW_MS)
    store.close()
    return settings, order


@pytest.fixture
def typed(gateway: tuple[Settings, str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("TAGWATCH_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("TAGWATCH_DATA_DIR", str(gateway[0].data_dir))

    def type_it(*words: str) -> Any:
        return CliRunner().invoke(app, ["visits", *words])

    return type_it


def wall(ms: int) -> str:
    return local(ms).replace(" ", "T")


def planned(
    typed: Typed, order: str, at_ms: int = NOW_MS + 2 * HOUR_MS, officer: str = "sam"
) -> dict[str, Any]:
    done = typed("plan", order, "--at", wall(at_ms), "--officer", officer, "--note", "two rings", "--json")
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def looked(settings: Settings) -> list[dict[str, Any]]:
    store = Store.open(settings.store_place)
    try:
        with store.read() as connection:
            return looks.listing(connection)
    finally:
        store.close()


def test_the_list_tells_what_has_to_be_known_before_the_door_and_each_look_is_recorded(
    gateway: tuple[Settings, str], typed: Typed
) -> None:
    settings, order = gateway
    made = planned(typed, order)
    shown = typed("list", "--by", "Sam Officer")
    for said in (
        "Nia Example, born 2010-05-01 (under 18)",
        "primary: 1 Sea Road, SA1 1AA",
        "a large dog",
        "needed: Welsh",
        "required: Mair Example, parent, 0290 000 000",
        "Hearing",
        "two rings",
    ):
        assert said in shown.stdout, shown.output
    (look,) = [one for one in looked(settings) if one["view"] == "visits list"]
    assert (look["viewer"], look["orders"]) == ("Sam Officer", order)
    assert json.loads(typed("list", "--officer", "ada", "--json").stdout) == []
    assert typed("cancel", made["visit"]).exit_code == 0
    assert typed("cancel", made["visit"]).exit_code == 1
    assert typed("list").stdout == "none\n"


def test_what_lies_on_the_disk_tells_nothing_and_is_for_its_owner_only(
    gateway: tuple[Settings, str], typed: Typed, tmp_path: Path
) -> None:
    settings, order = gateway
    planned(typed, order)
    assert typed("take", str(tmp_path / "tonight"), "--officer", "sam").exit_code == 0
    sealed = settings.data_dir / "visits" / "planned.sealed"
    for path in (sealed, tmp_path / "tonight"):
        assert path.stat().st_mode & 0o777 == 0o600
        data = path.read_bytes()
        assert not [secret for secret in (*SECRETS, order, "two rings", "sam") if secret.encode() in data]


def test_a_visit_is_off_the_list_when_it_was_made_or_a_day_after_its_time(
    gateway: tuple[Settings, str],
) -> None:
    settings, order = gateway
    visits = VisitList(settings.data_dir, Authority.of(settings).vault)
    for purpose in ("fit", "check"):
        visits.add(order, NOW_MS, "sam", purpose, "", "ada", NOW_MS)
    again = visits.add(order, NOW_MS, "sam", "fit", "ring twice", "ada", NOW_MS)
    assert [one.note for one in visits.every(NOW_MS) if one.id == again.id] == ["ring twice"]
    visits.made(order, "fit", NOW_MS)
    assert [one.purpose for one in visits.every(NOW_MS)] == ["check"]
    assert visits.every(NOW_MS + KEPT_MS) == []


def test_the_list_outlives_a_change_of_the_master_key_and_no_other_key_opens_it(
    gateway: tuple[Settings, str], tmp_path: Path
) -> None:
    settings, order = gateway
    VisitList(settings.data_dir, Authority.of(settings).vault).add(
        order, NOW_MS, "sam", "fit", "", "ada", NOW_MS
    )
    store = Store.open(settings.store_place)
    change_master(settings, store)
    store.close()
    visits = VisitList(settings.data_dir, Authority.of(settings).vault)
    assert [one.order_id for one in visits.every(NOW_MS)] == [order]
    other = Settings.load(tmp_path / "other")
    with pytest.raises(SealError):
        VisitList(settings.data_dir, Authority.of(other).vault).every(NOW_MS)


def test_a_file_that_is_taken_along_opens_by_its_passphrase_and_brings_the_looks_back(
    gateway: tuple[Settings, str], typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, order = gateway
    planned(typed, order)
    file = tmp_path / "tonight"
    assert "no visit tonight" in typed("take", str(file), "--officer", "ada").output
    assert typed("take", str(file), "--officer", "sam", "--by", "Ada").exit_code == 0
    assert typed("take", str(file), "--officer", "sam").exit_code == 1
    monkeypatch.setenv("TAGWATCH_PASSPHRASE", "three other words")
    assert "not the passphrase" in typed("open", str(file)).output
    monkeypatch.setenv("TAGWATCH_PASSPHRASE", PASSPHRASE)
    assert "a large dog" in typed("open", str(file), "--by", "Sam Officer").stdout
    assert typed("return", str(file)).exit_code == 0
    assert not file.exists()
    views = [(one["viewer"], one["view"]) for one in looked(settings)]
    assert ("Sam Officer", "visits open, of sam") in views
    assert ("Ada", "visits take, for sam") in views


def test_past_its_time_or_with_the_clock_set_back_the_file_is_wiped_and_not_shown(tmp_path: Path) -> None:
    whole = sheet.Sheet("sam", "ada", NOW_MS, NOW_MS + HOUR_MS, [{"order": "o"}])
    for at_ms in (NOW_MS + HOUR_MS, NOW_MS - HOUR_MS):
        sheet.write(tmp_path / "tonight", whole, PASSPHRASE)
        with pytest.raises(SheetError, match=r"it is wiped"):
            sheet.look(tmp_path / "tonight", PASSPHRASE, "sam", at_ms)
        assert not (tmp_path / "tonight").exists()


def test_a_file_that_was_changed_or_is_none_is_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "tonight"
    sheet.write(file, sheet.Sheet("sam", "ada", NOW_MS, NOW_MS + HOUR_MS, []), PASSPHRASE)
    whole = json.loads(file.read_text())
    middle = len(whole["sealed"]) // 2
    flipped = "B" if whole["sealed"][middle] != "B" else "C"
    for changed in (
        {"sealed": whole["sealed"][:middle] + flipped + whole["sealed"][middle + 1 :]},
        {"sealed": ""},
        {"sealed": 5},
        {"n": 1 << 30},
        {"salt": "?"},
        {"tagwatch_visits": 2},
    ):
        file.write_text(json.dumps(whole | changed))
        with pytest.raises(SheetError):
            sheet.read(file, PASSPHRASE)
    for text in ("", "[]", "5", '"a"', "\x00"):
        file.write_text(text)
        with pytest.raises(SheetError):
            sheet.read(file, PASSPHRASE)
    assert replace(sheet.Sheet("s", "a", 0, 0, []), officer="x").looks == ()


def test_an_unknown_order_and_a_short_passphrase_are_refused(
    gateway: tuple[Settings, str], typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, order = gateway
    assert "is not known" in typed("plan", "nobody", "--at", wall(NOW_MS), "--officer", "sam").output
    assert typed("plan", order, "--at", wall(NOW_MS), "--officer", "sam", "--for", "dance").exit_code == 2
    planned(typed, order)
    monkeypatch.setenv("TAGWATCH_PASSPHRASE", "short")
    done = typed("take", str(tmp_path / "tonight"), "--officer", "sam")
    assert "three random words" in done.output
    assert not (tmp_path / "tonight").exists()


def test_what_is_told_of_the_wearer_is_looked_up_when_somebody_looks(
    gateway: tuple[Settings, str], typed: Typed
) -> None:
    settings, order = gateway
    planned(typed, order)
    store = Store.open(settings.store_place)
    with store.read() as connection:
        wearer = orders.versions(connection, order)[-1].wearer_id
    change = WEARER | {"case_id": wearer, "risk_details": "a small dog"}
    take_in(store, "updateDW", "cemo", json.dumps(change).encode(), NOW_MS + 1)
    store.close()
    assert "a small dog" in typed("list").stdout
