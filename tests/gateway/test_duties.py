"""What tags are told of their wearers' orders: the curfews to come, the zones near; once, in time, and not after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import policy
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from core.activation import Activation
from core.order import order_from_json
from core.readings import Outcome
from core.zones import ZoneError, zone_from_geojson
from gateway import at_once, commands
from gateway.clock import utc_ms
from gateway.duties import AGAIN_MS, LOOK_MS, NEVER_UNDERSTOOD_MS, Duties
from gateway.orders import activate, add_order, deactivate
from gateway.store import Store, devices, state
from gateway.store import commands as book
from gateway.store.commands import GATEWAY, Answer, CommandRow, Loss
from tests.community_order import WEEK, community_order, every_day

DEVICE = "tag0001"
LONDON = ZoneInfo("Europe/London")
NOW_MS = utc_ms(datetime(2026, 6, 1, 12, tzinfo=LONDON))
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HOME = {"name": "primary", "latitude": 51.5, "longitude": -0.12, "radius_m": 50}


def curfew(start: str = "19:00", end: str = "07:00", **change: Any) -> dict[str, Any]:
    timetable = every_day(start, end)
    return {"id": "curfew-1", "type": "curfew", "address": HOME, "timetable": timetable} | change


def exclusion(name: str, lat: float, lon: float, radius_m: float = 100.0) -> dict[str, Any]:
    zone = {"type": "Point", "coordinates": [lon, lat], "radius_m": radius_m}
    return {"id": name, "type": "exclusion", "name": name, "zone": zone}


def order(*conditions: dict[str, Any], **change: Any) -> dict[str, Any]:
    return community_order("o-1", *conditions, **change)


def worn(*conditions: dict[str, Any], fitted_ms: int = 0, **change: Any) -> list[Activation]:
    return [Activation("a", DEVICE, order_from_json(order(*conditions, **change)), fitted_ms)]


def told(*conditions: dict[str, Any], now_ms: int = NOW_MS, **change: Any) -> at_once.Wanted:
    return at_once.wanted(worn(*conditions, **change), now_ms, 1000, "Europe/London")


def civil(day: tuple[int, int, int], hour: int) -> int:
    return int(datetime(*day, hour, tzinfo=LONDON).timestamp())


# ------------------------------------------------------------------------------------------------ when


def test_a_tag_is_told_the_curfews_of_a_fortnight_the_one_under_way_among_them() -> None:
    nights = told(curfew(), now_ms=utc_ms(datetime(2026, 6, 1, 23, tzinfo=LONDON))).times
    assert nights[0] == (civil((2026, 6, 1), 19), civil((2026, 6, 2), 7))
    assert nights[-1] == (civil((2026, 6, 15), 19), civil((2026, 6, 16), 7))
    assert len(nights) == 15


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 28), 11), ((2026, 10, 24), 13)])
def test_the_nights_on_which_the_clock_changes_are_an_hour_shorter_and_longer(
    day: tuple[int, int, int], hours: int
) -> None:
    noon = datetime(*day, 12, tzinfo=LONDON) - timedelta(days=3)
    lengths = {end - begin for begin, end in told(curfew(), now_ms=utc_ms(noon)).times}
    assert lengths == {12 * 3600, hours * 3600}
    changed = next(night for night in told(curfew(), now_ms=utc_ms(noon)).times if night[0] == civil(day, 19))
    assert changed[1] - changed[0] == hours * 3600


def test_of_more_than_64_curfews_the_first_64_are_told_and_known_to_be_all() -> None:
    hourly = [{"days": WEEK, "start": f"{h:02}:00", "end": f"{h:02}:30"} for h in range(24)]
    wish = told(curfew(timetable=hourly))
    assert len(wish.times) == 64
    assert wish.times[-1][1] * 1000 < wish.until_ms <= wish.times[-1][1] * 1000 + HOUR_MS
    commands.check("settings", {"at_once_times": wish.times})


def test_only_what_is_in_force_is_told_over_versions_suspensions_and_the_end_of_the_order() -> None:
    from_ms, to_ms = NOW_MS + 2 * DAY_MS, NOW_MS + 4 * DAY_MS
    away = {"from": "2026-06-03T11:00:00Z", "to": "2026-06-05T11:00:00Z", "reason": "hospital"}
    nights = told(curfew(), suspensions=[away], end="2026-06-08T11:00:00Z").times
    assert len(nights) == 5
    assert not any(end * 1000 > from_ms and begin * 1000 < to_ms for begin, end in nights)


def test_what_was_told_before_is_good_until_half_of_it_is_over() -> None:
    before = told(curfew())
    assert told(curfew(), now_ms=NOW_MS + 6 * DAY_MS).still_told(before.times, NOW_MS + 6 * DAY_MS)
    assert not told(curfew(), now_ms=NOW_MS + 8 * DAY_MS).still_told(before.times, NOW_MS + 8 * DAY_MS)
    assert not told(curfew("20:00")).still_told(before.times, NOW_MS)


# ------------------------------------------------------------------------------------------------ where

COORDINATES = st.tuples(st.floats(-80, 80), st.floats(-180, 180))
BODY = st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(COORDINATES, BODY, st.floats(1, 5000), st.floats(0, 1))
def test_a_tag_anywhere_in_a_zone_is_near_it(
    centre: tuple[float, float], body: list[tuple[float, float]], radius_m: float, share: float
) -> None:
    lat, lon = centre
    line = [[max(-180.0, min(180.0, lon + east)), lat + north] for north, east in body]
    line.append([line[-1][0], line[-1][1] + 0.001])
    try:
        zone = zone_from_geojson({"type": "LineString", "coordinates": line, "width_m": 2 * radius_m})
    except ZoneError:
        reject()  # such a line can not be drawn at all
    (circle,) = at_once.circles([zone], 0, [])
    for one, other in pairwise(line):
        spot = [a + share * (b - a) for a, b in zip(one, other, strict=True)]
        assert policy.near_places(circle, round(spot[1] * 1e7), round(spot[0] * 1e7), 0)


@pytest.mark.parametrize("radius_m", [10.0, 300.0])
def test_a_circle_reaches_the_distance_beyond_the_zone_and_does_not_tell_where_its_middle_is(
    radius_m: float,
) -> None:
    for step in range(50):
        middle = (51.5 + step / 100, -0.12)
        ((lat_e7, lon_e7, wide_m),) = told(exclusion("z", *middle, radius_m)).places
        aside_m = at_once.distance_m(middle, (lat_e7 / 1e7, lon_e7 / 1e7))
        assert 240 <= aside_m <= 520
        assert radius_m + 1000 + aside_m - 10 <= wide_m <= radius_m + 1000 + aside_m + 20
        assert told(exclusion("z", *middle, radius_m)).places == ((lat_e7, lon_e7, wide_m),), (
            "always the same"
        )


def test_of_more_than_8_zones_the_nearest_to_the_last_position_or_home_are_told() -> None:
    zones = [exclusion(f"z{i}", 51.5 + i / 10, -0.12) for i in range(20)]
    at_home = told(curfew(), *zones).places
    assert [round(lat / 1e6) for lat, _, _ in at_home] == [515 + i for i in range(8)]
    there = at_once.wanted(worn(curfew(), *zones), NOW_MS, 1000, "Europe/London", (53.4, -0.12)).places
    assert [round(lat / 1e6) for lat, _, _ in there] == [515, 516, 517, 518, 531, 532, 533, 534]
    commands.check("settings", {"at_once_places": there})


def test_of_a_zone_beyond_100_km_the_part_near_the_wearer_is_told_and_nothing_far_from_it() -> None:
    ring = [[-3.0, 50.0], [3.0, 50.0], [3.0, 54.0], [-3.0, 54.0], [-3.0, 50.0]]
    zone = zone_from_geojson({"type": "Polygon", "coordinates": [ring]})
    ((lat_e7, lon_e7, radius_m),) = at_once.circles([zone], 1000, [(51.0, 2.0)])
    assert radius_m == commands.MOST_RADIUS_M
    assert policy.within(510_000_000, 20_000_000, lat_e7, lon_e7, 10_000)
    ((lat_e7, lon_e7, radius_m),) = at_once.circles([zone], 1000, [(60.0, 0.0)])
    assert not policy.within(600_000_000, 0, lat_e7, lon_e7, radius_m), "hundreds of km away"
    assert policy.within(540_000_000, 0, lat_e7, lon_e7, radius_m), "the edge towards the wearer"


def test_a_zone_on_both_sides_of_the_antimeridian_is_one_circle() -> None:
    halves = [[[[a, -17], [b, -17], [b, -16], [a, -16], [a, -17]]] for a, b in ((179.7, 180), (-180, -179.7))]
    zone = zone_from_geojson({"type": "MultiPolygon", "coordinates": halves})
    ((_, lon_e7, radius_m),) = at_once.circles([zone], 0, [])
    assert abs(lon_e7) > 1_799_900_000
    assert radius_m < 70_000


# ------------------------------------------------------------------------------------------------ told


class Office:
    """A store with one tag, and whoever sees to it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "store.sqlite", busy_timeout_ms=0)
        with self.store.write() as connection:
            devices.add(connection, devices.Device(DEVICE, bytes(32), b"", 0, None))
        self.duties = Duties(self.store, 1000)
        self.now_ms = NOW_MS
        self.seq = 0

    def look(self, later_ms: int = 0) -> int:
        self.now_ms += later_ms
        return self.duties.look(self.now_ms)

    def rows(self) -> list[CommandRow]:
        with self.store.read() as connection:
            return book.of_device(connection, DEVICE)

    def answer(self, outcome: Outcome = Outcome.DONE) -> CommandRow:
        """The tag takes the newest command."""
        self.seq += 1
        row = self.rows()[0]
        with self.store.write() as connection:
            book.acknowledge(connection, [Answer(DEVICE, row.generation, row.n, 7, self.seq, outcome)])
        return row

    def fit(self, *conditions: dict[str, Any]) -> str:
        add_order(self.store, order(*conditions))
        return activate(self.store, DEVICE, "o-1", self.now_ms)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    opened = Office(tmp_path)
    yield opened
    opened.store.close()


def test_a_fitted_tag_is_told_once_and_again_when_half_of_it_is_over(office: Office) -> None:
    assert office.look() == 0
    office.fit(curfew(), exclusion("z", 51.6, -0.1))
    assert office.look() == 1
    row = office.answer()
    assert (row.name, row.given_by, set(row.arguments)) == (
        "settings",
        GATEWAY,
        {"at_once_times", "at_once_places"},
    )
    commands.check("settings", row.arguments)
    assert sum(office.look(LOOK_MS) for _ in range(6 * 96)) == 0
    assert sum(office.look(LOOK_MS) for _ in range(2 * 96)) == 1


def test_a_new_process_says_nothing_that_was_said(office: Office) -> None:
    office.fit(curfew(), exclusion("z", 51.6, -0.1))
    office.look()
    for acknowledge in (False, True):
        if acknowledge:
            office.answer()
        office.duties = Duties(office.store, 1000)
        assert office.look(LOOK_MS) == 0
    assert len(office.rows()) == 1


def test_a_changed_order_takes_the_place_of_what_is_still_being_said(office: Office) -> None:
    office.fit(curfew())
    office.look()
    add_order(office.store, order(curfew("20:00"), version=2))
    assert office.look(1000) == 1
    newest, before = office.rows()
    assert before.expires_at_ms == office.now_ms
    assert newest.arguments["at_once_times"][0][0] - before.arguments["at_once_times"][0][0] == 3600


def test_a_tag_that_was_away_for_weeks_is_told_what_holds_when_it_is_back(office: Office) -> None:
    office.fit(curfew())
    for _ in range(30 * 4):
        office.look(6 * HOUR_MS)
    rows = office.rows()
    assert len(rows) <= 6
    assert sum(row.expires_at_ms > office.now_ms for row in rows) == 1
    assert rows[0].arguments["at_once_times"][0][1] * 1000 > office.now_ms - 8 * DAY_MS


def test_a_tag_that_was_taken_off_is_told_to_forget_and_one_never_worn_is_left_alone(office: Office) -> None:
    activation = office.fit(curfew(), exclusion("z", 51.6, -0.1))
    office.look()
    office.answer()
    deactivate(office.store, activation, office.now_ms + HOUR_MS)
    assert office.look(1000) == 1, "until then"
    office.answer()
    assert office.look(HOUR_MS) == 1
    assert office.answer().arguments == {"at_once_times": None, "at_once_places": None}
    assert office.look(30 * DAY_MS) == 0


def test_what_a_person_set_holds_until_it_is_given_back_or_the_tag_is_taken_off(office: Office) -> None:
    activation = office.fit(curfew(), exclusion("z", 51.6, -0.1))
    office.look()
    office.answer()
    by_hand = {"at_once_places": [(515_000_000, 0, 5000)]}
    commands.queue(office.store, DEVICE, "settings", by_hand, now_ms=office.now_ms, given_by="sam")
    office.answer()
    assert office.look(8 * DAY_MS) == 1
    assert set(office.answer().arguments) == {"at_once_times"}
    commands.queue(
        office.store, DEVICE, "settings", {"at_once_places": None}, now_ms=office.now_ms, given_by="sam"
    )
    office.answer()
    assert office.look(LOOK_MS) == 1
    assert office.answer().arguments["at_once_places"] is not None
    commands.queue(office.store, DEVICE, "settings", by_hand, now_ms=office.now_ms, given_by="sam")
    office.answer()
    deactivate(office.store, activation, office.now_ms + 1)
    assert office.look(1000) == 1
    assert office.answer().arguments == {"at_once_times": None, "at_once_places": None}


@pytest.mark.parametrize(
    ("outcome", "again_ms"),
    [(Outcome.FAILED, AGAIN_MS[Outcome.FAILED]), (Outcome.NOT_UNDERSTOOD, NEVER_UNDERSTOOD_MS)],
)
def test_a_tag_that_can_not_take_it_is_asked_again_and_not_without_end(
    office: Office, outcome: Outcome, again_ms: int
) -> None:
    office.fit(curfew())
    office.look()
    office.answer(outcome)
    asked = sum(office.look(LOOK_MS) for _ in range(again_ms // LOOK_MS - 1))
    assert asked == 0
    assert office.look(LOOK_MS) == 1


def test_a_tag_that_has_lost_its_settings_is_told_again(office: Office) -> None:
    office.fit(curfew())
    office.look()
    office.answer()
    with office.store.write() as connection:
        book.lose(connection, [Loss(DEVICE, 7, office.seq)])
    assert office.look(LOOK_MS) == 0, "what it took after the loss it has"
    with office.store.write() as connection:
        book.lose(connection, [Loss(DEVICE, 7, office.seq + 1)])
    assert office.look(LOOK_MS) == 1
    states = [row["state"] for row in commands.listing(office.store, DEVICE, office.now_ms)]
    assert states == ["open", "done, and lost by the device since"]


def test_after_a_restored_backup_every_tag_is_told_anew(office: Office) -> None:
    office.fit(curfew())
    office.look()
    office.answer()
    with office.store.write() as connection:
        state.set_number(connection, state.GENERATION, 2)
        state.note_change(connection)
    assert office.look(LOOK_MS) == 1


def test_other_kinds_of_devices_and_revoked_ones_are_told_nothing(office: Office) -> None:
    with office.store.write() as connection:
        devices.add(connection, devices.Device("rf00001", bytes(32), b"", 0, None, "rf_tag"))
    add_order(office.store, order(curfew()))
    activate(office.store, "rf00001", "o-1", office.now_ms)
    activate(office.store, DEVICE, "o-1", office.now_ms)
    with office.store.write() as connection:
        devices.revoke(connection, DEVICE, office.now_ms)
    assert office.look(1000) == 0


def test_requests_for_the_time_are_dropped_once_answered_but_the_last(office: Office) -> None:
    with office.store.write() as connection:
        for nonce in range(20):
            book.expire(connection, DEVICE, "time", office.now_ms)
            book.prune(connection, DEVICE, "time", office.now_ms)
            n = book.add(connection, DEVICE, "time", {"nonce": nonce}, office.now_ms, office.now_ms + 1000)
            book.acknowledge(connection, [Answer(DEVICE, 1, n, 7, nonce + 1, 0)])
            assert n == nonce + 1, "no number twice"
    assert [json.dumps(row.arguments) for row in office.rows()] == ['{"nonce": 19}', '{"nonce": 18}']
