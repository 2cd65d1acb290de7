"""The conditions of an order's message, as the document of a typed order words them (docs/orders.md).

A condition that can not be watched yet says so (``not_monitored``) and why; nothing is left out, and nothing that is
only text is read as a place or an hour.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from core.timetable import DAY_MINUTES, DAYS
from gateway.clock import utc_text
from gateway.orders import tasks
from gateway.orders.tasks import Finding
from gateway.orders.wearer import LOCATIONS, StatedWearer
from gateway.orders.words import (
    civil,
    clock,
    flag,
    folded,
    is_absent,
    listed,
    local,
    text,
    time_of_day,
    weekday,
)

CURFEW, ZONE, TRAIL, NOT_FITTED, ALCOHOL, LICENCE_ALCOHOL = (
    *("curfewwithem", "emexclusioninclusionzone", "locationmonitoringfitteddevice"),
    *("locationmonitoringusingnonfitteddevice", "aamr", "aml"),
)
_KNOWN = {
    **{CURFEW: CURFEW, "curfew": CURFEW, "curfewwithelectronicmonitoring": CURFEW},
    **{
        ZONE: ZONE,
        "emexclusionzone": ZONE,
        "eminclusionzone": ZONE,
        "exclusionzone": ZONE,
        "inclusionzone": ZONE,
    },
    **{TRAIL: TRAIL, NOT_FITTED: NOT_FITTED, "trailmonitoring": TRAIL},
    **{ALCOHOL: ALCOHOL, LICENCE_ALCOHOL: LICENCE_ALCOHOL},
}
ZONE_LISTS = {
    "exclusion_zones": "exclusion",
    "inclusion_zones": "inclusion",
    "restriction_zones": "restriction",
}
_EXCEPTION = re.compile(r"\b(except|other than|unless|save for|save to|save when|apart from)\b", re.I)
_STAY = re.compile(r"\bnot to leave\b|\bmust not leave\b|\bremain (?:in|within|at)\b", re.I)
_LASTS = re.compile(r"\s*(\d{1,3})\s*(day|week|month|year)s?\s*", re.I)
_NAME_LENGTH = 80

Span = tuple[int | None, int | None]


@dataclass(slots=True)
class Imposed:
    """What the conditions of a message say: each as a document, and what is to be seen to."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Named:
    kind: str | None
    name: str
    span: Span


def conditions_of(
    fields: Mapping[str, Any], wearer: StatedWearer | None, whole: Span, zone: ZoneInfo
) -> Imposed:
    """Every condition of an order's message. ``whole`` is the order's own span, UTC ms; None where it is not known."""
    made = Imposed()
    named = [_named(made, entry, whole, zone) for entry in listed(fields.get("enforceable_condition"))]
    curfews = [one for one in named if one.kind == CURFEW]
    for i, one in enumerate(curfews):
        _curfew(made, fields, wearer, one, "curfew" if i == 0 else f"curfew-{i + 1}", zone)
    _release(made, fields, wearer, bool(curfews), whole, zone)
    _zones(made, fields, [one for one in named if one.kind == ZONE], whole, zone)
    for i, one in enumerate(one for one in named if one.kind == TRAIL):
        _trail(made, fields, one, "trail" if i == 0 else f"trail-{i + 1}")
    for i, one in enumerate(one for one in named if one.kind in (ALCOHOL, LICENCE_ALCOHOL)):
        _alcohol(made, fields, one, "alcohol" if i == 0 else f"alcohol-{i + 1}")
    for one in named:
        if one.kind is None or one.kind == NOT_FITTED:
            _other(made, one)
    _left_over(made, fields, named, curfews)
    if not made.documents:
        made.found.append(tasks.no_condition())
        reason = "the order names no condition that is known here"
        made.documents.append({"id": "none", "type": "unknown", "not_monitored": reason, "stated": {}})
    return made


def _named(made: Imposed, entry: Any, whole: Span, zone: ZoneInfo) -> _Named:
    body = entry if isinstance(entry, Mapping) else {"condition": entry}
    name = text(body.get("condition"))
    if not name:
        made.found.append(tasks.unreadable("enforceable_condition", entry, "a condition with its name"))
        return _Named(None, "a condition without a name", whole)
    kind = _KNOWN.get(folded(name))
    span = span_of(made, body, ("start_date", "end_date"), name, zone)
    for key in ("start_date", "end_date"):
        if is_absent(body.get(key)):
            made.found.append(
                tasks.missing(f"{name}: {key}", f"{key} of {name}", "The order's own is taken.")
            )
    _within(made, name, span, whole, zone)
    return _Named(kind, name, span)


def _within(made: Imposed, name: str, span: Span, whole: Span, zone: ZoneInfo) -> None:
    outside = [
        mine is not None and theirs is not None and sign * (mine - theirs) < 0
        for mine, theirs, sign in ((span[0], whole[0], 1), (span[1], whole[1], -1))
    ]
    if any(outside):
        made.found.append(tasks.outside_order(name, *(_told(ms, zone) for ms in (*span, *whole))))


def span_of(
    made: Imposed, body: Mapping[str, Any], keys: tuple[str, str], about: str, zone: ZoneInfo
) -> Span:
    """From when to when, UTC ms; None where it is not told, not readable or contradictory, and then it is told of."""
    found: list[int | None] = []
    for key, ends in zip(keys, (False, True), strict=True):
        value = body.get(key)
        day = civil(value)
        if day is None and not is_absent(value):
            made.found.append(tasks.unreadable(f"{about}: {key}", value, "a date"))
        found.append(None if day is None else day.ms(zone, ends=ends))
    start, end = found
    if start is not None and end is not None and end <= start:
        made.found.append(tasks.ends_before_start(about, text(body.get(keys[0])), text(body.get(keys[1]))))
        end = None
    return start, end


def _document(one: _Named, condition_id: str, kind: str, **more: Any) -> dict[str, Any]:
    more.setdefault("stated", {})  # this came from the order service: see gateway/orders/completed.py
    dates = {key: utc_text(ms) for key, ms in zip(("from", "to"), one.span, strict=True) if ms is not None}
    return {"id": condition_id, "type": kind, "name": one.name[:_NAME_LENGTH], **dates, **more}


def _told(ms: int | None, zone: ZoneInfo) -> str:
    return "a time that is not told" if ms is None else local(ms, zone)


# --- curfew ---


def _curfew(
    made: Imposed,
    fields: Mapping[str, Any],
    wearer: StatedWearer | None,
    one: _Named,
    condition_id: str,
    zone: ZoneInfo,
) -> None:
    told = span_of(made, fields, ("curfew_start", "curfew_end"), "the curfew's own dates", zone)
    for mine, theirs, what in zip(one.span, told, ("begins", "ends"), strict=True):
        if mine is not None and theirs is not None and mine != theirs:
            made.found.append(
                tasks.contradiction(
                    f"curfew_{what}", f"The curfew {what} at {_told(mine, zone)} and at {_told(theirs, zone)}"
                )
            )
    span = tuple(mine if mine is not None else theirs for mine, theirs in zip(one.span, told, strict=True))
    one = _Named(one.kind, one.name, (span[0], span[1]))
    description = text(fields.get("curfew_description"))
    hours = [_hours(made, entry) for entry in listed(fields.get("curfew_duration"))]
    places = _together([place for place in hours if place is not None])
    addresses = {} if wearer is None else wearer.addresses
    stated: dict[str, Any] = {"court_text": description} if description else {}
    stated["addresses"] = {name: str(addresses[name]) for name in (places or addresses) if name in addresses}
    if not places:
        made.found.append(tasks.no_timetable(description))
        reason = "no timetable"
    else:
        reason = "its address has no place on the map yet"
        for name in places:
            if name in addresses:
                made.found.append(tasks.no_place(name, str(addresses[name])))
            else:
                no_home = wearer is not None and wearer.no_fixed_address is True
                made.found.append(tasks.no_address(name, no_home))
    _same_hours(made, places)
    more: dict[str, Any] = {"not_monitored": reason, "stated": stated}
    if places:
        more["hours"] = [{"address": name, "timetable": table} for name, table in places.items()]
    if description and places:
        made.found.append(tasks.court_words("curfew", description))
    if _EXCEPTION.search(description):
        more["exception"] = description
        made.found.append(tasks.exception("curfew", description))
    made.documents.append(_document(one, condition_id, "curfew", **more))


def _hours(made: Imposed, entry: Any) -> tuple[str, list[dict[str, Any]]] | None:
    if not isinstance(entry, Mapping):
        made.found.append(tasks.unreadable("curfew_duration", entry, "hours at an address"))
        return None
    said = text(entry.get("location"))
    name = folded(said).removesuffix("address")
    if name not in LOCATIONS:
        if is_absent(entry.get("location")):
            made.found.append(
                tasks.missing("curfew_duration", "at which address the curfew is", "Ask the sender.")
            )
        else:
            made.found.append(tasks.unknown_word("curfew_duration: location", said, ", ".join(LOCATIONS)))
        name = name or "not told"
    allday = entry.get("allday")
    whole = flag(allday)
    if whole is None and not is_absent(allday):
        made.found.append(tasks.unreadable("curfew_duration: allday", allday, "yes or no"))
    table: dict[tuple[str, str], list[int]] = {}
    for line in listed(entry.get("schedule")):
        read = _line(made, line, bool(whole))
        if read is not None:
            day, start, end = read
            days = table.setdefault((start, end), [])
            if day not in days:
                days.append(day)
    if whole and not table:
        table["00:00", "24:00"] = list(range(7))
    if not table:
        if is_absent(entry.get("schedule")):
            what = f"the hours at the {name} address"
            made.found.append(tasks.missing(f"curfew_duration: {name}", what, "Nothing holds there."))
        return None
    return name, [
        {"days": [DAYS[day] for day in sorted(days)], "start": start, "end": end}
        for (start, end), days in table.items()
    ]


def _line(made: Imposed, line: Any, whole: bool) -> tuple[int, str, str] | None:
    if not isinstance(line, Mapping):
        made.found.append(tasks.unreadable("curfew_duration: schedule", line, "a day with its hours"))
        return None
    day = weekday(line.get("day"))
    if day is None:
        made.found.append(tasks.unreadable("curfew_duration: day", line.get("day"), "a day of the week"))
        return None
    if whole and is_absent(line.get("start")) and is_absent(line.get("end")):
        return day, "00:00", "24:00"
    start, end = time_of_day(line.get("start")), time_of_day(line.get("end"), ends=True)
    if start is None or end is None or start == DAY_MINUTES:
        wrong = {key: line.get(key) for key in ("day", "start", "end")}
        said = ", ".join(f"{key} {text(value) or 'missing'}" for key, value in wrong.items())
        made.found.append(tasks.unreadable(f"curfew_duration: {DAYS[day]}", said, "a curfew period"))
        return None
    if start == end:
        what = f"On {DAYS[day]} the curfew begins and ends at {clock(start)}"
        made.found.append(tasks.contradiction(f"curfew_duration: {DAYS[day]}", what))
        return None
    return day, clock(start), clock(end)


def _together(hours: Sequence[tuple[str, list[dict[str, Any]]]]) -> dict[str, list[dict[str, Any]]]:
    places: dict[str, list[dict[str, Any]]] = {}
    for name, table in hours:
        mine = places.setdefault(name, [])
        mine += [line for line in table if line not in mine]
    return places


def _same_hours(made: Imposed, places: Mapping[str, Any]) -> None:
    tables = list(places.items())
    for i, (name, table) in enumerate(tables):
        for other, theirs in tables[i + 1 :]:
            if table == theirs:
                what = f"The {name} and the {other} address have the same hours; either will do"
                made.found.append(tasks.contradiction(f"curfew_duration: {name}, {other}", what))


def _release(
    made: Imposed,
    fields: Mapping[str, Any],
    wearer: StatedWearer | None,
    has_curfew: bool,
    whole: Span,
    zone: ZoneInfo,
) -> None:
    """The curfew on the day of release: one night, with hours of its own."""
    keys = ("conditional_release_date", "conditional_release_start_time", "conditional_release_end_time")
    if all(is_absent(fields.get(key)) for key in keys):
        return
    day = civil(fields.get(keys[0]))
    start, end = time_of_day(fields.get(keys[1])), time_of_day(fields.get(keys[2]), ends=True)
    told = ", ".join(
        f"{key.removeprefix('conditional_')} {text(fields.get(key)) or 'missing'}" for key in keys
    )
    if not has_curfew and is_absent(fields.get(keys[1])) and is_absent(fields.get(keys[2])):
        if day is None:
            made.found.append(tasks.unreadable(keys[0], fields.get(keys[0]), "a date"))
        return  # a release date alone imposes nothing
    readable = day is not None and None not in (start, end) and start not in (end, DAY_MINUTES)
    more: dict[str, Any] = {"stated": {"court_text": told}}
    span: Span = (None, None)
    if readable:
        assert day is not None
        assert start is not None
        assert end is not None
        begins = civil(f"{day.day} {clock(start)}")
        after = day.day.toordinal() + (1 if end <= start else 0)
        ends = civil(f"{type(day.day).fromordinal(after)} {clock(end)}") or day
        assert begins is not None
        span = begins.ms(zone), ends.ms(zone, ends=end == DAY_MINUTES)
        line = {"days": [DAYS[day.day.weekday()]], "start": clock(start), "end": clock(end)}
        more["hours"] = [{"address": "primary", "timetable": [line]}]
        reason = "its address has no place on the map yet"
        addresses = {} if wearer is None else wearer.addresses
        more["stated"]["addresses"] = {"primary": str(addresses["primary"])} if "primary" in addresses else {}
        made.found.append(tasks.release_night(told))
        _within(made, "The curfew on the day of release", span, whole, zone)
    else:
        reason = "its date or hours are missing or can not be read"
        made.found.append(tasks.unreadable("conditional_release", told, "a date with hours"))
    name = "Curfew on the day of release"
    document = _document(_Named(CURFEW, name, span), "release-curfew", "curfew", not_monitored=reason, **more)
    made.documents.append(document)


# --- zones ---


def _zones(
    made: Imposed, fields: Mapping[str, Any], named: Sequence[_Named], whole: Span, zone: ZoneInfo
) -> None:
    starts = [one.span[0] for one in named]
    ends = [one.span[1] for one in named]
    outer: Span = whole
    if named:
        outer = (
            None if None in starts else min(one for one in starts if one is not None),
            None if None in ends else max(one for one in ends if one is not None),
        )
    ids: set[str] = set()
    described = False
    for key, kind in ZONE_LISTS.items():
        if named and not isinstance(fields.get(key), list) and key != "restriction_zones":
            made.found.append(tasks.missing(key, f"whether there are {kind} zones", "The list is missing."))
        for entry in listed(fields.get(key)):
            described = True
            _zone(made, entry, kind, key, outer, zone, ids)
    if described and not named:
        made.found.append(
            tasks.contradiction("exclusion_zones", "Zones are described, yet no condition asks for them")
        )
    if named and not described:
        made.found.append(tasks.missing("zones", "which zones there are", "The condition names none."))
        for i, one in enumerate(named):
            reason = "the order describes no zone"
            made.documents.append(_document(one, f"zone-{i + 1}", "zone", not_monitored=reason))


def _zone(made: Imposed, entry: Any, kind: str, key: str, outer: Span, zone: ZoneInfo, ids: set[str]) -> None:
    body = entry if isinstance(entry, Mapping) else {"description": entry}
    description = text(body.get("description"))
    about = f"{kind} zone {tasks.shown(description)[:_NAME_LENGTH]}"
    mine = span_of(made, body, ("start", "end"), about, zone)
    for edge in ("start", "end"):
        if is_absent(body.get(edge)):
            what = f"the {edge} of the {about}"
            made.found.append(tasks.missing(f"{about}: {edge}", what, "The condition's own is taken."))
    later = [one for one in (outer[0], mine[0]) if one is not None]
    sooner = [one for one in (outer[1], mine[1]) if one is not None]
    span: Span = (max(later, default=None), min(sooner, default=None))
    if span[0] is not None and span[1] is not None and span[1] <= span[0]:
        made.found.append(tasks.ends_before_start(about, _told(span[0], zone), _told(span[1], zone)))
        span = span[0], None
    base = condition_id = f"{kind}-{hashlib.sha256(folded(description).encode()).hexdigest()[:8]}"
    n = 1
    while condition_id in ids:
        n += 1
        condition_id = f"{base}-{n}"
    ids.add(condition_id)
    stated = {"court_text": description}
    odd = [key for key in ("description", "duration") if not is_absent(body.get(key)) and not text(body[key])]
    made.found += [tasks.unreadable(f"{about}: {key}", body[key], "a text") for key in odd]
    duration = text(body.get("duration"))
    if duration:
        stated["duration"] = duration
        _lasting(made, duration, body, about)
    name = description or f"{kind} zone without a description"
    more: dict[str, Any] = {"not_monitored": "it is court text, without a place on the map", "stated": stated}
    if not description:
        made.found.append(
            tasks.missing(condition_id, f"which {kind} zone is meant", "It has no description.")
        )
    else:
        made.found.append(tasks.court_text(condition_id, kind, description))
    if _EXCEPTION.search(description):
        more["exception"] = description
        made.found.append(tasks.exception(condition_id, description))
    if kind == "exclusion" and _STAY.search(description):
        what = f"It stands among the exclusion zones, yet it asks to stay inside: {tasks.shown(description)}"
        made.found.append(tasks.contradiction(condition_id, what))
    unread = sorted(set(body) - {"description", "start", "end", "duration"})
    made.found += [
        tasks.not_understood(f"{key}: {text(name)}", body[name])
        for name in unread
        if not is_absent(body[name])
    ]
    made.documents.append(_document(_Named(ZONE, _one_line(name), span), condition_id, kind, **more))


def _lasting(made: Imposed, duration: str, body: Mapping[str, Any], about: str) -> None:
    """Where a length of time is told, it has to agree with the dates; a few days may be counted either way."""
    found, start, end = _LASTS.fullmatch(duration), civil(body.get("start")), civil(body.get("end"))
    if found is None or start is None or end is None:
        return
    days = int(found[1]) * {"day": 1, "week": 7, "month": 30.44, "year": 365.25}[found[2].casefold()]
    if abs((end.day - start.day).days - days) > 4:
        what = f"The {about} is to last {duration}, yet its dates are {start.day} to {end.day}"
        made.found.append(tasks.contradiction(f"duration of {about}", what))


def _one_line(name: str) -> str:
    return " ".join(name.split())


# --- the others ---


def _trail(made: Imposed, fields: Mapping[str, Any], one: _Named, condition_id: str) -> None:
    if flag(fields.get("trail_monitoring")) is False:
        what = (
            "The order imposes location monitoring, yet trail_monitoring says no; it is monitored as imposed"
        )
        made.found.append(tasks.contradiction("trail_monitoring", what))
    made.documents.append(_document(one, condition_id, "trail"))


def _alcohol(made: Imposed, fields: Mapping[str, Any], one: _Named, condition_id: str) -> None:
    value = fields.get("abstinence")
    abstains = flag(value)
    if abstains:
        made.documents.append(_document(one, condition_id, "alcohol", mode="abstinence"))
        return
    if abstains is False:
        made.found.append(tasks.no_level())
        reason = "the level that the order allows is not stated"
    else:
        made.found.append(tasks.alcohol_mode(value))
        reason = "whether it is abstinence or a level is not stated"
    made.documents.append(_document(one, condition_id, "alcohol", not_monitored=reason))


def _other(made: Imposed, one: _Named) -> None:
    digest = hashlib.sha256(folded(one.name).encode()).hexdigest()[:8]
    if one.kind == NOT_FITTED:
        made.found.append(tasks.not_fitted(one.name))
        kind, reason = "location_not_fitted", "devices that are not fitted are not monitored by this version"
    else:
        made.found.append(tasks.condition_unknown(one.name))
        kind, reason = "unknown", "what it asks is not known here"
    taken = {document["id"] for document in made.documents}
    condition_id, n = f"other-{digest}", 1
    while condition_id in taken:
        n += 1
        condition_id = f"other-{digest}-{n}"
    made.documents.append(_document(one, condition_id, kind, not_monitored=reason))


def _left_over(
    made: Imposed, fields: Mapping[str, Any], named: Sequence[_Named], curfews: Sequence[_Named]
) -> None:
    """What is told of a condition that is not imposed."""
    kinds = {one.kind for one in named}
    if not curfews:
        for key in ("curfew_duration", "curfew_description", "curfew_start", "curfew_end"):
            if not is_absent(fields.get(key)):
                what = f"{key} says {tasks.shown(fields[key])}, yet no curfew is imposed"
                made.found.append(tasks.contradiction(key, what))
    value = fields.get("trail_monitoring")
    if flag(value) and TRAIL not in kinds:
        what = "trail_monitoring says yes, yet no location monitoring is imposed; the trail is not to be looked at"
        made.found.append(tasks.contradiction("trail_monitoring", what))
    if flag(value) is None and not is_absent(value):
        made.found.append(tasks.unreadable("trail_monitoring", value, "yes or no"))
    if flag(fields.get("abstinence")) and not kinds & {ALCOHOL, LICENCE_ALCOHOL}:
        made.found.append(
            tasks.contradiction("abstinence", "abstinence says yes, yet no alcohol monitoring is imposed")
        )
