"""The order: what a court or prison imposed, typed, and read from JSON with every problem named (docs/orders.md).

Nothing is silently corrected or ignored: a key that is not known is a problem, and a condition of a type that this
version can not monitor is kept on the order as *unmonitored*, so that a person is told. Whether an order is lawful is
another question (`core.law`): a doubtful one is monitored as it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from core.condition_reader import MAX_RADIUS_M, READERS, interval_of, unmonitored
from core.conditions import (
    Address,
    AlcoholCondition,
    AlcoholMode,
    AttendanceCondition,
    Condition,
    CurfewCondition,
    CurfewPlace,
    ExclusionCondition,
    InclusionCondition,
    RestrictionCondition,
    TrailCondition,
    UnmonitoredCondition,
    ZoneCondition,
)
from core.document import Reader, fact
from core.problems import Problems
from core.schedule import ALWAYS_MS, Interval, Schedule, without

__all__ = [
    "MAX_RADIUS_M",
    "Address",
    "AlcoholCondition",
    "AlcoholMode",
    "AttendanceCondition",
    "Condition",
    "CurfewCondition",
    "CurfewPlace",
    "DeviceWearer",
    "DiscountKind",
    "DiscountedTime",
    "ExclusionCondition",
    "InclusionCondition",
    "Order",
    "OrderError",
    "Regime",
    "RestrictionCondition",
    "Schedule",
    "StatedException",
    "Suspension",
    "TrailCondition",
    "UnmonitoredCondition",
    "ZoneCondition",
    "order_from_json",
]


class OrderError(Problems):
    """An order refused, with every problem, where it is and what would be right."""


class Regime(StrEnum):
    """Under which law an order was made; ``UNKNOWN`` where the message that brought it does not say."""

    COMMUNITY_ORDER = "community_order"
    SUSPENDED_SENTENCE = "suspended_sentence"
    YOUTH_REHABILITATION = "youth_rehabilitation"
    HOME_DETENTION_CURFEW = "home_detention_curfew"
    BAIL = "bail"
    LICENCE = "licence"
    IMMIGRATION = "immigration"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DeviceWearer:
    """Who wears the tag."""

    id: str
    name: str


class DiscountKind(StrEnum):
    """Why time away does not count: agreed beforehand, or accepted afterwards."""

    AUTHORISED_ABSENCE = "authorised_absence"
    REASONABLE_EXCUSE = "reasonable_excuse"


@dataclass(frozen=True, slots=True)
class DiscountedTime:
    """Time that a practitioner discounts, UTC ms; ``condition`` is the id of the one meant, None means all.

    ``by`` says who has discounted it and ``recorded_ms`` when, where that is on record; None: from the beginning.
    """

    from_ms: int
    to_ms: int
    kind: DiscountKind
    reason: str
    condition: str | None = None
    by: str = ""
    recorded_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Suspension:
    """Time (UTC ms) in which the order is suspended: nothing of it is monitored."""

    from_ms: int
    to_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class StatedException:
    """What the court excepts from a condition, in its words ("except to attend court").

    It is shown with an alert of that condition, for a person to weigh; it never suppresses one.
    """

    condition: str
    text: str


@dataclass(frozen=True, slots=True)
class Order:
    """One version of an order, in force from ``effective_ms`` (UTC ms) until a higher version is.

    start_ms, end_ms
        When the order as a whole begins and ends, UTC ms, whichever version; None where it was not told.
    conviction
        The civil date of conviction, on which statutory limits depend; None where it was not told.
    suspensions, discounts
        The whole list each time: those of the version known last hold, whatever an earlier version says.
    atv_allowance_min
        Unexcused minutes absent that the order allows before they count as a violation; None for the rule set's.
    """

    order_id: str
    version: int
    regime: Regime
    wearer: DeviceWearer
    effective_ms: int
    conditions: tuple[Condition, ...]
    unmonitored: tuple[UnmonitoredCondition, ...] = ()
    start_ms: int | None = None
    end_ms: int | None = None
    conviction: date | None = None
    suspensions: tuple[Suspension, ...] = ()
    discounts: tuple[DiscountedTime, ...] = ()
    atv_allowance_min: int | None = None
    exceptions: tuple[StatedException, ...] = ()

    def exception_to(self, condition_id: str) -> str:
        """What the court excepts from a condition, in its words; '' where it excepts nothing."""
        return next((one.text for one in self.exceptions if one.condition == condition_id), "")

    def dates_of(self, condition: Condition | UnmonitoredCondition) -> Interval:
        """From when to when this version has ``condition`` in force, suspensions apart (UTC ms)."""
        start = -ALWAYS_MS if self.start_ms is None else self.start_ms
        end = ALWAYS_MS if self.end_ms is None else self.end_ms
        return max(start, condition.from_ms), min(end, condition.to_ms)

    def in_force(
        self, condition: Condition, from_ms: int, to_ms: int, suspensions: tuple[Suspension, ...]
    ) -> list[Interval]:
        """When between two instants ``condition`` is in force, less the suspensions; ascending, not empty."""
        start, end = self.dates_of(condition)
        start, end = max(start, from_ms), min(end, to_ms)
        taken = [(suspension.from_ms, suspension.to_ms) for suspension in suspensions]
        return without([(start, end)], taken) if start < end else []


_KEYS = (
    *("order_id", "version", "regime", "wearer", "effective", "start", "end", "conviction"),
    *("suspensions", "discounts", "atv_allowance_min", "conditions"),
)


def order_from_json(document: Mapping[str, object]) -> Order:
    """Read one version of an order. Raises `OrderError` with every problem found."""
    read = Reader()
    if read.mapping(document, "order") is None:
        raise OrderError(read.problems)
    read.keys(document, "", *_KEYS)
    order_id = read.text(document, "order_id", "")
    version = read.whole(document, "version", "", "Give 1 for the first version, then 2, 3 and so on.")
    regime = document.get("regime")
    if not isinstance(regime, str) or regime not in set(Regime):
        read.refuse("regime", fact(regime, "a regime"), f"Give one of: {', '.join(Regime)}.")
    wearer = read.mapping(document.get("wearer"), "wearer")
    who = None
    if wearer is not None:
        read.keys(wearer, "wearer", "id", "name")
        who = DeviceWearer(read.text(wearer, "id", "wearer"), read.text(wearer, "name", "wearer"))
    effective_ms = read.instant(document, "effective", "")
    start_ms, end_ms = read.span(document, "", "start", "end", -ALWAYS_MS, ALWAYS_MS)
    conviction = read.day(document, "conviction", "") if "conviction" in document else None
    allowance = None
    if "atv_allowance_min" in document:
        allowance = read.whole(document, "atv_allowance_min", "", "Give minutes as a whole number.", 0)
    conditions, unwatched, exceptions = _conditions(read, document)
    known = {condition.id for condition in (*conditions, *unwatched)}
    suspensions = tuple(_suspension(read, *item) for item in _objects(read, document, "suspensions"))
    discounts = tuple(_discount(read, *item, known) for item in _objects(read, document, "discounts"))
    if read.problems or who is None:
        raise OrderError(read.problems)
    return Order(
        order_id,
        version,
        Regime(str(regime)),
        who,
        effective_ms,
        tuple(conditions),
        tuple(unwatched),
        None if start_ms == -ALWAYS_MS else start_ms,
        None if end_ms == ALWAYS_MS else end_ms,
        conviction,
        suspensions,
        discounts,
        allowance,
        tuple(exceptions),
    )


def _conditions(
    read: Reader, document: Mapping[str, object]
) -> tuple[list[Condition], list[UnmonitoredCondition], list[StatedException]]:
    conditions: list[Condition] = []
    unwatched: list[UnmonitoredCondition] = []
    exceptions: list[StatedException] = []
    seen: set[str] = set()
    for i, item in enumerate(read.items(document, "conditions", "")):
        path = f"conditions[{i}]"
        body = read.mapping(item, path)
        if body is None:
            continue
        condition_id = read.text(body, "id", path)
        if condition_id in seen:
            read.refuse(f"{path}.id", f"{condition_id!r} stands twice", "Give every condition its own id.")
        seen.add(condition_id)
        kind = read.text(body, "type", path)
        if "exception" in body:
            exceptions.append(StatedException(condition_id, read.text(body, "exception", path)))
        if "stated" in body:
            read.mapping(body["stated"], f"{path}.stated")
        # what the court said is kept and shown; it changes nothing of what is watched
        body = {key: value for key, value in body.items() if key not in ("exception", "stated")}
        if kind and "not_monitored" in body:
            unwatched.append(unmonitored(read, body, condition_id, kind, path))
        elif kind in READERS:
            condition = READERS[kind](read, body, condition_id, path)
            if condition is not None:
                conditions.append(condition)
        elif kind:
            reason = f"conditions of type {kind!r} are not monitored by this version"
            unwatched.append(UnmonitoredCondition(condition_id, kind, reason))
    return conditions, unwatched, exceptions


def _objects(read: Reader, document: Mapping[str, object], key: str) -> list[tuple[Mapping[str, Any], str]]:
    """Every object of a list that may be left out, with its path."""
    found = []
    for i, item in enumerate(read.items(document, key, "") if key in document else []):
        body = read.mapping(item, f"{key}[{i}]")
        if body is not None:
            found.append((body, f"{key}[{i}]"))
    return found


def _suspension(read: Reader, body: Mapping[str, Any], path: str) -> Suspension:
    read.keys(body, path, "from", "to", "reason")
    return Suspension(*interval_of(read, body, path), read.text(body, "reason", path))


def _discount(read: Reader, body: Mapping[str, Any], path: str, known: set[str]) -> DiscountedTime:
    read.keys(body, path, "from", "to", "kind", "reason", "condition", "by", "recorded")
    dates = interval_of(read, body, path)
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in set(DiscountKind):
        read.refuse(f"{path}.kind", fact(kind, "a kind"), f"Give one of: {', '.join(DiscountKind)}.")
        kind = DiscountKind.AUTHORISED_ABSENCE
    condition = read.text(body, "condition", path) if "condition" in body else None
    if condition and condition not in known:
        read.refuse(f"{path}.condition", f"{condition!r} is no condition", "Give the id of a condition.")
    reason, by = read.text(body, "reason", path), read.text(body, "by", path) if "by" in body else ""
    recorded_ms = read.instant(body, "recorded", path) if "recorded" in body else None
    return DiscountedTime(*dates, DiscountKind(kind), reason, condition, by, recorded_ms)
