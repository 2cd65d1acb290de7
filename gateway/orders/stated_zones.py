"""Zones as a message tells of them: court text with dates, and nothing that a map could show."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from gateway.orders import tasks
from gateway.orders.stated import (
    EXCEPTION,
    NAME_LENGTH,
    Imposed,
    Named,
    Span,
    document_of,
    span_of,
    time_told,
)
from gateway.orders.words import civil, folded, is_absent, listed, text

ZONE_LISTS = {
    "exclusion_zones": "exclusion",
    "inclusion_zones": "inclusion",
    "restriction_zones": "restriction",
}
_STAY = re.compile(r"\bnot to leave\b|\bmust not leave\b|\bremain (?:in|within|at)\b", re.I)
_LASTS = re.compile(r"\s*(\d{1,3})\s*(day|week|month|year)s?\s*", re.I)


def zones(
    made: Imposed, fields: Mapping[str, Any], named: Sequence[Named], whole: Span, zone: ZoneInfo
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
            made.documents.append(document_of(one, f"zone-{i + 1}", "zone", not_monitored=reason))


def _zone(made: Imposed, entry: Any, kind: str, key: str, outer: Span, zone: ZoneInfo, ids: set[str]) -> None:
    body = entry if isinstance(entry, Mapping) else {"description": entry}
    description = text(body.get("description"))
    about = f"{kind} zone {tasks.shown(description)[:NAME_LENGTH]}"
    mine = span_of(made, body, ("start", "end"), about, zone)
    for edge in ("start", "end"):
        if is_absent(body.get(edge)):
            what = f"the {edge} of the {about}"
            made.found.append(tasks.missing(f"{about}: {edge}", what, "The condition's own is taken."))
    later = [one for one in (outer[0], mine[0]) if one is not None]
    sooner = [one for one in (outer[1], mine[1]) if one is not None]
    span: Span = (max(later, default=None), min(sooner, default=None))
    if span[0] is not None and span[1] is not None and span[1] <= span[0]:
        made.found.append(tasks.ends_before_start(about, time_told(span[0], zone), time_told(span[1], zone)))
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
    if EXCEPTION.search(description):
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
    made.documents.append(document_of(Named(None, _one_line(name), span), condition_id, kind, **more))


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
