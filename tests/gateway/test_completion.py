"""What an order leaves open is completed by a named person, by the commands, and stays when the next message comes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.national_grid import from_grid
from core.order import order_from_json
from gateway.cli import app
from gateway.orders import add_order, completed, written_hours
from gateway.orders.intake import state_of, take_in
from gateway.store import Store, intake, order_changes, orders
from gateway.zone_choice import ZoneChoiceError, out_of_file
from tests.community_order import community_order, every_day
from tests.gateway.test_order_meaning import WEARER, community, place
from tests.gateway.test_postcodes import code_point, directory

NOW_MS = 1_790_000_000_000
BY = ("--by", "Sam Officer", "--why", "the court's letter of 1 October")
MARKET = {"description": "Not to enter the market", "start": "2026-11-02", "end": "2027-01-31"}
CIRCLE = ("--at", "52.95,-1.15", "--radius-m", "300")


@dataclass
class Desk:
    """A gateway's folder, an order in it that came as a message, and the commands."""

    folder: Path
    store: Store
    order_id: str = ""
    message: dict[str, Any] | None = None

    def run(self, *arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*map(str, arguments), "--data-dir", str(self.folder)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    def complete(self, condition: str, *options: object) -> tuple[int, str]:
        return self.run("order", "complete", self.order_id, condition, *options, *BY)

    def zone(self, *options: object) -> tuple[int, str]:
        return self.run("zone", "add", self.order_id, *options, *BY)

    def document(self) -> dict[str, Any]:
        with self.store.read() as connection:
            document: dict[str, Any] = json.loads(orders.versions(connection, self.order_id)[-1].document)
        return document

    def condition(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.document()["conditions"] if one["type"] == kind)
        return found

    def tasks(self) -> set[str]:
        with self.store.read() as connection:
            return {row.kind for row in intake.tasks(connection, self.order_id)}

    def says(self, operation: str, message: dict[str, Any], at_ms: int = NOW_MS) -> str:
        return take_in(self.store, operation, "cemo", json.dumps(message).encode(), at_ms)  # type: ignore[arg-type]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, Store.open(tmp_path / "store.sqlite"))
    yield made
    made.store.close()


@pytest.fixture
def sent(desk: Desk) -> Desk:
    return with_an_open_order(desk)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The same, shared by tests of which none changes anything."""
    folder = tmp_path_factory.mktemp("unchanged")
    made = with_an_open_order(Desk(folder, Store.open(folder / "store.sqlite")))
    yield made
    made.store.close()


def with_an_open_order(desk: Desk) -> Desk:
    """An order with one condition of each kind, none of which can be watched as it came."""
    names = ("Curfew with EM", "EM Exclusion / Inclusion Zone", "AML")
    whole = {"start_date": "2026-11-02 00:00:00", "end_date": "2027-02-01 00:00:00"}
    case_id = desk.says("createDW", WEARER)
    desk.message = community(
        case_id=case_id,
        order_type="Post Release",
        condition_type="License Condition of a Custodial Order",
        enforceable_condition=[{"condition": name} | whole for name in names],
        curfew_duration=[],
        exclusion_zones=[MARKET],
        inclusion_zones=[],
        abstinence="No",
    )
    desk.order_id = desk.says("createMO", desk.message)
    return desk


def test_each_condition_is_completed_by_a_named_person_and_its_task_is_done(sent: Desk) -> None:
    market = sent.condition("exclusion")["id"]
    assert {"no_timetable", "court_text", "no_level"} <= sent.tasks()
    code, said = sent.complete(
        "curfew", "--hours", "daily 19:00-07:00", *CIRCLE[:2], "--radius-m", 30, "--json"
    )
    assert code == 0, said
    told = json.loads(said)
    assert len(told["not_monitored"]) == 2, "it tells at once what is still not monitored"
    assert len(told["tasks_done"]) == 1
    assert "no_timetable" not in sent.tasks()
    code, said = sent.zone("--condition", market, *CIRCLE, "--hours", "Sa,Su 12:00-18:00", "--warning-m", 100)
    assert code == 0, said
    assert "STILL NOT MONITORED: condition 'alcohol'" in said
    code, said = sent.complete("alcohol", "--limit-tac", 0.05)
    assert code == 0, said
    assert "nothing else of the order is NOT MONITORED" in said
    order = order_from_json(sent.document())
    assert (order.version, order.unmonitored) == (4, ())
    assert {"no_timetable", "court_text", "no_level"}.isdisjoint(sent.tasks())
    assert sent.condition("curfew")["timetable"] == every_day("19:00", "07:00")
    assert sent.condition("exclusion")["schedule"] == {
        "weekly": [{"days": ["Sa", "Su"], "start": "12:00", "end": "18:00"}]
    }
    with sent.store.read() as connection:
        rows = order_changes.of_order(connection, sent.order_id)
    assert [(row.by, row.reason) for row in rows[-3:]] == [("Sam Officer", BY[3])] * 3
    assert rows[-2].details["source"] == "300 m about latitude 52.95, longitude -1.15"


def test_what_was_completed_stays_when_the_order_service_changes_something_else(sent: Desk) -> None:
    market = sent.condition("exclusion")["id"]
    sent.complete("curfew", "--hours", "daily 19:00-07:00", *CIRCLE)
    sent.zone("--condition", market, *CIRCLE)
    sent.zone("--exclusion", "--name", "The victim's road", *CIRCLE)
    sent.complete("alcohol", "--limit-tac", 0.05)
    before = sent.document()
    assert sent.message is not None
    later = sent.message | {"order_request_type": "Variation", "order_variation_date": "2027-01-01 00:00:00"}
    sent.says("updateMO", later | {"atv_allowance": "60"}, NOW_MS + 1000)
    after = sent.document()
    assert after["conditions"] == before["conditions"]
    assert after["atv_allowance_min"] == 60
    assert {"no_timetable", "court_text", "no_level"}.isdisjoint(sent.tasks())


def test_a_completed_order_waits_for_nobody(desk: Desk) -> None:
    case_id = desk.says("createDW", WEARER)
    desk.order_id = desk.says("createMO", community(case_id=case_id))
    assert state_of(desk.store, desk.order_id) == "18"
    assert desk.complete("curfew", "--at", "52.9668,-1.1787", "--radius-m", 30)[0] == 0
    assert state_of(desk.store, desk.order_id) == "10"


def test_a_curfew_at_two_addresses_is_completed_at_both_or_not_at_all(desk: Desk) -> None:
    case_id = desk.says("createDW", WEARER)
    hours = [place("19:00", "07:00", "Mo"), place("21:00", "09:00", "Sa", location="secondary")]
    desk.order_id = desk.says("createMO", community(case_id=case_id, curfew_duration=hours))
    code, said = desk.complete("curfew", "--at", "52.95,-1.15", "--radius-m", 30)
    assert code == 1
    assert "the secondary address has hours and no place" in said
    assert desk.document()["version"] == 1, "nothing is completed by halves"
    both = ("--place", "primary=52.95,-1.15", "--place", "secondary=52.96,-1.16", "--radius-m", 30)
    code, said = desk.complete("curfew", *both)
    assert code == 0, said
    curfew = desk.condition("curfew")
    assert [curfew["address"]["name"], *(one["address"]["name"] for one in curfew["also"])] == [
        "primary",
        "secondary",
    ]
    assert "no_place" not in desk.tasks()


def test_a_task_that_another_condition_has_as_well_stands(desk: Desk) -> None:
    case_id = desk.says("createDW", WEARER)
    release = {
        "conditional_release_date": "2026-11-02",
        "conditional_release_start_time": "16:00:00",
        "conditional_release_end_time": "23:00:00",
    }
    message = community(case_id=case_id) | release
    desk.order_id = desk.says("createMO", message)
    assert desk.complete("curfew", "--at", "52.95,-1.15", "--radius-m", 30)[0] == 0
    assert "no_place" in desk.tasks(), "the night of release has no place yet"
    assert desk.complete("release-curfew", "--at", "52.95,-1.15", "--radius-m", 30)[0] == 0
    assert "no_place" not in desk.tasks()


def test_a_zone_of_which_the_order_says_nothing_is_what_the_court_meant(desk: Desk) -> None:
    case_id = desk.says("createDW", WEARER)
    zone = [
        {"condition": "EM Exclusion / Inclusion Zone", "start_date": "2026-11-02", "end_date": "2027-02-01"}
    ]
    message = community(
        case_id=case_id,
        enforceable_condition=zone,
        curfew_duration=[],
        exclusion_zones=[],
        inclusion_zones=[],
    )
    desk.order_id = desk.says("createMO", message)
    code, said = desk.complete("zone-1", *CIRCLE)
    assert code == 1
    assert "give --exclusion, --inclusion or --restriction" in said
    assert desk.complete("zone-1", "--exclusion", *CIRCLE)[0] == 0
    assert order_from_json(desk.document()).unmonitored == ()
    desk.says("updateMO", message | {"order_request_type": "Variation", "atv_allowance": "60"}, NOW_MS + 1000)
    assert order_from_json(desk.document()).unmonitored == (), "and stays so"


@pytest.mark.parametrize(
    ("condition", "options", "words"),
    [
        ("nothing", CIRCLE, "no condition nothing; NOT MONITORED are: curfew,"),
        ("curfew", (), "needs hours: --hours"),
        ("curfew", ("--hours", "19:00-07:00"), "the primary address has hours and no place"),
        ("curfew", ("--hours", "late-early", *CIRCLE), "'late-early' are no hours"),
        ("curfew", ("--hours", "Mo 19:00-19:00", *CIRCLE), "start and end are both 19:00"),
        ("curfew", ("--hours", "19:00-07:00", "--at", "52.95,-1.15"), "an address needs its --radius-m"),
        ("curfew", ("--hours", "19:00-07:00", "--at", "-1.15,52.95", "--radius-m", 30), "say --anyway"),
        (
            "curfew",
            ("--hours", "19:00-07:00", "--postcode", "NG1 5FT"),
            "the middle of a postcode is no address",
        ),
        ("curfew", ("--exclusion", *CIRCLE), "is of type curfew, and --exclusion is for zones"),
        ("curfew", ("--limit-tac", 0.02, "--hours", "19:00-07:00", *CIRCLE), "takes no level"),
        ("alcohol", (), "needs what the court allows: --limit-tac"),
        ("alcohol", ("--limit-tac", 0.02, "--abstinence"), "abstinence has no level"),
        ("alcohol", ("--limit-tac", 7.0), "limit_tac_g_dl"),
        ("alcohol", ("--hours", "19:00-07:00"), "takes no hours"),
        ("market", (), "give one zone: a FILE of GeoJSON, or a circle"),
        ("market", ("--inclusion", *CIRCLE), "what the court imposed is not changed by drawing it"),
        ("market", ("--at", "52.95,-1.15"), "a circle needs its --radius-m"),
        ("market", ("--at", "52.95,-1.15", "--radius-m", 0.5), "radius_m is 0.5"),
        ("market", ("--at", "somewhere", "--radius-m", 300), "'somewhere' is no place"),
        ("market", ("--grid", "SK 5 3", "--radius-m", 300), "is a square of 10,000 m"),
        ("market", ("--grid", "999999,1", "--radius-m", 300), "not on the British National Grid"),
        ("market", ("--exclusion", "--inclusion", *CIRCLE), "a zone is one of them"),
        ("market", ("--postcode", "NG1 5FT", "--radius-m", 300), "the setting `postcodes` names no file"),
        ("market", ("--limit-tac", 0.02, *CIRCLE), "takes no level"),
    ],
)
def test_what_can_not_be_is_refused_with_what_to_do_and_changes_nothing(
    unchanged: Desk, condition: str, options: tuple[object, ...], words: str
) -> None:
    name = unchanged.condition("exclusion")["id"] if condition == "market" else condition
    before = unchanged.document()
    code, said = unchanged.complete(name, *options)
    assert code == 1, said
    assert words in " ".join(said.split())
    assert unchanged.document() == before


def test_a_condition_that_is_monitored_is_varied_not_completed(sent: Desk) -> None:
    market = sent.condition("exclusion")["id"]
    assert sent.zone("--condition", market, *CIRCLE)[0] == 0
    code, said = sent.zone("--condition", market, *CIRCLE)
    assert code == 1
    assert "is monitored as it stands, and changing it is a variation" in said


def test_a_condition_that_this_version_does_not_know_can_not_be_completed(desk: Desk) -> None:
    unknown = {"id": "other-1", "type": "unknown", "name": "Polygraph", "not_monitored": "not known here"}
    add_order(desk.store, community_order("o-1", unknown))
    desk.order_id = "o-1"
    code, said = desk.complete("other-1", "--abstinence")
    assert code == 1
    assert "can not be completed: not known here" in said


def test_a_dry_run_says_what_would_come_of_it_and_writes_nothing(sent: Desk) -> None:
    before = sent.document()
    code, said = sent.complete("alcohol", "--limit-tac", 0.05, "--dry-run")
    assert code == 0
    assert "would be monitored" in said
    assert "dry run: nothing was written" in said
    assert sent.document() == before
    assert "no_level" in sent.tasks()


def test_hours_of_several_addresses_come_from_a_file(sent: Desk) -> None:
    file = sent.folder / "hours.json"
    lines = [
        {"address": "primary", "timetable": every_day("19:00", "07:00")},
        {"address": "secondary", "timetable": [{"days": ["Sa"], "start": "10:00", "end": "12:00"}]},
    ]
    file.write_text(json.dumps(lines))
    both = ("--place", "primary=52.95,-1.15", "--place", "secondary=52.96,-1.16", "--radius-m", 30)
    code, said = sent.complete("curfew", "--hours-file", file, *both)
    assert code == 0, said
    assert sent.condition("curfew")["also"][0]["timetable"] == lines[1]["timetable"]


def test_a_completion_that_the_law_does_not_allow_is_made_and_becomes_a_task(desk: Desk) -> None:
    case_id = desk.says("createDW", WEARER)
    desk.order_id = desk.says("createMO", community(case_id=case_id, curfew_duration=[]))
    assert "law" not in desk.tasks()
    code, said = desk.complete("curfew", "--hours", "Mo,We,Fr 00:30-21:30", *CIRCLE)
    assert code == 0, said
    assert "TO BE LOOKED AT: Curfew of 21 h in a day" in said
    assert "paragraph 9(4)(a) and (b)" in said
    assert "law" in desk.tasks()


@pytest.mark.parametrize("name", ["police_force_areas.geojson", "lad_england_2024_buc.geojson"])
def test_police_areas_and_districts_are_taken_by_name_and_the_invalid_one_is_refused(
    data: Path, name: str
) -> None:
    file = data / "zones" / name
    features = json.loads(file.read_text())["features"]
    refused = []
    for number in range(0, len(features), 1 if len(features) < 50 else 12):
        try:
            chosen = out_of_file(file, str(number), repaired=False)
        except ZoneChoiceError as error:
            refused.append((number, str(error)))
            continue
        zone = {"id": "area", "type": "restriction", "name": chosen.name, "zone": chosen.geometry}
        assert order_from_json(community_order("o-1", zone)).conditions
    assert len(refused) == (name == "police_force_areas.geojson")
    for number, why in refused:
        assert "ring self-intersection at longitude -0.759334, latitude 51.103259" in why
        assert "--repaired-by NAME" in why
        mended = out_of_file(file, str(number), repaired=True)
        assert mended.repair is not None
        zone = {"id": "area", "type": "restriction", "name": mended.name, "zone": mended.geometry}
        assert order_from_json(community_order("o-1", zone)).conditions


def test_a_repair_stands_with_the_name_of_whoever_agreed_to_it(desk: Desk, data: Path) -> None:
    add_order(desk.store, community_order("o-1", {"id": "trail", "type": "trail"}))
    desk.order_id = "o-1"
    file = data / "zones" / "police_force_areas.geojson"
    area = (file, "--feature", "hampshire", "--restriction", "--name", "Hampshire")
    code, said = desk.zone(*area)
    assert code == 1
    assert "Proposed repair, not applied" in said
    code, said = desk.zone(*area, "--repaired-by", "Dora Drawer", "--anyway")
    assert code == 0, said
    with desk.store.read() as connection:
        told = order_changes.of_order(connection, "o-1")[-1].details
    assert told["repaired_by"] == "Dora Drawer"
    assert told["repair"].startswith("Repaired: ")
    assert "as much as a county" in "".join(told["confirmed"])
    code, said = desk.zone(*area, "--repaired-by", "Dora Drawer", "--anyway")
    assert code == 1, "the same twice is one"
    assert "has a zone of that name already" in said


def test_a_circle_about_a_postcode_comes_from_the_operators_own_file(desk: Desk) -> None:
    add_order(desk.store, community_order("o-1", {"id": "trail", "type": "trail"}))
    desk.order_id = "o-1"
    code_point(desk.folder)
    (desk.folder / "tagwatch.toml").write_text('postcodes = "codepo_gb.zip"\n')
    code, said = desk.zone("--exclusion", "--name", "Old Market", "--postcode", "ng15ft", "--radius-m", 300)
    assert code == 0, said
    assert "300 m about the middle of NG1 5FT (codepo_gb.zip)" in said
    longitude, latitude = desk.condition("exclusion")["zone"]["coordinates"]
    assert (latitude, longitude) == pytest.approx(from_grid(457200, 339900), abs=1e-6)
    directory(desk.folder)
    (desk.folder / "tagwatch.toml").write_text('postcodes = "ONSPD.csv"\n')
    gone = ("--exclusion", "--name", "Gone", "--postcode", "NG1 5ZZ", "--radius-m", 300)
    code, said = desk.zone(*gone)
    assert code == 1
    assert "was given up in 2019-06" in said
    assert desk.zone(*gone, "--anyway")[0] == 0, "who looked at it and means it says so"


def test_hours_are_read_as_people_type_them() -> None:
    table = written_hours.timetable(["Mo-Fr 19:00-07:00, Sa, Su 9am - 12:00", "fri-mon 20:00 to 24:00"])
    assert table == [
        {"days": ["Mo", "Tu", "We", "Th", "Fr"], "start": "19:00", "end": "07:00"},
        {"days": ["Sa", "Su"], "start": "09:00", "end": "12:00"},
        {"days": ["Mo", "Fr", "Sa", "Su"], "start": "20:00", "end": "24:00"},
    ]
    assert written_hours.timetable(["7pm to 7am"]) == every_day("19:00", "07:00")
    for wrong in (
        "",
        "Mo",
        "19:00",
        "Someday 19:00-07:00",
        "Mo-Fr 19:61-07:00",
        "Mo 19:00-07:00 Tu",
        "24:00-07:00",
    ):
        with pytest.raises(written_hours.HoursError, match=r"are no hours|that is none"):
            written_hours.timetable([wrong])


def test_every_finding_about_an_open_condition_is_settled_by_completing_it() -> None:
    one = {"id": "zone-1", "type": "zone"}
    assert ("missing", "zones") in completed.settles(one)
