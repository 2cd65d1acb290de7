"""What a person has completed stays when the order service changes something else of an order.

A person finds an address's place, draws a zone, enters a timetable: the condition is then monitored. The next message
says the same words without any of that. Where its words are the same, what was completed holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.orders.completing import UNTYPED_ZONE, ZONES

Document = Mapping[str, Any]


STATED = ("regime", "wearer", "start", "end", "atv_allowance_min")
"""What a message says of the order as a whole."""


def taken_over(
    held: Document, was: Document | None, says: Document
) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """The order as a message leaves it, and the findings (kind, about) that people have settled.

    ``held`` is the version that would hold, ``says`` what the message means by itself, and ``was`` what the one before
    it meant (None where that is not known). What both say alike is left as people have it, be it completed, varied
    or taken out; what the message says anew holds, with what people have completed where its words are the same.
    """
    made = dict(held)
    for key in STATED:
        if was is None or was.get(key) != says.get(key):
            made.pop(key, None)
            if key in says:
                made[key] = says[key]
    # a suspension that was stated once is not taken away by a message about something else
    known = [] if was is None else was.get("suspensions", [])
    fresh = [one for one in says.get("suspensions", []) if one not in (*known, *held.get("suspensions", []))]
    if fresh:
        made["suspensions"] = [*held.get("suspensions", []), *fresh]
    before = {} if was is None else {str(one["id"]): one for one in was["conditions"]}
    made["conditions"], settled = _conditions(held.get("conditions", ()), before, says["conditions"])
    return made, settled


def _conditions(
    held: Sequence[Document], before: Mapping[str, Document], stated: Sequence[Document]
) -> tuple[list[dict[str, Any]], set[tuple[str, str]]]:
    known = {str(one.get("id")): one for one in held}
    found: list[dict[str, Any]] = []
    settled: set[tuple[str, str]] = set()
    open_still: set[tuple[str, str]] = set()
    for one in stated:
        mine, old = known.get(str(one["id"])), before.get(str(one["id"]))
        if old == one:
            whole = mine  # where people have taken it out, it stays out
        else:
            whole = None if mine is None or "not_monitored" in mine else _completed(mine, old, one)
            whole = one if whole is None else whole
        if whole is not None:
            found.append(dict(whole))
        if "not_monitored" in one:
            is_open = whole is not None and "not_monitored" in whole
            (open_still if is_open else settled).update(settles(one))
    ids = {str(one["id"]) for one in stated}
    # what came from the order service carries its words (`stated`), whatever they are
    added = [dict(one) for one in held if "stated" not in one and str(one.get("id")) not in ids]
    return [*found, *added], settled - open_still


def _completed(mine: Document, old: Document | None, one: Document) -> dict[str, Any] | None:
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
    told = {hours["address"]: hours["timetable"] for hours in (old or {}).get("hours", ())}
    for hours in one["hours"]:
        name = hours["address"]
        place = by_name.get(name)
        if place is None or words.get("addresses", {}).get(name) != said.get("addresses", {}).get(name):
            return None
        # hours that people have varied hold while the message tells the same ones as before
        same_hours = told.get(name) == hours["timetable"]
        places.append(
            {
                "address": place["address"],
                "timetable": place["timetable"] if same_hours else hours["timetable"],
            }
        )
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
