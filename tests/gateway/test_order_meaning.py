"""What messages of the order service mean: the recorded ones as checked by hand, and all that can be wrong with one."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.order import Regime
from gateway.orders.meaning import Known, Meaning, meaning_of
from gateway.orders.reading import read
from gateway.orders.told import addresses_told, conditions_told, duties_told, local
from tests.gateway.order_service import filled_in, recorded

DATA = Path(os.environ.get("TAGWATCH_DATA", "../shared/data"))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "intake-orders.md"
EVERY = recorded(DATA) if DATA.is_dir() else []
NOW_MS = 1_760_000_000_000
ALWAYS_KEPT = {"issp", "order_status", "released_under_prarr"}
"""Fields that every recorded order carries, and that change nothing of what is monitored."""


def meant(order: Mapping[str, Any], wearer: Mapping[str, Any] | None = None, *before: Any) -> Meaning:
    about = None if wearer is None else read(json.dumps(wearer).encode())
    return meaning_of(read(json.dumps(order).encode()), about, Known("o-1", "w-1", before), NOW_MS)


def row(name: str, meaning: Meaning) -> str:
    """One line of the table in docs/intake-orders.md."""
    order = meaning.order
    assert order.start_ms is not None
    assert order.end_ms is not None
    dates = f"{'variation, ' if meaning.is_variation else ''}{local(order.start_ms)} to {local(order.end_ms)}"
    kinds = Counter(one.kind for one in meaning.found)
    cells = [
        f"`{name}`",
        f"{order.regime}, {dates}",
        "<br>".join(conditions_told(order)),
        "<br>".join(addresses_told(meaning)),
        "<br>".join(duties_told(meaning)),
        ", ".join(f"{kind}{f' ×{n}' if n > 1 else ''}" for kind, n in sorted(kinds.items())),
        ", ".join(sorted(set(meaning.unused) - ALWAYS_KEPT)),
    ]
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize(("name", "wearer", "order"), EVERY, ids=[name for name, _, _ in EVERY])
def test_a_recorded_order_means_what_was_found_by_hand(name: str, wearer: Path, order: Path) -> None:
    assert row(name, meant(filled_in(order), filled_in(wearer))) in PAGE.read_text().splitlines()


WEARER = {"first_name": "Alex", "last_name": "Example", "date_of_birth": "1990-01-01", "adult_child": "adult",
          "address_1": "1 High Street", "address_post_code": "AB1 2CD",
          "responsible_adult_required": "false"}  # fmt: skip
WEEK = ("Mo", "Tu", "Wed", "Th", "Fr", "Sa", "Su")


def community(**changes: Any) -> dict[str, Any]:
    """A complete order with a curfew."""
    return {
        "case_id": "w-1",
        "order_id": "o-1",
        "order_type": "Community",
        "condition_type": "Requirement of Community Order",
        "order_request_type": "New Order",
        "order_start": "2026-11-02 00:00:00",
        "order_end": "2027-02-01 00:00:00",
        "device_wearer": "Alex Example",
        "responsible_organization": "Probation",
        "enforceable_condition": [
            {
                "condition": "Curfew with EM",
                "start_date": "2026-11-02 00:00:00",
                "end_date": "2027-02-01 00:00:00",
            }
        ],
        "curfew_duration": [place("19:00", "07:00")],
    } | changes


def place(start: str, end: str, *days: str, location: str = "primary") -> dict[str, Any]:
    lines = [{"day": day, "start": start, "end": end} for day in (days or WEEK)]
    return {"location": location, "allday": "", "schedule": lines}


def kinds(meaning: Meaning) -> set[str]:
    return {one.kind for one in meaning.found}


def test_a_complete_order_leaves_only_the_place_on_the_map_open() -> None:
    meaning = meant(community(), WEARER)
    assert kinds(meaning) == {"no_place"}
    assert conditions_told(meaning.order) == [
        "NOT MONITORED: its address has no place on the map yet. curfew, 2026-11-02 00:00 to 2027-02-01 00:00; "
        "primary every day 19:00-07:00"
    ]


@pytest.mark.parametrize(
    ("hours", "convicted", "reference", "certain"),
    [
        ((16,) * 7, "2022-06-27", None, True),
        ((16,) * 7, "2022-06-28", None, True),
        ((17, 17, 17), "2022-06-27", "paragraph 9(4)(a) and (b)", True),
        ((17, 17, 17), "2022-06-28", None, True),
        ((20, 20, 20), "2022-06-28", None, True),
        ((20, 20, 20), "2022-06-27", "paragraph 9(4)(a) and (b)", True),
        ((21, 21, 21), "2022-06-28", "paragraph 9(4)(a) and (b)", True),
        ((18, 18, 18), None, "paragraph 9(4)(a) and (b)", False),
        ((17, 16, 16, 16, 16, 16, 16), "2022-06-28", "paragraph 9(4)(c)", True),
    ],
)
def test_statutory_limits_hold_for_the_hours_of_a_message_though_nobody_is_watched_yet(
    hours: tuple[int, ...], convicted: str | None, reference: str | None, certain: bool
) -> None:
    # beginning at 00:30, so that both readings of "a day" agree
    table = [
        {"day": day, "start": "00:30", "end": f"{hour:02d}:30"}
        for day, hour in zip(WEEK, hours, strict=False)
    ]
    message = community(curfew_duration=[{"location": "primary", "schedule": table}])
    first = meant(message, WEARER).document
    if convicted is not None:
        first |= {"conviction": convicted}  # a person has recorded it; messages do not carry it
    found = [one for one in meant(message, WEARER, first).found if one.kind == "law"]
    if reference is None:
        assert found == []
    else:
        (one,) = found
        assert reference in one.sentence
        assert one.sentence.startswith("Doubtful") != certain


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"curfew_duration": []}, {"no_timetable"}),
        ({"curfew_duration": [place("19:00", "19:00")]}, {"contradiction", "no_timetable"}),
        ({"curfew_duration": [place("late", "07:00")]}, {"unreadable", "no_timetable"}),
        ({"curfew_duration": [place("19:00", "07:00", "Someday")]}, {"unreadable", "no_timetable"}),
        ({"curfew_duration": [place("19:00", "07:00", location="caravan")]}, {"unknown_word", "no_address"}),
        ({"curfew_duration": "every night"}, {"unreadable", "no_timetable"}),
        ({"curfew_end": "2026-12-01"}, {"contradiction", "no_place"}),
        ({"order_end": "2026-01-01 00:00:00"}, {"ends_before_start", "no_place"}),
        ({"order_end": "soon"}, {"unreadable", "no_place"}),
        ({"order_end": None}, {"missing", "no_place"}),
        ({"order_type": "Galactic"}, {"unknown_word", "no_place", "law"}),
        ({"order_type": "Pre-Trial"}, {"contradiction", "no_place", "law"}),
        ({"hdc": "Yes"}, {"contradiction", "no_place", "law"}),
        ({"device_wearer": "Somebody Else"}, {"contradiction", "no_place"}),
        ({"enforceable_condition": []}, {"contradiction", "no_condition"}),
        (
            {"enforceable_condition": [{"condition": "Polygraph"}]},
            {"contradiction", "condition_unknown", "missing"},
        ),
        ({"trail_monitoring": "Yes"}, {"contradiction", "no_place"}),
        ({"allday_lockdown": "Yes"}, {"not_acted_on", "no_place"}),
        ({"shoe_size": 44}, {"not_understood", "no_place"}),
        ({"atv_allowance": "a bit"}, {"unreadable", "no_place"}),
        ({"atv_allowance": "60"}, {"no_place"}),
        ({"order_variation_type": "Order Suspension"}, {"not_acted_on", "no_place"}),
    ],
)
def test_what_is_missing_contradictory_or_not_known_is_a_task(
    changes: dict[str, Any], expected: set[str]
) -> None:
    meaning = meant(community(**changes), WEARER)
    assert kinds(meaning) == expected
    assert all(one.sentence.endswith(".") for one in meaning.found)


def test_the_same_order_in_other_clothes_means_the_same() -> None:
    other = community(
        order_type=" pre_trial ".replace("pre_trial", "COMMUNITY"),
        order_start="02/11/2026",
        order_end="2027-02-01T00:00:00Z",
        curfew_duration={
            "location": "Primary address",
            "allday": None,
            "schedule": [
                {"day": day, "start": "7pm", "end": "07.00"}
                for day in ("Monday", "tues", "WED", "Thurs", "fri", "Saturday", "su")
            ],
        },
        curfew_start="",
        exclusion_zones=None,
        inclusion_zones="",
        hdc=False,
    )
    assert meant(other, WEARER).document == meant(community(), WEARER).document


def test_a_night_in_march_and_one_in_october_have_the_hours_of_the_clock_on_the_wall() -> None:
    meaning = meant(community(order_start="2027-03-28 01:30:00", order_end="2027-10-31 01:30:00"), WEARER)
    assert (meaning.document["start"], meaning.document["end"]) == (
        "2027-03-28T01:00:00Z",
        "2027-10-31T00:30:00Z",
    )


def test_what_a_person_has_completed_stays_while_the_words_are_the_same() -> None:
    zone = {"description": "Not to enter the market", "start": "2026-11-02", "end": "2027-01-31"}
    both = [
        {"condition": "Curfew with EM"},
        {"condition": "EM Exclusion / Inclusion Zone"},
        {"condition": "AML"},
    ]
    message = community(enforceable_condition=both, exclusion_zones=[zone], abstinence="No")
    first = meant(message, WEARER).document
    done = json.loads(json.dumps(first)) | {"version": 2, "conviction": "2026-10-01"}
    for one in done["conditions"]:
        one.pop("not_monitored")
        if one["type"] == "curfew":
            table = one.pop("hours")[0]["timetable"]
            home = {"name": "primary", "latitude": 52.0, "longitude": 0.0, "radius_m": 30}
            one |= {"address": home, "timetable": table}
        elif one["type"] == "exclusion":
            one["zone"] = {"type": "Point", "coordinates": [0.0, 52.0], "radius_m": 100}
        else:
            one |= {"mode": "limit", "limit_tac_g_dl": 0.05}
    meaning = meant(message | {"order_end": "2027-03-01 00:00:00"}, WEARER, first, done)
    assert meaning.order.unmonitored == ()
    assert {"court_text", "no_place", "no_level"}.isdisjoint(kinds(meaning))
    assert (meaning.order.version, meaning.document["conviction"]) == (3, "2026-10-01")
    hours = meant(message | {"curfew_duration": [place("20:00", "06:00")]}, WEARER, first, done)
    assert hours.order.unmonitored == (), "hours may change where the place is known"
    assert "primary every day 20:00-06:00" in "".join(conditions_told(hours.order))
    moved = meant(message, WEARER | {"address_1": "2 Low Street"}, first, done)
    assert [one.id for one in moved.order.unmonitored] == ["curfew"], "another address has another place"
    other = meant(
        message | {"exclusion_zones": [zone | {"description": "Not to enter the pub"}]}, WEARER, first, done
    )
    assert [one.type for one in other.order.unmonitored] == ["exclusion"], "another zone is to be drawn"


def test_no_curfew_text_is_ever_read_as_hours() -> None:
    text = "Between 19:00 and 07:00 every day at 1 High Street"
    meaning = meant(community(curfew_duration=[], curfew_description=text), WEARER)
    assert meaning.order.unmonitored[0].places == ()
    assert any(text in one.sentence for one in meaning.found)
    assert meaning.order.regime == Regime.COMMUNITY_ORDER
