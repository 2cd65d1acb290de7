"""An order as the document that a gateway takes in, where a test is not about what else an order can say."""

from __future__ import annotations

from typing import Any

WEEK = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]


def every_day(start: str, end: str) -> list[dict[str, Any]]:
    """A timetable: from ``start`` to ``end``, by the clock on the wall, on each day of the week."""
    return [{"days": WEEK, "start": start, "end": end}]


def community_order(order_id: str, /, *conditions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A community order of 2026 with these conditions; ``changes`` are other keys, or other values of these."""
    return {
        "order_id": order_id,
        "version": 1,
        "regime": "community_order",
        "wearer": {"id": order_id, "name": "Alex Example"},
        "effective": "2026-01-01T00:00:00Z",
        "conditions": list(conditions),
    } | changes
