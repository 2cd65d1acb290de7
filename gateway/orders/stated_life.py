"""What a message says of an order's end and its suspension: acted on where the dates are stated, else a task.

A message says the whole order each time, so one that tells of no revocation any more has none. A suspension
that was stated stays, because the next message is about something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from core.alerts import instant_ms
from gateway.clock import utc_text
from gateway.orders import tasks
from gateway.orders.stated import Span
from gateway.orders.tasks import Finding
from gateway.orders.words import civil, folded, is_absent, local, text

SUSPENSION = "ordersuspension"
LAST_MS = 4_102_358_400_000
"""2099-12-31: until further notice."""


@dataclass(slots=True)
class StatedLife:
    """``end_ms``: when the order ends; ``ended_ms`` the same where that is early; what it was suspended; which fields
    were acted on."""

    end_ms: int | None
    ended_ms: int | None = None
    suspensions: list[dict[str, str]] = field(default_factory=list)
    acted_on: set[str] = field(default_factory=set)
    found: list[Finding] = field(default_factory=list)


def life_of(
    fields: Mapping[str, Any],
    whole: Span,
    documents: Sequence[Mapping[str, Any]],
    is_variation: bool,
    effective_ms: int,
    zone: ZoneInfo,
) -> StatedLife:
    """When a message ends its order, or suspends it. ``documents`` are the order's versions until now."""
    made = StatedLife(whole[1])
    _revoked(made, fields, whole[0], zone)
    _ends_early(made, fields, documents, zone)
    if folded(fields.get("order_variation_type")) == SUSPENSION:
        _suspended(made, fields, is_variation, effective_ms, zone)
    return made


def _revoked(made: StatedLife, fields: Mapping[str, Any], start_ms: int | None, zone: ZoneInfo) -> None:
    value = fields.get("revocation_date")
    day = civil(value)
    if day is None:
        if not is_absent(value):
            made.found.append(tasks.unreadable("revocation_date", value, "a date"))
        return
    at_ms = day.ms(zone, ends=True)
    if start_ms is not None and at_ms <= start_ms:
        what = f"The order is revoked at {local(at_ms, zone)}, before it begins at {local(start_ms, zone)}"
        made.found.append(tasks.contradiction("revocation_date", what))
        return
    if made.end_ms is None or at_ms < made.end_ms:
        made.end_ms = at_ms
    made.ended_ms = made.end_ms
    made.acted_on |= {"revocation_date", "revocation_type", "reason_for_order_ending_early"}


def _ends_early(
    made: StatedLife, fields: Mapping[str, Any], documents: Sequence[Mapping[str, Any]], zone: ZoneInfo
) -> None:
    """An order that ends early, for a reason that is told, ends when it says; where that is not early it is a task."""
    if is_absent(fields.get("reason_for_order_ending_early")) or made.end_ms is None:
        return
    planned = civil(fields.get("planned_order_end_date"))
    before = [instant_ms(one["end"]) for one in documents if "end" in one]
    is_early = any(made.end_ms < one for one in before) or (
        planned is not None and made.end_ms < planned.ms(zone, ends=True)
    )
    if is_early:
        made.ended_ms = made.end_ms
        made.acted_on.add("reason_for_order_ending_early")


def _suspended(
    made: StatedLife, fields: Mapping[str, Any], is_variation: bool, effective_ms: int, zone: ZoneInfo
) -> None:
    kind = fields.get("order_variation_type")
    if not is_variation or civil(fields.get("order_variation_date")) is None:
        made.found.append(tasks.not_acted_on("order_variation_type", kind))
        return
    to_ms = LAST_MS if made.end_ms is None else made.end_ms
    if effective_ms >= to_ms:
        made.found.append(tasks.not_acted_on("order_variation_type", kind))
        return
    reason = text(fields.get("order_variation_details")) or "suspended by the order service's message"
    made.suspensions.append({"from": utc_text(effective_ms), "to": utc_text(to_ms), "reason": reason[:200]})
    # the message has no field for its end
    made.found.append(tasks.suspended(local(effective_ms, zone)))
