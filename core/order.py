"""The order: what a court or prison imposed, typed, and read from JSON with every problem named.

Nothing is silently corrected or ignored: a key that is not known is a problem, and a condition of a type that this
version can not monitor is kept on the order as *unmonitored*, so that a person is told.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from core.problems import Problem, Problems
from core.timetable import DAY_MINUTES, DAYS, CurfewTimetable, TimetableEntry
from core.zones import MAX_LATITUDE, Zone, ZoneError, zone_from_geojson

MAX_RADIUS_M = 5000.0
"""The largest address: a farm or a hospital site. A larger circle is an inclusion zone, not a home."""


class OrderError(Problems):
    """An order refused, with every problem, where it is and what would be right."""


class Regime(StrEnum):
    """Under which law an order was made."""

    COMMUNITY_ORDER = "community_order"
    SUSPENDED_SENTENCE = "suspended_sentence"
    YOUTH_REHABILITATION = "youth_rehabilitation"
    HOME_DETENTION_CURFEW = "home_detention_curfew"
    BAIL = "bail"
    LICENCE = "licence"
    IMMIGRATION = "immigration"


@dataclass(frozen=True, slots=True)
class DeviceWearer:
    """Who wears the tag."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Address:
    """A place to be at: WGS84 degrees, and the radius within which the wearer is at home."""

    name: str
    latitude: float
    longitude: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class ExclusionCondition:
    """A zone to keep out of."""

    id: str
    name: str
    zone: Zone


@dataclass(frozen=True, slots=True)
class CurfewCondition:
    """An address to be at, at the times of a timetable."""

    id: str
    name: str
    address: Address
    timetable: CurfewTimetable


@dataclass(frozen=True, slots=True)
class UnmonitoredCondition:
    """A condition that is on the order but that nothing here watches; a person has to be told."""

    id: str
    type: str
    reason: str


Condition = ExclusionCondition | CurfewCondition


@dataclass(frozen=True, slots=True)
class Order:
    """One version of an order, in force from ``effective_ms`` (UTC ms) until a higher version is."""

    order_id: str
    version: int
    regime: Regime
    wearer: DeviceWearer
    effective_ms: int
    conditions: tuple[Condition, ...]
    unmonitored: tuple[UnmonitoredCondition, ...] = ()


class _Reader:
    """Takes values out of a document and remembers every problem by its path."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(self, path: str, fact: str, remedy: str) -> None:
        self.problems.append(Problem(path, fact, remedy))

    def keys(self, mapping: Mapping[str, object], path: str, *known: str) -> None:
        for key in mapping:
            if key not in known:
                self.refuse(
                    _join(path, str(key)), "this key is not known", f"Known here: {', '.join(known)}."
                )

    def mapping(self, value: object, path: str) -> Mapping[str, Any] | None:
        if isinstance(value, Mapping):
            return value
        self.refuse(path, "missing" if value is None else f"{value!r} is not an object", "Give an object.")
        return None

    def text(self, parent: Mapping[str, Any], key: str, path: str) -> str:
        value = parent.get(key)
        if isinstance(value, str) and value.strip():
            return value
        self.refuse(_join(path, key), _fact(value, "a text"), "Give a text that is not empty.")
        return ""

    def number(self, parent: Mapping[str, Any], key: str, path: str, low: float, high: float) -> float:
        value = parent.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            if low <= value <= high:
                return float(value)
            self.refuse(
                _join(path, key), f"{value} is out of range", f"Give a number from {low:g} to {high:g}."
            )
        else:
            self.refuse(
                _join(path, key), _fact(value, "a number"), f"Give a number from {low:g} to {high:g}."
            )
        return low

    def whole(self, parent: Mapping[str, Any], key: str, path: str) -> int:
        value = parent.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        self.refuse(
            _join(path, key),
            _fact(value, "a whole number from 1"),
            "Give 1 for the first version, then 2, 3 and so on.",
        )
        return 1

    def items(self, parent: Mapping[str, Any], key: str, path: str) -> list[Any]:
        value = parent.get(key)
        if isinstance(value, list | tuple) and value:
            return list(value)
        self.refuse(_join(path, key), "missing or empty", "Give a list with at least one entry.")
        return []

    def instant(self, parent: Mapping[str, Any], key: str, path: str) -> int:
        value = parent.get(key)
        try:
            when = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            when = None
        if when is None or when.tzinfo is None:
            remedy = "Give an instant with its offset, such as 2026-01-01T00:00:00Z."
            self.refuse(_join(path, key), _fact(value, "an instant"), remedy)
            return 0
        return (when.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def order_from_json(document: Mapping[str, object]) -> Order:
    """Read one version of an order. Raises `OrderError` with every problem found."""
    read = _Reader()
    if read.mapping(document, "order") is None:
        raise OrderError(read.problems)
    read.keys(document, "", "order_id", "version", "regime", "wearer", "effective", "conditions")
    order_id = read.text(document, "order_id", "")
    version = read.whole(document, "version", "")
    regime = document.get("regime")
    if not isinstance(regime, str) or regime not in set(Regime):
        read.refuse("regime", _fact(regime, "a regime"), f"Give one of: {', '.join(Regime)}.")
    wearer = read.mapping(document.get("wearer"), "wearer")
    who = None
    if wearer is not None:
        read.keys(wearer, "wearer", "id", "name")
        who = DeviceWearer(read.text(wearer, "id", "wearer"), read.text(wearer, "name", "wearer"))
    effective_ms = read.instant(document, "effective", "")
    conditions: list[Condition] = []
    unmonitored: list[UnmonitoredCondition] = []
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
        if kind in _READERS:
            condition = _READERS[kind](read, body, condition_id, path)
            if condition is not None:
                conditions.append(condition)
        elif kind:
            reason = f"conditions of type {kind!r} are not monitored by this version"
            unmonitored.append(UnmonitoredCondition(condition_id, kind, reason))
    if read.problems or who is None:
        raise OrderError(read.problems)
    return Order(
        order_id, version, Regime(str(regime)), who, effective_ms, tuple(conditions), tuple(unmonitored)
    )


def _exclusion(read: _Reader, body: Mapping[str, Any], condition_id: str, path: str) -> Condition | None:
    read.keys(body, path, "id", "type", "name", "zone")
    name = read.text(body, "name", path)
    try:
        return ExclusionCondition(condition_id, name, zone_from_geojson(body.get("zone"), f"{path}.zone"))
    except ZoneError as error:
        read.problems.extend(error.problems)
        return None


def _curfew(read: _Reader, body: Mapping[str, Any], condition_id: str, path: str) -> Condition | None:
    read.keys(body, path, "id", "type", "name", "address", "timetable")
    name = read.text(body, "name", path) if "name" in body else "curfew"
    place = read.mapping(body.get("address"), f"{path}.address")
    entries = [
        _entry(read, item, f"{path}.timetable[{i}]")
        for i, item in enumerate(read.items(body, "timetable", path))
    ]
    if place is None or None in entries:
        return None
    at = f"{path}.address"
    read.keys(place, at, "name", "latitude", "longitude", "radius_m")
    address = Address(
        read.text(place, "name", at),
        read.number(place, "latitude", at, -MAX_LATITUDE, MAX_LATITUDE),
        read.number(place, "longitude", at, -180, 180),
        read.number(place, "radius_m", at, 1, MAX_RADIUS_M),
    )
    timetable = CurfewTimetable(tuple(entry for entry in entries if entry is not None))
    return CurfewCondition(condition_id, name, address, timetable)


def _entry(read: _Reader, item: object, path: str) -> TimetableEntry | None:
    body = read.mapping(item, path)
    if body is None:
        return None
    read.keys(body, path, "days", "start", "end")
    found = len(read.problems)
    days = read.items(body, "days", path)
    for day in days:
        if day not in DAYS:
            read.refuse(f"{path}.days", f"{day!r} is not a day", f"Give days as {', '.join(DAYS)}.")
    if len(set(map(str, days))) != len(days):
        read.refuse(f"{path}.days", "a day stands twice", "Name each day once.")
    start, end = (_minutes(read, body, key, path) for key in ("start", "end"))
    if start == DAY_MINUTES:
        read.refuse(f"{path}.start", "24:00 begins no day", "Give 00:00 of the next day.")
    elif start == end and len(read.problems) == found:
        read.refuse(path, f"start and end are both {body['start']}", "For a whole day give 00:00 to 24:00.")
    if len(read.problems) > found:
        return None
    return TimetableEntry(tuple(sorted(DAYS.index(day) for day in days)), start, end)


def _minutes(read: _Reader, body: Mapping[str, Any], key: str, path: str) -> int:
    value = body.get(key)
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)|24:00", value) if isinstance(value, str) else None
    if match is None:
        read.refuse(_join(path, key), _fact(value, "a time of day"), "Give 00:00 to 24:00, as HH:MM.")
        return 0
    return DAY_MINUTES if match[1] is None else int(match[1]) * 60 + int(match[2])


_READERS = {"exclusion": _exclusion, "curfew": _curfew}


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _fact(value: object, wanted: str) -> str:
    return "missing" if value is None else f"{value!r} is not {wanted}"
