"""An order as people are shown it: its conditions, where each may not be watched, and what the visit needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from core.conditions import UnmonitoredCondition
from core.order import Condition, CurfewCondition, Order
from core.schedule import ALWAYS_MS
from core.timetable import DAYS, CurfewTimetable
from gateway.orders import words
from gateway.orders.meaning import TIMEZONE, Meaning
from gateway.orders.words import clock

NOT_MONITORED = "NOT MONITORED"


def conditions_told(order: Order) -> list[str]:
    """Each condition in a line, the monitored ones first; an unmonitored one says so first of all."""
    return [
        *(_line(order, one, "") for one in order.conditions),
        *(_line(order, one, f"{NOT_MONITORED}: {one.reason}. ") for one in order.unmonitored),
    ]


def conditions_by_id(order: Order) -> list[str]:
    """The same, each after the id by which it is completed or varied."""
    ids = [one.id for one in (*order.conditions, *order.unmonitored)]
    return [f"{name}: {line}" for name, line in zip(ids, conditions_told(order), strict=True)]


def not_monitored(order: Order) -> list[str]:
    """The conditions that nothing watches, each with why."""
    return [f"{NOT_MONITORED}: {one}" for one in order.unmonitored]


def _line(order: Order, one: Condition | UnmonitoredCondition, status: str) -> str:
    kind = one.type if isinstance(one, UnmonitoredCondition) else _kind(one)
    start = (
        one.from_ms if one.from_ms != -ALWAYS_MS else -ALWAYS_MS if order.start_ms is None else order.start_ms
    )
    end = one.to_ms if one.to_ms != ALWAYS_MS else ALWAYS_MS if order.end_ms is None else order.end_ms
    hours = "; ".join(_hours(one))
    exception = order.exception_to(one.id)
    return (
        f"{status}{kind}, {local(start)} to {local(end)}{f'; {hours}' if hours else ''}"
        f"{'; with an exception in words' if exception else ''}"
    )


def _kind(one: Condition) -> str:
    name = type(one).__name__.removesuffix("Condition").lower()
    mode = getattr(one, "mode", None)
    return name if mode is None else f"{name} ({mode})"


def _hours(one: Condition | UnmonitoredCondition) -> Iterable[str]:
    if isinstance(one, UnmonitoredCondition):
        return [f"{place.name} {timetable_told(place.timetable)}" for place in one.places]
    if isinstance(one, CurfewCondition):
        return [f"{place.address.name} {timetable_told(place.timetable)}" for place in one.places]
    return []


def timetable_told(timetable: CurfewTimetable) -> str:
    """``Mo Tu We 17:00-09:00, Sa Su 19:00-07:00``; every day where it is that."""
    lines = []
    for entry in timetable.entries:
        days = "every day" if len(entry.days) == 7 else " ".join(DAYS[day] for day in entry.days)
        lines.append(f"{days} {clock(entry.start)}-{clock(entry.end)}")
    return ", ".join(lines)


def local(ms: int) -> str:
    """``2025-01-22 10:00``, by the clock on the wall; an open end as such."""
    if abs(ms) == ALWAYS_MS:
        return "open"
    return words.local(ms, ZoneInfo(TIMEZONE))


def stamped(ms: int, unsure_ms: int | None, words: Callable[[int], str]) -> str:
    """When something was stamped, in ``words``, or since when it can have been at the earliest.

    ``unsure_ms``: `gateway.gateway_time.unsure_from_ms`.
    """
    said = words(ms)
    if unsure_ms is None or ms < unsure_ms:
        return said
    return f"not before {said} (this gateway had not been told the time)"


def addresses_told(meaning: Meaning) -> list[str]:
    """The wearer's addresses, as they were written."""
    if meaning.wearer is None:
        return []
    found = [f"{name}: {address}" for name, address in meaning.wearer.addresses.items()]
    return [*found, "no fixed address"] if meaning.wearer.no_fixed_address else found


def duties_told(meaning: Meaning) -> list[str]:
    """What the visit needs: who has to be there, what has to be known before the door, where and when."""
    wearer, visit, parties = meaning.wearer, meaning.visit, meaning.parties
    found: list[str] = []
    if wearer is not None:
        if wearer.adult is False:
            found.append("the wearer is a child")
        adult = wearer.responsible_adult
        if adult.required:
            who = ", ".join(part for part in (adult.name, adult.relation, adult.phone) if part)
            found.append(f"responsible adult: {who or 'required, not named'}")
        if wearer.interpreter_required:
            found.append(f"interpreter: {wearer.language or 'required, language not told'}")
        found += _named("disability", wearer.disabilities)
        risk = wearer.risk
        said = (
            risk.details,
            risk.serious_harm,
            risk.self_harm,
            *risk.categories,
            risk.mappa,
            risk.mappa_category,
        )
        found += _named("risk", said)
    if visit.at_source:
        found.append(f"fit at source{f': {visit.at_source_details}' if visit.at_source_details else ''}")
    if visit.address is not None:
        found.append(f"fit at {visit.address}")
    if visit.planned_ms is not None:
        found.append(f"fit on {local(visit.planned_ms)}")
    found += _named("device", [visit.device_type])
    found += _named(
        "responsible officer", [parties.officer.name, parties.officer.phone, parties.officer.email]
    )
    responsible = parties.responsible
    found += _named(
        "responsible", [responsible.kind, responsible.region, responsible.unit, responsible.email]
    )
    found += _named("imposed by", [parties.notifying.kind, parties.notifying.name, parties.notifying.email])
    return found


def _named(what: str, parts: Iterable[str]) -> list[str]:
    said = ", ".join(part for part in parts if part)
    return [f"{what}: {said}"] if said else []


def summary(meaning: Meaning) -> Mapping[str, Any]:
    """All of it, for programs."""
    order = meaning.order
    return {
        "order": order.order_id,
        "regime": str(order.regime),
        "variation": meaning.is_variation,
        "start": local(-ALWAYS_MS if order.start_ms is None else order.start_ms),
        "end": local(ALWAYS_MS if order.end_ms is None else order.end_ms),
        "wearer": order.wearer.name,
        "conditions": conditions_told(order),
        "addresses": addresses_told(meaning),
        "duties": duties_told(meaning),
        "tasks": [{"kind": one.kind, "about": one.about, "sentence": one.sentence} for one in meaning.found],
        "kept_only": list(meaning.unused),
    }
