"""The statutory examples of docs/law.md, through the ways in which orders really come: tasks with the reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.orders import next_version
from gateway.orders.intake import take_in
from gateway.orders.kinds import Kind
from gateway.orders.next_version import Document, Recorded
from gateway.store import Store, intake
from tests.community_order import community_order
from tests.gateway.test_order_meaning import WEARER, WEEK, community

NOW_MS = 1_790_000_000_000
DAY_LIMIT = "Sentencing Act 2020, Schedule 9, paragraph 9(4)(a) and (b)"
WEEK_LIMIT = "Sentencing Act 2020, Schedule 9, paragraph 9(4)(c)"
SHIFT = "probation notice of 28 June 2022 on paragraph 10A of Schedule 9: within 24 hours"
HOME = {"name": "primary", "latitude": 52.0, "longitude": 0.0, "radius_m": 30}
DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")

COURT = ("--by", "Kim Clerk", "--reason", "order of Leeds Crown Court")


@dataclass(frozen=True)
class Example:
    """Hours of curfew on each day of the week from Monday, the date of conviction, and what the law has against it."""

    name: str
    hours: tuple[int, ...]
    convicted: str
    reference: str = ""
    figure: str = ""


EXAMPLES = (
    Example("16 hours a day, convicted on 27 June 2022", (16, 0, 16, 0, 16), "2022-06-27"),
    Example("16 hours a day, convicted on 28 June 2022", (16, 0, 16, 0, 16), "2022-06-28"),
    Example(
        "17 hours a day, convicted on 27 June 2022",
        (17, 0, 17, 0, 17),
        "2022-06-27",
        DAY_LIMIT,
        "at most 16 h",
    ),
    Example("17 hours a day, convicted on 28 June 2022", (17, 0, 17, 0, 17), "2022-06-28"),
    Example(
        "20 hours a day, convicted on 27 June 2022",
        (20, 0, 20, 0, 20),
        "2022-06-27",
        DAY_LIMIT,
        "at most 16 h",
    ),
    Example("20 hours a day, convicted on 28 June 2022", (20, 0, 20, 0, 20), "2022-06-28"),
    Example(
        "21 hours a day, convicted on 27 June 2022",
        (21, 0, 21, 0, 21),
        "2022-06-27",
        DAY_LIMIT,
        "at most 16 h",
    ),
    Example(
        "21 hours a day, convicted on 28 June 2022",
        (21, 0, 21, 0, 21),
        "2022-06-28",
        DAY_LIMIT,
        "at most 20 h",
    ),
    Example("112 hours in the fixed week", (16,) * 7, "2022-06-28"),
    Example(
        "113 hours in the fixed week", (17, *(16,) * 6), "2022-06-28", WEEK_LIMIT, "the law allows 112 h"
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway's folder, shared: each test has orders of its own."""
    return tmp_path_factory.mktemp("statute")


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[Store]:
    opened = Store.open(folder / "store.sqlite")
    yield opened
    opened.close()


def told(store: Store, order_id: str) -> list[str]:
    with store.read() as connection:
        return [row.sentence for row in intake.tasks(connection, order_id) if row.kind == "law"]


def expect(example: Example, found: list[str]) -> None:
    if not example.reference:
        assert found == []
        return
    (sentence,) = found
    assert example.reference in sentence
    assert example.figure in sentence
    assert not sentence.startswith("Doubtful")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.name)
def test_an_order_that_comes_as_a_message_and_whose_conviction_a_person_records(
    store: Store, example: Example
) -> None:
    # from 00:30 on, so that both readings of "a day" agree
    table = [
        {"day": day, "start": "00:30", "end": f"{hours:02d}:30"}
        for day, hours in zip(WEEK, example.hours, strict=False)
        if hours
    ]

    def says(operation: Any, message: dict[str, Any]) -> str:
        return take_in(store, operation, "cemo", json.dumps(message).encode(), NOW_MS)

    message = community(
        case_id=says("createDW", WEARER | {"last_name": example.name}),
        device_wearer=f"Alex {example.name}",
        order_id=example.name,
        curfew_duration=[{"location": "primary", "schedule": table}],
    )
    order_id = says("createMO", message)

    def convicted(document: Document) -> Document:
        return document | {"conviction": example.convicted}

    with store.write() as connection:
        recorded = Recorded(Kind.ERROR, "Sam Officer", "the court's register")
        planned = next_version.plan(connection, order_id, convicted, recorded, NOW_MS)
        next_version.write(connection, planned, NOW_MS)
    expect(example, told(store, order_id))
    says("updateMO", message | {"order_request_type": "Variation", "atv_allowance": "60"})
    expect(example, told(store, order_id))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.name)
def test_an_order_that_is_added_by_the_command(store: Store, folder: Path, example: Example) -> None:
    timetable = [
        {"days": [day], "start": "00:30", "end": f"{hours:02d}:30"}
        for day, hours in zip(DAYS, example.hours, strict=False)
        if hours
    ]
    curfew = {"id": "curfew", "type": "curfew", "address": HOME, "timetable": timetable}
    file = folder / "order.json"
    span = {
        "effective": "2026-11-02T00:00:00Z",
        "start": "2026-11-02T00:00:00Z",
        "end": "2027-02-01T00:00:00Z",
    }
    file.write_text(json.dumps(community_order(example.name, curfew, conviction=example.convicted, **span)))
    done = CliRunner().invoke(app, ["order", "add", str(file), *COURT, "--data-dir", str(folder)])
    assert done.exit_code == 0, done.output
    assert "1 conditions monitored" in done.output, "a doubtful order is monitored as it was made"
    expect(example, told(store, example.name))
    assert bool(example.reference) == ("TO BE LOOKED AT" in done.output)
    assert example.reference in done.output


@pytest.mark.parametrize(
    ("hours", "certain"),
    [
        ("We 21:30-09:30", None),
        ("Th 18:59-06:59", False),
        ("Th 19:00-07:00", True),
    ],
    ids=["within the day", "a minute less than 24 hours", "24 hours"],
)
def test_probation_moves_a_shift_of_curfew_by_less_than_24_hours(
    store: Store, folder: Path, hours: str, certain: bool | None
) -> None:
    timetable = [{"days": ["We"], "start": "19:00", "end": "07:00"}]
    curfew = {"id": "curfew", "type": "curfew", "address": HOME, "timetable": timetable}
    file = folder / "order.json"
    span = {
        "effective": "2026-11-02T00:00:00Z",
        "start": "2026-11-02T00:00:00Z",
        "end": "2027-02-01T00:00:00Z",
    }
    file.write_text(json.dumps(community_order(hours, curfew, conviction="2022-06-28", **span)))

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*words, "--data-dir", str(folder)])
        return done.exit_code, " ".join(done.output.split())

    assert run("order", "add", str(file), *COURT)[0] == 0
    agreed = ("--consent", "--circumstances", "a new job", "--court", "Leeds", "--court-told", "2026-11-20")
    when = ("--effective", "2026-11-20 12:00", "--agreed", "2026-11-19 12:00")
    kind = ("order", "vary", hours, "--kind", "Change to Curfew Hours", "--by-probation")
    who = ("--by", "Sam Officer", "--reason", "late shifts")
    code, said = run(*kind, *who, "--hours", hours, *agreed, *when)
    waiting = told(store, hours)
    if certain:
        assert code == 1
        assert "24 h" in said
        assert SHIFT in said
    else:
        assert code == 0, said
        assert waiting == []
        with store.read() as connection:
            doubts = [row.sentence for row in intake.tasks(connection, hours)]
        assert [SHIFT in one for one in doubts] == ([] if certain is None else [True])
