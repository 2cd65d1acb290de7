"""Conditions read from the JSON of an order (docs/orders.md), every problem named by its path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from core.conditions import (
    Address,
    AlcoholCondition,
    AlcoholMode,
    AttendanceCondition,
    Condition,
    CurfewCondition,
    CurfewPlace,
    ExclusionCondition,
    InclusionCondition,
    RestrictionCondition,
    StatedHours,
    TrailCondition,
    UnmonitoredCondition,
)
from core.document import Reader, fact, join
from core.schedule import ALWAYS, ALWAYS_MS, Interval, Schedule
from core.timetable import DAY_MINUTES, DAYS, CurfewTimetable, TimetableEntry
from core.zones import MAX_LATITUDE, ZoneError, zone_from_geojson

MAX_RADIUS_M = 5000.0
"""The largest address: a farm or a hospital site. A larger circle is an inclusion zone, not a home."""
MAX_WARNING_M = 20_000.0
"""The widest warning ring: a quarter of an hour by car. A wider one would warn of a county."""
MAX_TAC_G_DL = 0.5
"""No person reaches this transdermal level alive; a limit above it is a slip of the unit (mg, or per 100 ml)."""

Body = Mapping[str, Any]
Reading = Callable[[Reader, Body, str, str], Condition | None]


def _dates(read: Reader, body: Body, path: str) -> Interval:
    return read.span(body, path, "from", "to", -ALWAYS_MS, ALWAYS_MS)


def _name(read: Reader, body: Body, path: str, otherwise: str) -> str:
    return read.text(body, "name", path) if "name" in body else otherwise


def _zone_condition(make: Callable[..., Condition]) -> Reading:
    def read_it(read: Reader, body: Body, condition_id: str, path: str) -> Condition | None:
        read.keys(body, path, "id", "type", "name", "zone", "schedule", "warning_m", "from", "to")
        name = read.text(body, "name", path)
        zone = _zone(read, body, path)
        schedule = _schedule(read, body["schedule"], f"{path}.schedule") if "schedule" in body else ALWAYS
        warning_m = read.number(body, "warning_m", path, 0, MAX_WARNING_M) if "warning_m" in body else 0.0
        dates = _dates(read, body, path)
        if zone is None or schedule is None:
            return None
        return make(condition_id, name, zone, schedule, warning_m, *dates)

    return read_it


def _zone(read: Reader, body: Body, path: str) -> Any:
    try:
        return zone_from_geojson(body.get("zone"), f"{path}.zone")
    except ZoneError as error:
        read.problems.extend(error.problems)
        return None


def _attendance(read: Reader, body: Body, condition_id: str, path: str) -> Condition | None:
    known = ("id", "type", "name", "zone", "schedule", "at_least_min", "grace_min", "from", "to")
    read.keys(body, path, *known)
    name = read.text(body, "name", path)
    zone = _zone(read, body, path)
    schedule = _schedule(read, body.get("schedule"), f"{path}.schedule")
    minutes = "Give minutes as a whole number."
    at_least = read.whole(body, "at_least_min", path, minutes) if "at_least_min" in body else None
    grace = read.whole(body, "grace_min", path, minutes, 0) if "grace_min" in body else 0
    dates = _dates(read, body, path)
    if zone is None or schedule is None:
        return None
    if schedule.weekly is None and not schedule.dated:
        read.refuse(f"{path}.schedule", "names no appointment", "Give weekly or dated times.")
    return AttendanceCondition(condition_id, name, zone, schedule, at_least, grace, *dates)


def _trail(read: Reader, body: Body, condition_id: str, path: str) -> Condition:
    read.keys(body, path, "id", "type", "name", "from", "to")
    return TrailCondition(condition_id, _name(read, body, path, "trail"), *_dates(read, body, path))


def _alcohol(read: Reader, body: Body, condition_id: str, path: str) -> Condition | None:
    read.keys(body, path, "id", "type", "name", "mode", "limit_tac_g_dl", "from", "to")
    name, dates = _name(read, body, path, "alcohol"), _dates(read, body, path)
    mode = body.get("mode")
    if not isinstance(mode, str) or mode not in set(AlcoholMode):
        read.refuse(f"{path}.mode", fact(mode, "a mode"), f"Give one of: {', '.join(AlcoholMode)}.")
        return None
    if mode == AlcoholMode.LIMIT:
        limit = read.number(body, "limit_tac_g_dl", path, 0.001, MAX_TAC_G_DL)
        return AlcoholCondition(condition_id, name, AlcoholMode.LIMIT, limit, *dates)
    if "limit_tac_g_dl" in body:
        read.refuse(f"{path}.limit_tac_g_dl", "abstinence has no limit", "Leave it out, or give mode limit.")
    return AlcoholCondition(condition_id, name, AlcoholMode.ABSTINENCE, None, *dates)


def _curfew(read: Reader, body: Body, condition_id: str, path: str) -> Condition | None:
    known = ("id", "type", "name", "address", "timetable", "also", "boundary_area", "from", "to")
    read.keys(body, path, *known)
    name = _name(read, body, path, "curfew")
    primary = _place(read, body, path)
    also = []
    for i, item in enumerate(read.items(body, "also", path) if "also" in body else []):
        further = read.mapping(item, f"{path}.also[{i}]")
        if further is not None:
            read.keys(further, f"{path}.also[{i}]", "address", "timetable")
            also.append(_place(read, further, f"{path}.also[{i}]"))
    boundary = read.text(body, "boundary_area", path) if "boundary_area" in body else ""
    dates = _dates(read, body, path)
    if primary is None or None in also:
        return None
    others = tuple(place for place in also if place is not None)
    names = [place.address.name for place in (primary, *others)]
    if len(set(names)) != len(names):
        read.refuse(f"{path}.also", "two addresses have the same name", "Give every address its own name.")
    return CurfewCondition(condition_id, name, primary.address, primary.timetable, others, boundary, *dates)


def unmonitored(read: Reader, body: Body, condition_id: str, kind: str, path: str) -> UnmonitoredCondition:
    """A condition that the document itself says can not be monitored yet, and why."""
    read.keys(body, path, "id", "type", "not_monitored", "name", "hours", "from", "to")
    places = []
    for i, item in enumerate(read.items(body, "hours", path) if "hours" in body else []):
        at = f"{path}.hours[{i}]"
        stated = read.mapping(item, at)
        if stated is not None:
            read.keys(stated, at, "address", "timetable")
            timetable = _timetable(read, stated, "timetable", at)
            if timetable is not None:
                places.append(StatedHours(read.text(stated, "address", at), timetable))
    reason, name = read.text(body, "not_monitored", path), _name(read, body, path, "")
    return UnmonitoredCondition(condition_id, kind, reason, name, tuple(places), *_dates(read, body, path))


def _place(read: Reader, body: Body, path: str) -> CurfewPlace | None:
    at = f"{path}.address"
    place = read.mapping(body.get("address"), at)
    timetable = _timetable(read, body, "timetable", path)
    if place is None or timetable is None:
        return None
    read.keys(place, at, "name", "latitude", "longitude", "radius_m", "residence_requirement")
    address = Address(
        read.text(place, "name", at),
        read.number(place, "latitude", at, -MAX_LATITUDE, MAX_LATITUDE),
        read.number(place, "longitude", at, -180, 180),
        read.number(place, "radius_m", at, 1, MAX_RADIUS_M),
        read.flag(place, "residence_requirement", at),
    )
    return CurfewPlace(address, timetable)


def _schedule(read: Reader, value: object, path: str) -> Schedule | None:
    body = read.mapping(value, path)
    if body is None:
        return None
    read.keys(body, path, "weekly", "dated", "exceptions")
    weekly = _timetable(read, body, "weekly", path) if "weekly" in body else None
    dated, exceptions = (_intervals(read, body, key, path) for key in ("dated", "exceptions"))
    return Schedule(weekly, dated, exceptions)


def _intervals(read: Reader, body: Body, key: str, path: str) -> tuple[Interval, ...]:
    found = []
    for i, item in enumerate(read.items(body, key, path) if key in body else []):
        at = f"{path}.{key}[{i}]"
        interval = read.mapping(item, at)
        if interval is not None:
            read.keys(interval, at, "from", "to")
            found.append(interval_of(read, interval, at))
    return tuple(found)


def interval_of(read: Reader, body: Body, path: str) -> Interval:
    """The instants ``from`` and ``to`` of an object, both needed."""
    for key in ("from", "to"):
        if key not in body:
            read.instant(body, key, path)
    return read.span(body, path, "from", "to", 0, 1)


def _timetable(read: Reader, body: Body, key: str, path: str) -> CurfewTimetable | None:
    entries = [_entry(read, item, f"{path}.{key}[{i}]") for i, item in enumerate(read.items(body, key, path))]
    if not entries or None in entries:
        return None
    return CurfewTimetable(tuple(entry for entry in entries if entry is not None))


def _entry(read: Reader, item: object, path: str) -> TimetableEntry | None:
    body = read.mapping(item, path)
    if body is None:
        return None
    read.keys(body, path, "days", "start", "end")
    found = len(read.problems)
    days = read.items(body, "days", path)
    for day in days:
        if day not in DAYS:
            read.refuse(f"{path}.days", f"{day!r} is not a day", f"Give days as {', '.join(DAYS)}.")
    if len(set(map(str, days))) != len(days):
        read.refuse(f"{path}.days", "a day stands twice", "Name each day once.")
    start, end = (_minutes(read, body, key, path) for key in ("start", "end"))
    if start == DAY_MINUTES:
        read.refuse(f"{path}.start", "24:00 begins no day", "Give 00:00 of the next day.")
    elif start == end and len(read.problems) == found:
        read.refuse(path, f"start and end are both {body['start']}", "For a whole day give 00:00 to 24:00.")
    if len(read.problems) > found:
        return None
    return TimetableEntry(tuple(sorted(DAYS.index(day) for day in days)), start, end)


def _minutes(read: Reader, body: Body, key: str, path: str) -> int:
    value = body.get(key)
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)|24:00", value) if isinstance(value, str) else None
    if match is None:
        read.refuse(join(path, key), fact(value, "a time of day"), "Give 00:00 to 24:00, as HH:MM.")
        return 0
    return DAY_MINUTES if match[1] is None else int(match[1]) * 60 + int(match[2])


READERS: dict[str, Reading] = {
    "exclusion": _zone_condition(ExclusionCondition),
    "inclusion": _zone_condition(InclusionCondition),
    "restriction": _zone_condition(RestrictionCondition),
    "attendance": _attendance,
    "curfew": _curfew,
    "trail": _trail,
    "alcohol": _alcohol,
}
