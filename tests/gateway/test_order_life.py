"""The life of an order: each kind of variation, suspension, the end, absences and excuses, by the commands."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pypdf
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from typer.testing import CliRunner

from gateway.cli import app
from gateway.clock import utc_ms
from gateway.orders import Orders, activate, deactivate
from gateway.orders.kinds import Kind
from gateway.settings import Settings
from gateway.store import Store, alerts, devices, intake, looks, order_changes, orders
from tests.community_order import community_order, every_day
from tests.gateway.test_next_version import DEVICE, HOME, curfew

SQUARE = [[-0.11, 51.49], [-0.09, 51.49], [-0.09, 51.51], [-0.11, 51.51], [-0.11, 51.49]]
ZONE = {"type": "Polygon", "coordinates": [SQUARE]}
SMALLER = {"type": "Polygon", "coordinates": [[[-0.1, 51.49], *SQUARE[1:3], [-0.1, 51.51], [-0.1, 51.49]]]}
FITTED_MS = 1_675_000_000_000
COURT = ("--by", "Kim Clerk", "--reason", "order of Leeds Crown Court")
SAM = ("--by", "Sam Officer", "--reason", "late shifts")
FEBRUARY = ("--effective", "2024-02-01 12:00", "--agreed", "2024-01-31 12:00")
AGREED = (
    "--consent",
    "--circumstances",
    "a new job",
    "--court",
    "Leeds Crown Court",
    "--court-told",
    "2026-03-01",
)
ORDER = community_order(
    "o-1",
    curfew(),
    {"id": "market", "type": "exclusion", "name": "Market", "zone": ZONE},
    conviction="2023-01-01",
    effective="2023-01-01T00:00:00Z",
    start="2023-01-01T00:00:00Z",
    end="2024-12-01T00:00:00Z",
    wearer={"id": "w-1", "name": "Siân Ŵyn <b>"},
)


class Office:
    """A gateway's folder with one order, and somebody who types commands about it."""

    def __init__(self, folder: Path, document: dict[str, Any] = ORDER) -> None:
        self.folder = folder
        settings = Settings.load(folder)
        self.store = Store.open(settings.store_place)
        file = folder / "order.json"
        file.write_text(json.dumps(document))
        self.run("order", "add", str(file), *COURT)

    def run(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, [*words, "--data-dir", str(self.folder)])
        assert done.exit_code == code, done.output
        return done.output

    def refused(self, *words: str) -> str:
        before = self.documents()
        said = " ".join(self.run(*words, code=1).split())
        assert self.documents() == before
        return said

    def vary(self, kind: str, *words: str) -> dict[str, Any]:
        self.run("order", "vary", "o-1", "--kind", kind, *SAM, *words)
        return self.newest()

    def documents(self) -> list[dict[str, Any]]:
        with self.store.read() as connection:
            return [json.loads(one.document) for one in orders.versions(connection, "o-1")]

    def newest(self) -> dict[str, Any]:
        return self.documents()[-1]

    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.run("order", "show", "o-1", "--json"))
        return shown

    def file(self, name: str, content: object) -> str:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return str(path)

    def fit(self, fitted_ms: int) -> str:
        with self.store.write() as connection:
            devices.add(connection, devices.Device(DEVICE, bytes(32), b"", 0, None, kind="gps_tag"))
        return activate(self.store, DEVICE, "o-1", fitted_ms)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.store.close()


def condition(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in document["conditions"] if one["id"] == name]
    return dict(found)


def test_each_kind_of_variation_changes_what_it_is_about(office: Office) -> None:
    varied = office.vary("Change to Curfew Hours", "--hours", "Mo-Fr 20:00-08:00; Sa,Su 22:00-10:00")
    assert condition(varied, "curfew")["timetable"] == [
        {"days": ["Mo", "Tu", "We", "Th", "Fr"], "start": "20:00", "end": "08:00"},
        {"days": ["Sa", "Su"], "start": "22:00", "end": "10:00"},
    ]
    varied = office.vary("change to address", "--place", "52.5,-1.5,40")
    assert condition(varied, "curfew")["address"] == HOME | {
        "latitude": 52.5, "longitude": -1.5, "radius_m": 40.0,
    }  # fmt: skip
    zone = office.file("zone.json", SMALLER)
    varied = office.vary(
        "Change to add an Inclusion or Exclusion Zone(s)", "--zone", zone, "--name", "The school"
    )
    assert condition(varied, "the-school")["zone"] == SMALLER
    varied = office.vary(
        "Change to an existing Inclusion or Exclusion Zone(s)", "--zone", zone, "--condition", "market"
    )
    assert condition(varied, "market")["zone"] == SMALLER
    varied = office.vary("Change to Personal Details", "--name", "Siân Jones")
    assert varied["wearer"] == {"id": "w-1", "name": "Siân Jones"}
    varied = office.vary("Order Suspension", "--suspended-from", "2024-01-01", "--suspended-to", "2024-01-03")
    assert varied["suspensions"] == [
        {"from": "2024-01-01T00:00:00Z", "to": "2024-01-04T00:00:00Z", "reason": "late shifts"}
    ]
    trail = {**varied, "conditions": [*varied["conditions"], {"id": "trail", "type": "trail"}]}
    varied = office.vary("Change to Enforceable Condition", "--document", office.file("o.json", trail))
    assert condition(varied, "trail")
    varied = office.vary("Admin Error", "--document", office.file("o.json", varied | {"regime": "licence"}))
    assert varied["regime"] == "licence"
    varied = office.vary("Other", "--document", office.file("o.json", varied | {"atv_allowance_min": 60}))
    assert varied["atv_allowance_min"] == 60
    office.vary("Change to Device Type", "--device-type", "RF tag")
    assert [one["kind"] for one in json.loads(office.run("order", "tasks", "--json", code=1))] == [
        "swap_device"
    ]
    history = office.shown()["history"]
    assert [(one["version"], one["kind"]) for one in history] == [
        ("version 1", "Order typed in"),
        ("version 2", "Change to Curfew Hours"),
        ("version 3", "Change to Address"),
        ("version 4", "Change to add an Inclusion or Exclusion Zone(s)"),
        ("version 5", "Change to an existing Inclusion or Exclusion Zone(s)"),
        ("version 6", "Change to Personal Details"),
        ("version 7", "Order Suspension"),
        ("version 8", "Change to Enforceable Condition"),
        ("version 9", "Admin Error"),
        ("version 10", "Other"),
        ("no version", "Change to Device Type"),
    ]
    assert {(one["by"], one["reason"]) for one in history[1:]} == {("by Sam Officer", "late shifts")}


OTHERS = {
    "Change to Address": ("timetable of condition curfew", {"timetable": every_day("20:00", "07:00")}),
    "Change to Curfew Hours": ("address of condition curfew", {"address": HOME | {"latitude": 51.0}}),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_kind_that_would_change_something_else_is_refused_with_what_that_is(
    office: Office, kind: str
) -> None:
    what, change = OTHERS[kind]
    document = office.newest()
    document["conditions"][0] |= change
    said = office.refused(
        "order", "vary", "o-1", "--kind", kind, *SAM, "--document", office.file("o.json", document)
    )
    assert f"“{kind}” is about" in said
    assert what in said


@pytest.mark.long
def test_every_kind_leaves_alone_what_it_is_not_about_long(office: Office) -> None:
    changes: dict[str, dict[str, Any]] = {
        "regime": {"regime": "bail"},
        "end": {"end": "2031-01-01T00:00:00Z"},
        "condition market (taken out)": {"conditions": ORDER["conditions"][:1]},
        "condition trail (added)": {"conditions": [*ORDER["conditions"], {"id": "trail", "type": "trail"}]},
        "condition market": {
            "conditions": [ORDER["conditions"][0], ORDER["conditions"][1] | {"type": "inclusion"}]
        },
        "suspensions": {
            "suspensions": [{"from": "2027-01-01T00:00:00Z", "to": "2027-01-02T00:00:00Z", "reason": "x"}]
        },
    }
    may = {
        "condition market (taken out)": ("Change to an existing Inclusion or Exclusion Zone(s)",),
        "suspensions": ("Order Suspension",),
    }
    for kind in (
        *("Change to Address", "Change to Curfew Hours", "Change to add an Inclusion or Exclusion Zone(s)"),
        *("Change to an existing Inclusion or Exclusion Zone(s)", "Order Suspension"),
        "Change to Personal Details",
    ):
        for what, change in changes.items():
            if kind in may.get(what, ()):
                continue
            file = office.file("o.json", ORDER | change)
            said = office.refused("order", "vary", "o-1", "--kind", kind, *SAM, "--document", file)
            assert what in said, kind


def test_no_document_takes_an_excuse_away(office: Office) -> None:
    office.run("order", "excuse", "o-1", "--from", "2023-02-01 19:00", "--to", "2023-02-01 20:00", *SAM)
    (entry,) = office.newest()["discounts"]
    document = office.newest() | {"discounts": [entry | {"reason": "another"}]}
    file = office.file("o.json", document)
    assert "take-back" in office.refused("order", "vary", "o-1", "--kind", "Other", *SAM, "--document", file)


def test_a_typed_version_that_leaves_an_excuse_out_says_so(office: Office) -> None:
    office.run("order", "excuse", "o-1", "--from", "2023-02-01 19:00", "--to", "2023-02-01 20:00", *SAM)
    file = office.file("o.json", ORDER | {"version": 3})
    assert "leaves out what was recorded before (reasonable_excuse: late shifts)" in office.run(
        "order", "add", file, *COURT
    )


def test_who_has_typed_a_version_in_and_why_stands_in_its_history(office: Office) -> None:
    first = office.shown()["history"][0]
    said = {"by": "by Kim Clerk", "reason": "order of Leeds Crown Court", "kind": "Order typed in"}
    assert said.items() <= first.items() and first["version"] == "version 1"
    file = office.file("o.json", ORDER | {"version": 2})
    assert "--by" in office.run("order", "add", file, "--reason", "amended", code=2)
    assert "--reason" in office.run("order", "add", file, "--by", "Kim Clerk", code=2)
    assert "who and why" in office.refused("order", "add", file, "--by", "Kim Clerk", "--reason", " ")
    for _ in range(2):
        office.run("order", "add", file, "--by", "Lee Clerk", "--reason", "amended by the court")
    one, two = office.shown()["history"]
    assert (one["by"], two["by"], two["reason"]) == ("by Kim Clerk", "by Lee Clerk", "amended by the court")


def test_probation_varies_hours_with_consent_and_tells_the_court(office: Office, tmp_path: Path) -> None:
    words = ("--hours", "every day 20:00-08:00", "--by-probation", *AGREED, *FEBRUARY)
    office.vary("Change to Curfew Hours", *words)
    assert office.run("order", "tasks") == "none\n"
    written = json.loads(office.run("order", "notice", "o-1", "2", "--out", str(tmp_path / "out"), "--json"))
    html, pdf = (Path(path).read_bytes() for path in written)
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)
    for words_of_it in (
        *("Leeds Crown Court", "Siân Ŵyn <b>", "community order; conviction 2023-01-01", "a new job"),
        *(
            "Sam Officer",
            "2024-02-01 12:00",
            "paragraph 10A(8)(a)",
            "19:00",
            "20:00",
            "12 h",
            "84 h",
            "Given",
        ),
    ):
        assert words_of_it in re.sub(r"\s+", " ", text), words_of_it
    assert b"&lt;b&gt;" in html
    assert b"<b>" not in html
    again = json.loads(office.run("order", "notice", "o-1", "2", "--out", str(tmp_path / "two"), "--json"))
    assert [Path(path).read_bytes() for path in again] == [html, pdf]
    with office.store.read() as connection:
        assert looks.listing(connection)[0]["view"] == "order notice o-1 2"


FORBIDDEN = {
    "no consent": (("--hours", "every day 20:00-08:00", "--no-consent"), "10A(3)"),
    "another length": (("--hours", "every day 20:00-07:00", "--consent"), "10A(8)(a)"),
}


@pytest.mark.parametrize("how", FORBIDDEN)
def test_what_probation_may_not_vary_is_refused_with_the_law(office: Office, how: str) -> None:
    words, law = FORBIDDEN[how]
    said = office.refused(
        "order", "vary", "o-1", "--kind", "Change to Curfew Hours", "--by-probation", *SAM, *words
    )
    assert law in said


def test_probation_may_not_vary_anything_but_times_and_address(office: Office) -> None:
    zone = office.file("zone.json", SMALLER)
    kind = "Change to an existing Inclusion or Exclusion Zone(s)"
    said = office.refused(
        *("order", "vary", "o-1", "--kind", kind, "--by-probation", *SAM, "--zone", zone),
        *("--condition", "market"),
    )
    assert "10A(3)" in said


def test_what_probation_has_not_recorded_is_a_task_and_the_court_is_told_later(office: Office) -> None:
    office.vary("Change to Address", "--place", "52.5,-1.5", "--by-probation", "--consent")
    waiting = json.loads(office.run("order", "tasks", "--json", code=1))
    assert len(waiting) == 3
    assert all("Doubtful" in one["sentence"] for one in waiting)
    office.run("order", "court-told", "o-1", "2", "--on", "2026-03-02", "--by", "Sam Officer")
    left = json.loads(office.run("order", "tasks", "--json", code=1))
    assert sorted(one["about"] for one in left) == [
        "version 2, Sentencing Act 2020, Schedule 9, paragraph 10A(2)",
        "version 2, Sentencing Act 2020, Schedule 9, paragraph 10A(6) and (7)",
    ]


def test_probation_does_not_vary_last_night_unless_it_was_agreed_before(office: Office) -> None:
    words = (
        *("order", "vary", "o-1", "--kind", "Change to Curfew Hours", "--by-probation", *SAM, *AGREED),
        *("--hours", "every day 20:00-08:00", "--effective", "2023-02-01 12:00"),
    )
    assert "say when it was agreed" in office.refused(*words)
    assert "say when it was agreed" in office.refused(*words, "--agreed", "2023-02-01 13:00")
    office.run(*words, "--agreed", "2023-02-01 11:00")
    assert "agreed: 2023-02-01 11:00" in json.dumps(office.shown()["history"])


def test_a_refusal_and_an_appeal_stand_with_the_order(office: Office) -> None:
    office.run("order", "refused", "o-1", "--asked", "no curfew on Fridays", *SAM)
    office.run("order", "refused", "o-1", "--asked", "no curfew on Fridays", *SAM)
    office.run("order", "appeal", "o-1", "2", "--outcome", "dismissed", *SAM)
    assert "no refusal" in office.refused("order", "appeal", "o-1", "3", "--outcome", "x", *SAM)
    said = [(one["kind"], one["more"]) for one in office.shown()["history"][1:]]
    assert said == [
        ("Variation refused", "asked: no curfew on Fridays"),
        ("Appeal against a refusal", "of change: 2, outcome: dismissed"),
    ]
    assert len(office.documents()) == 1


def test_a_trial_changes_nothing_and_says_what_would_come_of_it(office: Office) -> None:
    words = ("--hours", "every day 20:00-08:00", "--dry-run", "--json")
    said = json.loads(office.run("order", "vary", "o-1", "--kind", "Change to Curfew Hours", *SAM, *words))
    assert said["dry_run"] is True
    assert said["change"] is None
    assert [one["version"] for one in said["versions"]] == [2]
    assert len(office.documents()) == 1
    with office.store.read() as connection:
        assert [one.kind for one in order_changes.of_order(connection, "o-1")] == [Kind.TYPED]


def test_monitoring_stops_at_the_end_and_not_before_and_the_tag_is_to_come_off(office: Office) -> None:
    worn = office.fit(FITTED_MS)
    office.run("order", "revoke", "o-1", "--at", "2024-03-01 10:30", "--court", "Leeds Crown Court", *SAM)
    with office.store.read() as connection:
        (activation,) = Orders().activations(connection)
        (task,) = intake.tasks(connection, "o-1")
    assert (task.kind, task.about) == ("remove_tag", worn)
    end_ms = 1_709_289_000_000  # 2024-03-01T10:30:00Z
    for from_ms, to_ms, order in activation.spans():
        for one in order.conditions:
            for start, stop in order.in_force(one, from_ms, to_ms, ()):
                assert stop <= end_ms
                assert start < end_ms
    assert max(stop for from_ms, to_ms, order in activation.spans() for one in order.conditions
               for _, stop in order.in_force(one, from_ms, to_ms, ())) == end_ms  # fmt: skip
    deactivate(office.store, worn, end_ms + 1)
    assert office.run("order", "tasks") == "none\n"


def test_an_end_takes_the_place_of_what_was_to_come(office: Office) -> None:
    office.vary("Change to Curfew Hours", "--hours", "every day 20:00-08:00", "--effective", "2024-08-01")
    office.run("order", "end", "o-1", "--at", "2024-06-01 12:00", *SAM)
    assert office.newest()["end"] == "2024-06-01T11:00:00Z"
    assert condition(office.newest(), "curfew")["timetable"] == every_day("19:00", "07:00")
    office.run("order", "end", "o-1", "--at", "2024-06-01 12:00", *SAM)
    assert len(office.documents()) == 3


def test_a_suspension_without_an_end_lasts_until_it_is_resumed(office: Office) -> None:
    office.run("order", "suspend", "o-1", "--from", "2024-01-01 12:00", *SAM)
    assert office.newest()["suspensions"][0]["to"] == "2024-12-01T00:00:00Z"
    office.run("order", "resume", "o-1", "--at", "2024-01-05 12:00", *SAM)
    assert office.newest()["suspensions"] == [
        {"from": "2024-01-01T12:00:00Z", "to": "2024-01-05T12:00:00Z", "reason": "late shifts"}
    ]
    assert "says that already" in office.refused("order", "resume", "o-1", "--at", "2024-02-05 12:00", *SAM)


def test_who_why_and_when_stand_with_an_absence_and_it_is_taken_back_by_a_version(office: Office) -> None:
    words = ("order", "absence", "o-1", "--from", "2030-12-24 19:00", "--to", "2030-12-26 09:00", *SAM)
    office.run(*words)
    office.run(*words)
    (entry,) = office.newest()["discounts"]
    assert entry.pop("recorded").startswith("20")
    assert entry == {
        "from": "2030-12-24T19:00:00Z", "to": "2030-12-26T09:00:00Z", "kind": "authorised_absence",
        "reason": "late shifts", "by": "Sam Officer",
    }  # fmt: skip
    office.run("order", "take-back", "o-1", "2", "--by", "Kim Officer", "--reason", "the visit is off")
    assert "discounts" not in office.newest()
    assert ["discounts" in one for one in office.documents()] == [False, True, False]
    assert office.shown()["history"][-1]["by"] == "by Kim Officer"


def test_an_absence_can_not_be_agreed_afterwards_nor_an_excuse_given_beforehand(office: Office) -> None:
    past = ("--from", "2023-02-01 19:00", "--to", "2023-02-01 21:00")
    assert "tagwatch order excuse" in office.refused("order", "absence", "o-1", *past, *SAM)
    office.run("order", "absence", "o-1", *past, *SAM, "--agreed", "2023-01-31 10:00")
    to_come = ("--from", "2035-02-01 19:00", "--to", "2035-02-01 21:00")
    assert "tagwatch order absence" in office.refused("order", "excuse", "o-1", *to_come, *SAM)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("2030-10-27 01:30", "say 2030-10-27T01:30+01:00 or 2030-10-27T01:30+00:00"),
        ("2030-03-31 01:30", "no clock shows: it goes forward then; say 2030-03-31T02:30+01:00"),
        ("2030-02-30 10:00", "which is no instant"),
        ("tomorrow", "which is no instant"),
    ],
)
def test_a_time_that_the_clock_shows_twice_or_never_is_refused_with_what_it_could_be(
    office: Office, typed: str, offered: str
) -> None:
    words = ("order", "absence", "o-1", "--from", typed, "--to", "2030-12-01 05:00", *SAM)
    assert offered in office.refused(*words)


def test_an_hour_that_comes_twice_is_taken_with_its_offset(office: Office) -> None:
    words = ("order", "absence", "o-1", "--to", "2030-10-27T01:30+00:00", "--from", "2030-10-27T01:30+01:00")
    office.run(*words, *SAM)
    (entry,) = office.newest()["discounts"]
    assert (entry["from"], entry["to"]) == ("2030-10-27T00:30:00Z", "2030-10-27T01:30:00Z")


def test_an_unknown_kind_condition_or_order_is_named(office: Office) -> None:
    assert "Change to Curfew Hours" in office.refused("order", "vary", "o-1", "--kind", "New hours", *SAM)
    hours = ("--kind", "Change to Curfew Hours", *SAM, "--hours", "every day 20:00-08:00")
    assert "there is no curfew night (of the order: curfew)" in office.refused(
        "order", "vary", "o-1", *hours, "--condition", "night"
    )
    assert "no order is called o-2" in office.refused("order", "vary", "o-2", *hours)
    blank = ("--by", " ", "--reason", "x")
    assert "--by is empty" in office.refused("order", "suspend", "o-1", *blank)
    bad = ("--kind", "Change to Curfew Hours", *SAM, "--hours", "Mo-Fr late")
    assert "are no hours: write them" in office.refused("order", "vary", "o-1", *bad)


def test_an_excuse_for_an_alert_takes_its_time_and_its_condition(office: Office) -> None:
    worn = office.fit(FITTED_MS)
    document = {
        "id": "a", "activation": worn, "condition": "curfew", "rule": "absent_during_curfew", "state": "ended",
        "severity": "high", "start": "2023-02-01T19:00:00Z", "end": "2023-02-01T20:30:00Z", "order_version": 1,
        "rule_set": "1", "sentence": "Away.", "figures": {}, "readings": [], "sources": [],
    }  # fmt: skip
    with office.store.write() as connection:
        for name, change in (
            ("a", {}),
            ("b", {"condition": ""}),
            ("c", {"rule": "atv_reached"}),
            ("d", {}),
            ("d", {"state": "withdrawn"}),
        ):
            mine: dict[str, Any] = document | {"id": name} | change
            start_ms = utc_ms(datetime.fromisoformat(mine["start"]))
            alerts.put(connection, [alerts.AlertEntry(
                name, DEVICE, worn, mine["rule"], mine["state"], "high", start_ms, json.dumps(mine),
            )], 5)  # fmt: skip
    said = json.loads(office.run("order", "excuse", "--alert", "1", *SAM, "--json"))
    assert said["alerts"] == [1]
    (entry,) = office.newest()["discounts"]
    assert (entry["from"], entry["to"], entry["condition"]) == (
        "2023-02-01T19:00:00Z", "2023-02-01T20:30:01Z", "curfew",
    )  # fmt: skip
    assert "about the equipment" in office.refused("order", "excuse", "--alert", "2", *SAM)
    assert "adds up absences" in office.refused("order", "excuse", "--alert", "3", *SAM)
    assert "withdrawn" in office.refused("order", "excuse", "--alert", "4", *SAM)
    assert "alert 9 is not known" in office.refused("order", "excuse", "--alert", "9", *SAM)


def killed_before(statement: int, folder: Path, words: list[str]) -> bool:
    """Run a command in a process that is killed before its so manieth statement to the database; was it?"""
    pid = os.fork()
    if pid == 0:
        left = statement

        @event.listens_for(Engine, "before_cursor_execute")
        def watch(*_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        done = CliRunner().invoke(app, [*words, "--data-dir", str(folder)])
        os._exit(done.exit_code)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def killed_anywhere(office: Office, steps: list[int]) -> None:
    words = [
        *("order", "vary", "o-1", "--kind", "Change to Curfew Hours", "--by-probation", *SAM, "--consent"),
        *("--hours", "every day 20:00-08:00", *FEBRUARY),
    ]
    for step in steps:
        was_killed = killed_before(step, office.folder, words)
        with office.store.read() as connection:
            versions = len(orders.versions(connection, "o-1"))
            changes = len(order_changes.of_order(connection, "o-1"))
            waiting = len(intake.tasks(connection, "o-1"))
        assert (versions, changes, waiting) in ((1, 1, 0), (2, 2, 2)), step
        if not was_killed:
            assert versions == 2
            return
    office.run(*words)
    office.run(*words)
    with office.store.read() as connection:
        assert len(order_changes.of_order(connection, "o-1")) == 2
        assert len(intake.tasks(connection, "o-1")) == 2


def test_a_command_that_is_killed_leaves_the_change_whole_or_not_at_all(office: Office) -> None:
    killed_anywhere(office, [14])


@pytest.mark.long
def test_a_command_that_is_killed_before_any_statement_leaves_the_change_whole_or_not_at_all_long(
    office: Office,
) -> None:
    killed_anywhere(office, list(range(1, 400)))
