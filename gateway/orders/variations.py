"""What a variation makes of an order, and what each kind of it may touch.

A variation says what kind it is; whatever else it would change on the way is refused and named, so that a change of
address never moves an hour unseen.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from core.alerts import instant_ms
from core.order import OrderError, order_from_json
from gateway.clock import utc_text
from gateway.orders import written_hours
from gateway.orders.kinds import Kind
from gateway.orders.next_version import Change, Document
from gateway.orders.register import OrderRefused

ZONES = ("exclusion", "inclusion", "restriction", "attendance")
DISCOUNTS = "absences and excuses are recorded by `tagwatch order absence`, `excuse` and `take-back`"

_ABOUT = {
    Kind.ADDRESS: "the address of a curfew and its boundary area",
    Kind.HOURS: "the hours of a curfew",
    Kind.NEW_ZONE: "zones that it adds",
    Kind.ZONE: "zones that the order has",
    Kind.SUSPENSION: "the suspensions",
    Kind.DEVICE: "the device, which the order does not name",
    Kind.CONDITION: "the conditions",
    Kind.PERSON: "the name of the wearer",
}


def of_kind(kind: Kind, change: Change) -> Change:
    """The change, refused where it touches what its kind is not about. ADMIN ERROR and OTHER may touch everything but
    what is discounted.
    """

    def checked(document: Document) -> Document:
        before = copy.deepcopy(document)
        after = change(document)
        if before.get("discounts") != after.get("discounts"):
            raise OrderRefused(DISCOUNTS)
        kept = _REST.get(kind)
        if kept is None:
            return after
        was, becomes = kept(copy.deepcopy(before), before), kept(copy.deepcopy(after), before)
        others = _differences(was, becomes)
        if others:
            raise OrderRefused(
                f"a “{kind}” is about {_ABOUT[kind]} only, and this changes {', '.join(others)}: make that a change of "
                "its own, of its own kind"
            )
        return after

    return checked


def _curfews(document: Document) -> list[dict[str, Any]]:
    return [one for one in document["conditions"] if one.get("type") == "curfew"]


def _places(condition: dict[str, Any]) -> list[dict[str, Any]]:
    return [condition, *condition.get("also", ())]


def _but_addresses(document: Document, _: Document) -> Document:
    for one in _curfews(document):
        one.pop("boundary_area", None)
        for place in _places(one):
            place.pop("address", None)
    return document


def _but_hours(document: Document, _: Document) -> Document:
    for one in _curfews(document):
        for place in (*_places(one), *one.get("hours", ())):
            place.pop("timetable", None)
    return document


def _but_new_zones(document: Document, before: Document) -> Document:
    known = {one["id"] for one in before["conditions"]}
    document["conditions"] = [
        one for one in document["conditions"] if one.get("id") in known or one.get("type") not in ZONES
    ]
    return document


def _but_zones(document: Document, before: Document) -> Document:
    """Zones that were there may become others, or go; of new ones this is not about."""
    kinds = {one["id"]: one["type"] for one in before["conditions"] if one.get("type") in ZONES}
    document["conditions"] = [
        one for one in document["conditions"] if kinds.get(one.get("id")) != one.get("type", "")
    ]
    return document


def _but(*keys: str) -> Callable[[Document, Document], Document]:
    def strip(document: Document, _: Document) -> Document:
        return {key: value for key, value in document.items() if key not in keys}

    return strip


def _but_name(document: Document, _: Document) -> Document:
    document["wearer"] = {key: value for key, value in document["wearer"].items() if key != "name"}
    return document


_REST: Mapping[Kind, Callable[[Document, Document], Document]] = {
    Kind.ADDRESS: _but_addresses,
    Kind.HOURS: _but_hours,
    Kind.NEW_ZONE: _but_new_zones,
    Kind.ZONE: _but_zones,
    Kind.SUSPENSION: _but("suspensions"),
    Kind.DEVICE: _but(),
    Kind.CONDITION: _but("conditions"),
    Kind.PERSON: _but_name,
}
"""Of each kind what has to stay as it is."""


def _differences(was: Document, becomes: Document) -> list[str]:
    """What differs, as people name it."""
    found = [
        key.replace("_", " ")
        for key in sorted((was.keys() | becomes.keys()) - {"version", "effective", "conditions"})
        if was.get(key) != becomes.get(key)
    ]
    mine, theirs = ({one.get("id"): one for one in said.get("conditions", ())} for said in (was, becomes))
    for name in sorted({*mine, *theirs}, key=str):
        old, new = mine.get(name), theirs.get(name)
        if old is None or new is None:
            found.append(f"condition {name} ({'added' if old is None else 'taken out'})")
        elif old != new:
            keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            found.append(f"{', '.join(keys)} of condition {name}")
    return found


# --- what people ask for most; anything else is a document of the whole order ---


def whole(given: Mapping[str, Any]) -> Change:
    """The next version as a document of the whole order; what it does not say of absences and suspensions stays."""

    def change(document: Document) -> Document:
        if given.get("order_id") not in (None, document["order_id"]):
            raise OrderRefused(f"the document is of order {given['order_id']}, not of {document['order_id']}")
        names = ("suspensions", "discounts", "conviction")
        kept: Document = {key: document[key] for key in names if key in document}
        own = {key: document[key] for key in ("order_id", "version", "effective")}
        made = {**kept, **copy.deepcopy(dict(given)), **own}
        try:
            order_from_json(made)  # what each kind may touch is asked of orders only
        except OrderError as error:
            raise OrderRefused(f"the document can not be used: {error}") from error
        return made

    return change


def hours(text: str, condition: str | None, address: str | None) -> Change:
    """Other hours at one address of a curfew: the only one, or the one that is named. Raises HoursError."""
    table = written_hours.timetable([text])

    def change(document: Document) -> Document:
        place = _one_place(document, condition, address)
        place["timetable"] = copy.deepcopy(table)
        return document

    return change


def address(
    latitude: float,
    longitude: float,
    radius_m: float | None,
    condition: str | None,
    address_name: str | None,
) -> Change:
    """One address of a curfew elsewhere; it keeps its name, and its radius where none is given."""

    def change(document: Document) -> Document:
        place = _one_place(document, condition, address_name)
        if "address" not in place or isinstance(place["address"], str):
            raise OrderRefused(
                "this curfew has no place on the map yet: complete it with `tagwatch order complete`"
            )
        place["address"] |= {"latitude": latitude, "longitude": longitude}
        if radius_m is not None:
            place["address"]["radius_m"] = radius_m
        return document

    return change


def _one_place(document: Document, condition: str | None, address_name: str | None) -> dict[str, Any]:
    curfews = [one for one in _curfews(document) if condition in (None, one["id"])]
    if len(curfews) != 1:
        names = ", ".join(one["id"] for one in _curfews(document)) or "none"
        wanted = "which curfew is meant" if condition is None else f"there is no curfew {condition}"
        raise OrderRefused(f"{wanted} (of the order: {names}): name it with --condition")
    if "not_monitored" in curfews[0]:
        listed = curfews[0].get("hours", [])
        found = [one for one in listed if address_name in (None, one["address"])]
        names = ", ".join(str(one["address"]) for one in listed) or "none yet"
    else:
        places = _places(curfews[0])
        found = [one for one in places if address_name in (None, one["address"]["name"])]
        names = ", ".join(one["address"]["name"] for one in places)
    if len(found) != 1:
        raise OrderRefused(
            f"which address of curfew {curfews[0]['id']} is meant (it has: {names}): name it with --address"
        )
    chosen: dict[str, Any] = found[0]
    return chosen


def new_zone(condition: Mapping[str, Any]) -> Change:
    """One zone more."""

    def change(document: Document) -> Document:
        same = next((one for one in document["conditions"] if one["id"] == condition["id"]), None)
        if same is None:
            document["conditions"].append(copy.deepcopy(dict(condition)))
        elif same != condition:
            raise OrderRefused(
                f"the order has a condition {condition['id']} already: give the zone another id"
            )
        return document

    return change


def zone(condition: str, geometry: Mapping[str, Any]) -> Change:
    """A zone of the order, drawn otherwise."""

    def change(document: Document) -> Document:
        found = [one for one in document["conditions"] if one["id"] == condition and "zone" in one]
        if not found:
            raise OrderRefused(f"the order has no zone {condition}: see `tagwatch order show`")
        found[0]["zone"] = copy.deepcopy(dict(geometry))
        return document

    return change


def called(name: str) -> Change:
    """The wearer by another name."""
    return lambda document: document | {"wearer": {**document["wearer"], "name": name}}


def suspended(from_ms: int, to_ms: int, reason: str) -> Change:
    """Nothing is monitored between two instants."""
    entry = {"from": utc_text(from_ms), "to": utc_text(to_ms), "reason": reason}

    def change(document: Document) -> Document:
        listed = document.get("suspensions", [])
        return document if entry in listed else document | {"suspensions": [*listed, entry]}

    return change


def resumed(at_ms: int) -> Change:
    """Suspensions that last at ``at_ms``, or begin later, are over then."""
    at = utc_text(at_ms)

    def change(document: Document) -> Document:
        listed = document.get("suspensions", [])
        kept = [
            one if instant_ms(one["to"]) <= at_ms else one | {"to": at}
            for one in listed
            if instant_ms(one["from"]) < at_ms
        ]
        ended = {key: value for key, value in document.items() if key != "suspensions"}
        return ended | ({"suspensions": kept} if kept else {})

    return change


def ended(at_ms: int) -> Change:
    """The order ends at ``at_ms``; where it ends before, it stays so."""

    def change(document: Document) -> Document:
        end = document.get("end")
        if end is not None and instant_ms(end) <= at_ms:
            return document
        return document | {"end": utc_text(at_ms)}

    return change


def discounted(entry: Mapping[str, Any]) -> Change:
    """Time that a practitioner discounts. The same time for the same reason by the same person is one entry."""
    words = ("from", "to", "kind", "reason", "condition", "by")

    def change(document: Document) -> Document:
        listed = document.get("discounts", [])
        if any(all(one.get(key) == entry.get(key) for key in words) for one in listed):
            return document
        named = entry.get("condition")
        if named is not None and named not in {one["id"] for one in document["conditions"]}:
            raise OrderRefused(f"the order has no condition {named}: see `tagwatch order show`")
        return document | {"discounts": [*listed, dict(entry)]}

    return change


def taken_back(entry: Mapping[str, Any]) -> Change:
    """Without this entry of what is discounted; the versions that had it keep it."""

    def change(document: Document) -> Document:
        kept = [one for one in document.get("discounts", []) if one != entry]
        rest = {key: value for key, value in document.items() if key != "discounts"}
        return rest | ({"discounts": kept} if kept else {})

    return change
