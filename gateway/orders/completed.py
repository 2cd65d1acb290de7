"""What a person has completed stays when the order service changes something else of an order.

A person finds an address's place, draws a zone, enters a timetable: the condition is then monitored. The next message
says the same words without any of that. Where its words are the same, what was completed holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.orders.completing import UNTYPED_ZONE, ZONES

Document = Mapping[str, Any]


def carried_over(
    before: Sequence[Document], stated: Sequence[Document]
) -> tuple[list[dict[str, Any]], set[tuple[str, str]]]:
    """The conditions of the next version, and the findings (kind, about) that are settled by what was completed.

    ``before`` are those of the last version, ``stated`` those of the message. A condition that a person has added, and
    of which the message says nothing, stays.
    """
    known = {str(one.get("id")): one for one in before}
    found: list[dict[str, Any]] = []
    settled: set[tuple[str, str]] = set()
    open_still: set[tuple[str, str]] = set()
    for one in stated:
        mine = known.get(str(one["id"]))
        whole = None if mine is None or "not_monitored" in mine else _completed(mine, one)
        found.append(dict(one) if whole is None else whole)
        if "not_monitored" in one:
            (open_still if whole is None else settled).update(settles(one))
    ids = {str(one["id"]) for one in stated}
    # what came from the order service carries its words (`stated`), whatever they are
    added = [dict(one) for one in before if "stated" not in one and str(one.get("id")) not in ids]
    return [*found, *added], settled - open_still


def _completed(mine: Document, one: Document) -> dict[str, Any] | None:
    if "not_monitored" not in one:
        return None
    words, said = mine.get("stated", {}), one.get("stated", {})
    dates = {key: one[key] for key in ("from", "to") if key in one}
    kept = {key: value for key, value in mine.items() if key not in ("from", "to", "stated", "exception")}
    more = {key: one[key] for key in ("stated", "exception") if key in one}
    if mine["type"] != "curfew":
        # what the message left open, whether to keep out of a zone or to stay in it, a person has found out
        alike = mine["type"] == one["type"] or (one["type"] == UNTYPED_ZONE and mine["type"] in ZONES)
        same = words.get("court_text") == said.get("court_text") and alike
        return {**kept, **dates, **more} if same else None
    if "hours" not in one:
        same = words.get("court_text") == said.get("court_text") and words.get("addresses") == said.get(
            "addresses"
        )
        return {**kept, **dates, **more} if same else None
    places = []
    by_name = {place["address"]["name"]: place for place in (mine, *mine.get("also", ()))}
    for hours in one["hours"]:
        name = hours["address"]
        place = by_name.get(name)
        if place is None or words.get("addresses", {}).get(name) != said.get("addresses", {}).get(name):
            return None
        places.append({"address": place["address"], "timetable": hours["timetable"]})
    kept = {key: value for key, value in kept.items() if key not in ("address", "timetable", "also")}
    return {**kept, **places[0], **({"also": places[1:]} if places[1:] else {}), **dates, **more}


def settles(one: Document) -> set[tuple[str, str]]:
    """The findings (kind, about) that are gone once a condition that was NOT MONITORED is completed."""
    names = [hours["address"] for hours in one.get("hours", ())]
    return {
        ("court_text", str(one["id"])),
        *([("missing", "zones")] if one["type"] == UNTYPED_ZONE else []),
        *([("no_timetable", "curfew")] if one["type"] == "curfew" else []),
        *((kind, f"curfew address {name}") for name in names for kind in ("no_place", "no_address")),
        *(((kind, "alcohol") for kind in ("no_level", "alcohol_mode")) if one["type"] == "alcohol" else ()),
    }
