"""What every condition of a message shares: its name, its dates, its document; and what is to be seen to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from gateway.clock import utc_text
from gateway.orders import tasks
from gateway.orders.tasks import Finding
from gateway.orders.words import civil, is_absent, local, text

NAME_LENGTH = 80
EXCEPTION = re.compile(r"\b(except|other than|unless|save for|save to|save when|apart from)\b", re.I)
"""What makes court text an exception."""

Span = tuple[int | None, int | None]
"""From when to when, UTC ms; None where it is not told."""


@dataclass(slots=True)
class Imposed:
    """What the conditions of a message say: each as a document, and what is to be seen to."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Named:
    kind: str | None
    name: str
    span: Span


def span_of(
    made: Imposed, body: Mapping[str, Any], keys: tuple[str, str], about: str, zone: ZoneInfo
) -> Span:
    """From when to when, UTC ms; None where it is not told, not readable or contradictory, and then it is told of."""
    found: list[int | None] = []
    for key, ends in zip(keys, (False, True), strict=True):
        value = body.get(key)
        day = civil(value)
        if day is None and not is_absent(value):
            made.found.append(tasks.unreadable(f"{about}: {key}", value, "a date"))
        found.append(None if day is None else day.ms(zone, ends=ends))
    start, end = found
    if start is not None and end is not None and end <= start:
        made.found.append(tasks.ends_before_start(about, text(body.get(keys[0])), text(body.get(keys[1]))))
        end = None
    return start, end


def within(made: Imposed, name: str, span: Span, whole: Span, zone: ZoneInfo) -> None:
    outside = [
        mine is not None and theirs is not None and sign * (mine - theirs) < 0
        for mine, theirs, sign in ((span[0], whole[0], 1), (span[1], whole[1], -1))
    ]
    if any(outside):
        made.found.append(tasks.outside_order(name, *(time_told(ms, zone) for ms in (*span, *whole))))


def document_of(one: Named, condition_id: str, kind: str, **more: Any) -> dict[str, Any]:
    more.setdefault("stated", {})  # this came from the order service: see gateway/orders/completed.py
    dates = {key: utc_text(ms) for key, ms in zip(("from", "to"), one.span, strict=True) if ms is not None}
    return {"id": condition_id, "type": kind, "name": one.name[:NAME_LENGTH], **dates, **more}


def time_told(ms: int | None, zone: ZoneInfo) -> str:
    return "a time that is not told" if ms is None else local(ms, zone)
