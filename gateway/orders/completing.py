"""A person completes what an order leaves open: a place, hours, a zone, a level. Pure: documents in, a document out.

Only what is NOT MONITORED is completed; what is monitored already is changed by a variation, with its own rules.
Who has completed what, and why, stands with
the change (`gateway.orders.next_version`).

Nothing is guessed from the words of the court, and nothing is completed by halves: a condition is watched as a whole,
or it stays NOT MONITORED and says what is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.orders.register import OrderRefused

ZONES = ("exclusion", "inclusion", "restriction")
UNTYPED_ZONE = "zone"
"""A zone of which the message did not even say whether to keep out of it or to stay in it."""
_NOT_HERE = ("unknown", "location_not_fitted")

Document = Mapping[str, Any]


class CompletionError(OrderRefused):
    """The condition can not be completed so; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class DrawnZone:
    """A zone as it goes into the order: GeoJSON, whether to keep out or to stay in (None: as the order says), when."""

    geometry: Document
    kind: str | None = None
    warning_m: float | None = None
    schedule: Document | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address is: WGS84 degrees, and the metres within which the wearer is at home."""

    latitude: float
    longitude: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Given:
    """What a person gives to complete one condition. ``places`` and ``hours`` are by the name of the address."""

    zone: DrawnZone | None = None
    places: Mapping[str, Place] = field(default_factory=dict)
    hours: Mapping[str, Sequence[Document]] = field(default_factory=dict)
    limit_tac_g_dl: float | None = None
    abstinence: bool = False

    @property
    def what(self) -> str:
        """In words, for the record."""
        parts = {
            "the zone": self.zone is not None,
            "the place": bool(self.places),
            "the hours": bool(self.hours),
            "the level": self.limit_tac_g_dl is not None,
            "abstinence": self.abstinence,
        }
        return " and ".join(name for name, given in parts.items() if given) or "nothing"


def completed(conditions: Sequence[Document], condition_id: str, given: Given) -> list[dict[str, Any]]:
    """The order's conditions with one of them completed. Raises CompletionError."""
    mine = _open(conditions, condition_id)
    kind = str(mine["type"])
    if kind in _NOT_HERE:
        raise CompletionError(
            f"condition {condition_id} can not be completed: {mine['not_monitored']}. What it asks can be added as a "
            "zone (`tagwatch zone add`) or by a typed order (`tagwatch order add`)"
        )
    if kind in (*ZONES, UNTYPED_ZONE):
        more = _zone(mine, given)
    elif kind == "curfew":
        more = _curfew(mine, given)
    elif kind == "alcohol":
        more = _alcohol(mine, given)
    else:
        raise CompletionError(
            f"condition {condition_id} is of type {kind}, which this version can not monitor, whatever is added"
        )
    base = {key: value for key, value in mine.items() if key not in ("not_monitored", "hours")}
    whole = base | more
    return [whole if one is mine else dict(one) for one in conditions]


def added_zone(
    conditions: Sequence[Document], name: str, zone: DrawnZone, dates: Document
) -> tuple[list[dict[str, Any]], str]:
    """The conditions with a zone that the order did not name before, and the new condition's id."""
    if zone.kind is None:
        raise CompletionError("say what the zone is: --exclusion, --inclusion or --restriction")
    if not name.strip():
        raise CompletionError("give the zone a --name: it stands in every alert")
    condition_id = f"{zone.kind}-{hashlib.sha256(name.strip().casefold().encode()).hexdigest()[:8]}"
    if condition_id in {str(one.get("id")) for one in conditions}:
        raise CompletionError(
            f"the order has a zone of that name already ({condition_id}): give another --name, or complete that one by "
            "--condition"
        )
    mine = {"id": condition_id, "type": zone.kind, "name": name.strip(), **dates, **_drawn(zone)}
    return [*map(dict, conditions), mine], condition_id


def _open(conditions: Sequence[Document], condition_id: str) -> Document:
    by_id = {str(one.get("id")): one for one in conditions}
    waiting = [name for name, one in by_id.items() if "not_monitored" in one]
    listed = (
        f"NOT MONITORED are: {', '.join(waiting)}" if waiting else "nothing of this order is NOT MONITORED"
    )
    mine = by_id.get(condition_id)
    if mine is None:
        raise CompletionError(f"the order has no condition {condition_id}; {listed}")
    if "not_monitored" not in mine:
        raise CompletionError(
            f"condition {condition_id} is monitored as it stands, and changing it is a variation of the order "
            f"(`tagwatch order vary`), no completion; {listed}"
        )
    return mine


def _only(mine: Document, given: Given, *wanted: str) -> None:
    """Refuse what does not belong to a condition of this type."""
    known = {
        "zone": given.zone is not None,
        "place": bool(given.places),
        "hours": bool(given.hours),
        "level": given.limit_tac_g_dl is not None or given.abstinence,
    }
    odd = [name for name, told in known.items() if told and name not in wanted]
    if odd:
        raise CompletionError(
            f"condition {mine['id']} is of type {mine['type']} and takes no {' and no '.join(odd)}: it takes "
            f"{' and '.join(wanted)}"
        )


def _zone(mine: Document, given: Given) -> dict[str, Any]:
    _only(mine, given, "zone")
    zone = given.zone
    if zone is None:
        raise CompletionError(f"condition {mine['id']} needs a zone: a FILE of GeoJSON, or a circle")
    if mine["type"] == UNTYPED_ZONE:
        if zone.kind is None:
            raise CompletionError(
                f"the order does not say what condition {mine['id']} asks: give --exclusion, --inclusion or "
                "--restriction, as the court meant it"
            )
        return {"type": zone.kind, **_drawn(zone)}
    if zone.kind not in (None, mine["type"]):
        raise CompletionError(
            f"condition {mine['id']} is of type {mine['type']} in the order, and {zone.kind} was given: what the court "
            "imposed is not changed by drawing it. Leave it out, or have the order varied"
        )
    return _drawn(zone)


def _drawn(zone: DrawnZone) -> dict[str, Any]:
    more: dict[str, Any] = {"zone": dict(zone.geometry)}
    if zone.warning_m is not None:
        more["warning_m"] = zone.warning_m
    if zone.schedule is not None:
        more["schedule"] = dict(zone.schedule)
    return more


def _curfew(mine: Document, given: Given) -> dict[str, Any]:
    _only(mine, given, "place", "hours")
    stated = {str(one["address"]): one["timetable"] for one in mine.get("hours", ())}
    both = sorted(set(stated) & set(given.hours))
    if both:
        raise CompletionError(
            f"the order states hours at the {both[0]} address already: other hours than the court's are a variation "
            "(`tagwatch order vary`)"
        )
    hours = stated | {name: list(lines) for name, lines in given.hours.items()}
    if not hours:
        raise CompletionError(
            f"condition {mine['id']} needs hours: --hours 'Mo-Fr 19:00-07:00', or --hours-file"
        )
    homeless = [name for name in hours if name not in given.places]
    if homeless:
        raise CompletionError(
            f"the {' and the '.join(homeless)} address has hours and no place: give --at LATITUDE,LONGITUDE"
            + (", or --place NAME=LATITUDE,LONGITUDE for each" if len(hours) > 1 else "")
            + ". A curfew is watched at all of its addresses or not at all"
        )
    idle = [name for name in given.places if name not in hours]
    if idle:
        raise CompletionError(
            f"a place was given for the {idle[0]} address, and no hours hold there: the order has hours at "
            f"{', '.join(hours)}"
        )
    places = [
        {
            "address": {
                "name": name,
                "latitude": given.places[name].latitude,
                "longitude": given.places[name].longitude,
                "radius_m": given.places[name].radius_m,
            },
            "timetable": [dict(line) for line in timetable],
        }
        for name, timetable in hours.items()
    ]
    return {**places[0], **({"also": places[1:]} if places[1:] else {})}


def _alcohol(mine: Document, given: Given) -> dict[str, Any]:
    _only(mine, given, "level")
    if given.abstinence and given.limit_tac_g_dl is not None:
        raise CompletionError("abstinence has no level: give one or the other, as the court has it")
    if given.abstinence:
        return {"mode": "abstinence"}
    if given.limit_tac_g_dl is None:
        raise CompletionError(
            f"condition {mine['id']} needs what the court allows: --limit-tac G_PER_DL, or --abstinence. No default "
            "stands in for a court"
        )
    return {"mode": "limit", "limit_tac_g_dl": given.limit_tac_g_dl}
