"""Devices in stock: where each is, who has put it there and why, and what an officer is told of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.devices import add_device
from gateway.doctor.gathering import gather
from gateway.installations import install, uninstall
from gateway.orders import OrderRefused, activate, add_order, deactivate
from gateway.stock import StockError, history, register
from gateway.store import intake
from tests.community_order import community_order, every_day
from tests.gateway.kept_store import Kept, keep

FLAT = {"name": "flat", "latitude": 51.5, "longitude": -0.1, "radius_m": 50}
CURFEW = {"id": "c", "type": "curfew", "address": FLAT, "timetable": every_day("19:00", "23:00")}
NOW_MS = 1_780_000_000_000
WHO: dict[str, Any] = {"by": "Wanda Workshop", "reason": "the strap came open by itself"}


@pytest.fixture
def desk(tmp_path: Path, place: Path | str) -> Iterator[Kept]:
    """A store with a device of each kind that a curfew needs, on a file and on a real PostgreSQL."""
    kept = keep(tmp_path / "data", **({} if isinstance(place, Path) else {"store": place}))
    for name, kind in (("rf0001", "rf_tag"), ("rf0002", "rf_tag"), ("home0001", "home_unit")):
        add_device(kept.store, kept.authority, name, settings=kept.settings, kind=kind)
    add_order(kept.store, community_order("o-1", CURFEW))
    yield kept
    kept.store.close()


def states(kept: Kept, *chosen: str) -> dict[str, object]:
    with kept.store.read() as connection:
        return {str(row["device"]): row["state"] for row in register.listing(connection, chosen)}


def tasks(kept: Kept) -> list[str]:
    with kept.store.read() as connection:
        return [one.about for one in intake.tasks(connection) if one.kind == register.SWAP]


def test_a_device_in_quarantine_is_fitted_to_nobody_until_it_is_released(desk: Kept) -> None:
    register.quarantine(desk.store, "rf0001", **WHO, now_ms=NOW_MS)
    register.quarantine(desk.store, "home0001", **WHO, now_ms=NOW_MS)
    assert states(desk, "quarantined") == {"rf0001": "quarantined", "home0001": "quarantined"}
    with pytest.raises(
        OrderRefused, match=r"rf0001 is in quarantine since .*strap came open.*device release rf0001"
    ):
        activate(desk.store, "rf0001", "o-1", NOW_MS)
    worn = activate(desk.store, "rf0002", "o-1", NOW_MS)
    with pytest.raises(OrderRefused, match=r"home0001 is in quarantine"):
        install(desk.store, "home0001", worn)
    for name in ("rf0001", "home0001"):
        register.release(desk.store, name, by="Wanda Workshop", reason="new strap, tested", now_ms=NOW_MS + 1)
    assert activate(desk.store, "rf0001", "o-1", NOW_MS) == "rf0001-1"
    install(desk.store, "home0001", worn)
    with pytest.raises(StockError, match="not in quarantine"):
        register.release(desk.store, "rf0001", **WHO, now_ms=NOW_MS)


def test_one_that_is_worn_stays_on_and_a_task_says_that_it_is_to_be_swapped(desk: Kept) -> None:
    tag = activate(desk.store, "rf0001", "o-1", NOW_MS, by="Sam Officer")
    install(desk.store, "home0001", tag, installed=NOW_MS)
    assert register.quarantine(desk.store, "rf0001", **WHO, now_ms=NOW_MS) == ["o-1"]
    assert register.quarantine(desk.store, "home0001", **WHO, now_ms=NOW_MS) == ["o-1"]
    assert tasks(desk) == ["rf0001", "home0001"]
    assert states(desk) == {"rf0001": "quarantined", "rf0002": "in stock", "home0001": "quarantined"}
    facts = gather(desk.settings.data_dir).store if isinstance(desk.settings.store_place, Path) else None
    assert facts is None or facts.to_swap == 2
    uninstall(desk.store, "home0001", tag, NOW_MS + 1)
    deactivate(desk.store, tag, NOW_MS + 1)
    assert tasks(desk) == []
    # again: what was settled for another reason stands anew
    register.release(desk.store, "rf0001", **WHO, now_ms=NOW_MS + 2)
    activate(desk.store, "rf0001", "o-1", NOW_MS + 2)
    register.quarantine(desk.store, "rf0001", **WHO, now_ms=NOW_MS + 60_000)
    assert tasks(desk) == ["rf0001"]


def test_a_worn_device_is_neither_retired_nor_lost_by_the_register(desk: Kept) -> None:
    worn = activate(desk.store, "rf0001", "o-1", NOW_MS)
    with pytest.raises(StockError, match=r"in use \(rf0001-1\): remove it first .*--remove --lost"):
        register.retire(desk.store, "rf0001", **WHO, now_ms=NOW_MS, lost=True)
    deactivate(desk.store, worn, NOW_MS + 1, by="Sam Officer")
    register.retire(desk.store, "rf0001", by="Sam Officer", reason="cut off", now_ms=NOW_MS + 1, lost=True)
    assert states(desk, "lost") == {"rf0001": "lost"}
    register.release(desk.store, "rf0001", by="Sam Officer", reason="found in a bin", now_ms=NOW_MS + 2)
    register.retire(desk.store, "rf0001", **WHO, now_ms=NOW_MS + 3)
    with pytest.raises(StockError, match="retired for good"):
        register.release(desk.store, "rf0001", **WHO, now_ms=NOW_MS + 4)
    with pytest.raises(OrderRefused, match="is retired"):
        activate(desk.store, "rf0001", "o-1", NOW_MS + 5)


@pytest.mark.parametrize("missing", [{"by": " "}, {"reason": "\n"}])
def test_nothing_is_done_without_a_name_and_a_reason(desk: Kept, missing: dict[str, Any]) -> None:
    with pytest.raises(StockError, match="say who does it"):
        register.quarantine(desk.store, "rf0001", **(WHO | missing), now_ms=NOW_MS)


def test_the_history_tells_who_wore_it_who_did_what_and_how_its_key_changed(desk: Kept) -> None:
    from gateway import rotation

    tag = activate(desk.store, "rf0001", "o-1", NOW_MS, by="Sam Officer")
    deactivate(desk.store, tag, NOW_MS + 1000, by="Pat Officer")
    register.quarantine(desk.store, "rf0001", **WHO, now_ms=NOW_MS + 2000)
    rotation.prepare(
        desk.store, desk.authority, "rf0001", settings=desk.settings, over_air=False, now_ms=NOW_MS + 3000
    )
    with desk.store.read() as connection:
        told = history.show(connection, "rf0001")
        with pytest.raises(StockError, match="not known"):
            history.show(connection, "nobody")
    (worn,) = told["activations"]
    assert (worn["order"], worn["fitted_by"], worn["removed_by"]) == ("o-1", "Sam Officer", "Pat Officer")
    said = " | ".join(f"{one['what']} {one['by']}" for one in told["history"])
    for part in ("added", "fitted: under order o-1 Sam Officer", "removed", "strap came open", "key 2 made"):
        assert part in said


def test_the_commands_say_the_same(tmp_path: Path) -> None:
    kept = keep(tmp_path / "data")
    add_device(kept.store, kept.authority, "gps0001", settings=kept.settings)
    kept.store.close()

    def tagwatch(*words: str) -> Any:
        return CliRunner().invoke(app, ["device", *words, "--data-dir", str(kept.settings.data_dir)])

    aside = tagwatch("quarantine", "gps0001", "--by", "Wanda", "--reason", "wet inside")
    assert "gps0001 is in quarantine" in aside.output
    (row,) = json.loads(tagwatch("list", "--json", "--state", "quarantined").output)
    assert (row["device"], row["kind"], row["reason"]) == ("gps0001", "gps_tag", "wet inside")
    assert json.loads(tagwatch("list", "--json", "--kind", "home_unit").output) == []
    assert "give one of in stock" in tagwatch("list", "--state", "worn").output
    assert "wet inside" in tagwatch("show", "gps0001").output
    found = tagwatch(
        "faulty", "gps0001", "--from", "2026-01-01", "--by", "Wanda", "--reason", "wet", "--json"
    )
    assert json.loads(found.output) == {"finding": 1, "alerts": [], "worn_under": []}
    assert (
        "TO BE LOOKED AT: finding 1 has no end"
        in tagwatch("release", "gps0001", "--by", "Wanda", "--reason", "dried").output
    )
    back = tagwatch("faulty", "gps0001", "--take-back", "1", "--by", "Wanda", "--reason", "it was another")
    assert "finding 1 is taken back" in back.output
    assert tagwatch("faulty", "gps0001", "--by", "Wanda", "--reason", "wet").exit_code == 1
    assert json.loads(tagwatch("show", "gps0001", "--json").output)["findings"][0]["taken_back"]
    assert "is retired" in tagwatch("retire", "gps0001", "--by", "Wanda", "--reason", "old").output
