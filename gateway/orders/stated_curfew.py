"""A curfew as a message tells of it: hours at addresses, court text, and the night of release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from core.timetable import DAY_MINUTES, DAYS
from gateway.orders import tasks
from gateway.orders.stated import EXCEPTION, Imposed, Named, Span, document_of, span_of, time_told, within
from gateway.orders.wearer import LOCATIONS, StatedWearer
from gateway.orders.words import civil, clock, flag, folded, is_absent, listed, text, time_of_day, weekday


def curfew(
    made: Imposed,
    fields: Mapping[str, Any],
    wearer: StatedWearer | None,
    one: Named,
    condition_id: str,
    zone: ZoneInfo,
) -> None:
    told = span_of(made, fields, ("curfew_start", "curfew_end"), "the curfew's own dates", zone)
    for mine, theirs, what in zip(one.span, told, ("begins", "ends"), strict=True):
        if mine is not None and theirs is not None and mine != theirs:
            made.found.append(
                tasks.contradiction(
                    f"curfew_{what}",
                    f"The curfew {what} at {time_told(mine, zone)} and at {time_told(theirs, zone)}",
                )
            )
    span = tuple(mine if mine is not None else theirs for mine, theirs in zip(one.span, told, strict=True))
    one = Named(one.kind, one.name, (span[0], span[1]))
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
    if EXCEPTION.search(description):
        more["exception"] = description
        made.found.append(tasks.exception("curfew", description))
    made.documents.append(document_of(one, condition_id, "curfew", **more))


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


def release_night(
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
        within(made, "The curfew on the day of release", span, whole, zone)
    else:
        reason = "its date or hours are missing or can not be read"
        made.found.append(tasks.unreadable("conditional_release", told, "a date with hours"))
    name = "Curfew on the day of release"
    document = document_of(
        Named("curfewwithem", name, span), "release-curfew", "curfew", not_monitored=reason, **more
    )
    made.documents.append(document)
