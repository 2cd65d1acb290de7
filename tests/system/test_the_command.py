"""The command as an operator types it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.system.test_replay import TAGWATCH, run

COURT = ("--by", "Kim Clerk", "--reason", "order of Leeds Crown Court")
ORDER = {
    "order_id": "LDS-2026-0001",
    "version": 1,
    "regime": "community_order",
    "wearer": {"id": "W-0001", "name": "Alex Example"},
    "effective": "2026-11-01T00:00:00Z",
    "conditions": [
        {
            "id": "curfew",
            "type": "curfew",
            "address": {"name": "primary", "latitude": 52.9668, "longitude": -1.1787, "radius_m": 30},
            "timetable": [{"days": ["Mo"], "start": "19:00", "end": "07:00"}],
        }
    ],
}


def test_the_demonstration_ends_by_itself_with_one_object_in_which_nothing_is_missing() -> None:
    done = run("demo", "--for", 20, "--speed", 360, "--json")
    summary: dict[str, Any] = json.loads(done.stdout)
    assert set(summary) == {"tags", "sent", "committed", "duplicates", "quarantined", "alerts", "days"}
    assert summary["tags"] == 12
    assert summary["sent"] == summary["committed"] > 1000
    assert summary["quarantined"] == 0
    told = {(alert["wearer"]["name"], alert["rule"]) for alert in summary["alerts"]}
    assert told == {
        ("Anna Field", "in_exclusion_zone"),
        ("Bill Marsh", "absent_during_curfew"),
        ("Esme Heath", "whereabouts_unknown"),
        ("Finn Dale", "strap_tamper"),
        ("Finn Dale", "whereabouts_unknown"),
        ("Gina Nash", "absent_during_curfew"),
        ("Iris Vale", "absent_during_curfew"),
        ("Kate Rowe", "drinking_event"),
        ("Liam West", "alcohol_in_surroundings"),
    }
    days = {day["wearer"]: day["state"] for day in summary["days"]}
    assert days == {"Jack Orme": "SOBER", "Kate Rowe": "SOBER", "Liam West": "UNVERIFIED"}
    assert "http://127.0.0.1:" in done.stderr


def test_a_device_and_an_order_are_added_once_and_refused_with_the_reason_after(tmp_path: Path) -> None:
    folder = ("--data-dir", tmp_path / "gateway")
    order = tmp_path / "order.json"
    order.write_text(json.dumps(ORDER))
    run("device", "add", "gps00001", *folder)
    assert "was added before" in run("device", "add", "gps00001", *folder, code=1).stderr
    assert "4 to 16 small letters" in run("device", "add", "GPS 1", *folder, code=1).stderr
    (listed,) = json.loads(run("device", "list", "--json", *folder).stdout)
    assert listed["device"] == "gps00001"
    assert listed["revoked"] is None
    fitted = ("--device", "gps00001", "--fitted", "2026-11-02T12:00:00Z")
    assert "gps00001-1" in run("order", "add", order, *COURT, *fitted, *folder).stdout
    assert "worn" in run("order", "add", order, *COURT, *fitted, *folder, code=1).stderr
    assert json.loads(run("alerts", "--json", *folder).stdout) == []


def test_a_home_unit_is_installed_for_a_wearer_and_taken_away(tmp_path: Path) -> None:
    folder = ("--data-dir", tmp_path / "gateway")
    order = tmp_path / "order.json"
    order.write_text(json.dumps(ORDER))
    run("device", "add", "rf000001", "--kind", "rf_tag", *folder)
    run("device", "add", "unit0001", "--kind", "home_unit", *folder)
    assert "no kind of device" in run("device", "add", "unit0002", "--kind", "x", *folder, code=1).stderr
    kinds = [one["kind"] for one in json.loads(run("device", "list", "--json", *folder).stdout)]
    assert kinds == ["rf_tag", "home_unit"]
    run("order", "add", order, *COURT, "--device", "rf000001", "--fitted", "2026-11-02T12:00:00Z", *folder)
    here = ("unit0001", "--activation", "rf000001-1")
    assert "no address" in run("device", "install", *here, "--address", "attic", *folder, code=1).stderr
    at = ("--at", "2026-11-02T12:30:00Z")
    said = run("device", "install", *here, "--address", "primary", *at, *folder).stdout
    assert "unit0001 listens for rf000001-1 at address 1" in said
    assert "record its removal first" in run("device", "install", *here, *folder, code=1).stderr
    assert "no longer" in run("device", "uninstall", "unit0001", *folder).stdout
    assert "is not installed" in run("device", "uninstall", "unit0001", *folder, code=1).stderr


def test_secrets_of_a_device_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    run("device", "add", "gps00001", "--data-dir", tmp_path)
    secret = [*(tmp_path / "devices").rglob("*.*"), *(tmp_path / "authority").rglob("*key*")]
    assert len(secret) >= 5
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret if path.is_file())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"conditions": "none"}, "conditions"),
        ({"effective": "tomorrow"}, "effective"),
        ({"version": 0}, "version"),
    ],
)
def test_an_order_that_can_not_be_used_is_refused_by_the_name_of_what_is_wrong(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    order = tmp_path / "order.json"
    order.write_text(json.dumps(ORDER | change))
    done = run("order", "add", order, *COURT, "--data-dir", tmp_path / "gateway", code=1)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_order_beyond_its_statutory_limit_is_taken_as_made_and_told(tmp_path: Path) -> None:
    curfew = {**ORDER["conditions"][0]}  # type: ignore[index]
    curfew["timetable"] = [{"days": ["Mo"], "start": "00:00", "end": "21:00"}]
    order = tmp_path / "order.json"
    order.write_text(json.dumps(ORDER | {"conditions": [curfew], "conviction": "2022-06-28"}))
    done = run("order", "add", order, *COURT, "--data-dir", tmp_path / "gateway")
    assert "1 conditions monitored" in done.stdout
    assert "TO BE LOOKED AT" in done.stdout
    assert "21" in done.stdout
    assert "Sentencing Act 2020" in done.stdout


def test_a_condition_that_can_not_be_checked_yet_is_named_not_monitored(tmp_path: Path) -> None:
    order = tmp_path / "order.json"
    odd = {"id": "tea", "type": "tea_at_five"}
    order.write_text(json.dumps(ORDER | {"conditions": [*ORDER["conditions"], odd]}))  # type: ignore[misc]
    done = run("order", "add", order, *COURT, "--data-dir", tmp_path / "gateway")
    assert "NOT MONITORED" in done.stdout
    assert "tea" in done.stdout


def test_serve_says_where_it_is_and_ends_cleanly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [TAGWATCH, "serve", "--json", "--data-dir", str(tmp_path), "--mqtt-port", "0", "--web-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = process.stdout.readline()
    assert "http://127.0.0.1:" in told
    with urlopen(json.loads(told)["web_url"] + "api/v1/status") as answer:
        status = json.load(answer)
    assert status["store"] is True
    assert status["ingest_alive"] is True
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
