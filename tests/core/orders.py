"""Orders for tests of the law: written as JSON, as a court's would be, and read by the real reader."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.order import Order, order_from_json
from tests.core.wearers import HOME_AT

LONDON = ZoneInfo("Europe/London")
WEEK = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


def midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=LONDON).isoformat()


def entry(start: str, end: str, *days: str) -> dict[str, Any]:
    return {"days": list(days or WEEK), "start": start, "end": end}


def place(name: str = "primary", **changes: Any) -> dict[str, Any]:
    return {"name": name, "latitude": HOME_AT[1], "longitude": HOME_AT[0], "radius_m": 50} | changes


def home(*timetable: dict[str, Any], **changes: Any) -> dict[str, Any]:
    condition = {"id": "curfew-1", "type": "curfew", "address": place(), "timetable": list(timetable)}
    return condition | changes


def sentence(*conditions: dict[str, Any], **changes: Any) -> Order:
    """A community order from Monday 2 November 2026 for twelve weeks, convicted that October, changed at will.

    A change to None leaves the key out.
    """
    document: dict[str, Any] = {
        "order_id": "order-1",
        "version": 1,
        "regime": "community_order",
        "wearer": {"id": "wearer-1", "name": "A. Person"},
        "effective": midnight(date(2026, 11, 2)),
        "start": midnight(date(2026, 11, 2)),
        "end": midnight(date(2027, 1, 25)),
        "conviction": "2026-10-20",
        "conditions": list(conditions),
    }
    document |= changes
    return order_from_json({key: value for key, value in document.items() if value is not None})
