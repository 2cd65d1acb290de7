"""The conditions of an order's message, as the document of a typed order words them (docs/orders.md).

A condition that can not be watched yet says so (``not_monitored``) and why; nothing is left out, and nothing that is
only text is read as a place or an hour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from gateway.orders import tasks
from gateway.orders.stated import Imposed, Named, Span, document_of, span_of, within
from gateway.orders.stated_curfew import curfew, release_night
from gateway.orders.stated_zones import zones
from gateway.orders.wearer import StatedWearer
from gateway.orders.words import flag, folded, is_absent, listed, text

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


def conditions_of(
    fields: Mapping[str, Any], wearer: StatedWearer | None, whole: Span, zone: ZoneInfo
) -> Imposed:
    """Every condition of an order's message. ``whole`` is the order's own span, UTC ms; None where it is not known."""
    made = Imposed()
    named = [_named(made, entry, whole, zone) for entry in listed(fields.get("enforceable_condition"))]
    curfews = [one for one in named if one.kind == CURFEW]
    for i, one in enumerate(curfews):
        curfew(made, fields, wearer, one, "curfew" if i == 0 else f"curfew-{i + 1}", zone)
    release_night(made, fields, wearer, bool(curfews), whole, zone)
    zones(made, fields, [one for one in named if one.kind == ZONE], whole, zone)
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


def _named(made: Imposed, entry: Any, whole: Span, zone: ZoneInfo) -> Named:
    body = entry if isinstance(entry, Mapping) else {"condition": entry}
    name = text(body.get("condition"))
    if not name:
        made.found.append(tasks.unreadable("enforceable_condition", entry, "a condition with its name"))
        return Named(None, "a condition without a name", whole)
    kind = _KNOWN.get(folded(name))
    span = span_of(made, body, ("start_date", "end_date"), name, zone)
    for key in ("start_date", "end_date"):
        if is_absent(body.get(key)):
            made.found.append(
                tasks.missing(f"{name}: {key}", f"{key} of {name}", "The order's own is taken.")
            )
    within(made, name, span, whole, zone)
    return Named(kind, name, span)


def _trail(made: Imposed, fields: Mapping[str, Any], one: Named, condition_id: str) -> None:
    if flag(fields.get("trail_monitoring")) is False:
        what = (
            "The order imposes location monitoring, yet trail_monitoring says no; it is monitored as imposed"
        )
        made.found.append(tasks.contradiction("trail_monitoring", what))
    made.documents.append(document_of(one, condition_id, "trail"))


def _alcohol(made: Imposed, fields: Mapping[str, Any], one: Named, condition_id: str) -> None:
    value = fields.get("abstinence")
    abstains = flag(value)
    if abstains:
        made.documents.append(document_of(one, condition_id, "alcohol", mode="abstinence"))
        return
    if abstains is False:
        made.found.append(tasks.no_level())
        reason = "the level that the order allows is not stated"
    else:
        made.found.append(tasks.alcohol_mode(value))
        reason = "whether it is abstinence or a level is not stated"
    made.documents.append(document_of(one, condition_id, "alcohol", not_monitored=reason))


def _other(made: Imposed, one: Named) -> None:
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
    made.documents.append(document_of(one, condition_id, kind, not_monitored=reason))


def _left_over(
    made: Imposed, fields: Mapping[str, Any], named: Sequence[Named], curfews: Sequence[Named]
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
