"""What an all-knowing court would find in a life: every time at which a condition was truly not kept.

From the `Life` alone, by code that shares nothing with the rules: geometry by `sim.depths`, the order's document and
civil time by `sim.in_force`. What the tag heard, saw or sent does not count here. `hidden` says when nothing could
have been known, whatever the rules: what happens there is no miss, but must not look like all is well.

| family | a happening is |
|---|---|
| exclusion | being inside a zone while it is in force, from coming in to going out |
| inclusion | being outside a zone to be in, or an area not to leave, likewise |
| curfew | being beyond the radius of every address that will do, while it is curfew and no absence was authorised |
| drinking | from the first drink until nothing is left at the skin; ``peak_g_dl`` is what that gave off at most |
| tamper | the strap is opened, until an officer's check; the case is; the sensor is covered; a unit is carried away; |
| | satellites are jammed or forged |
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import numpy as np

from core.readings import F64, I64
from sim.depths import Area, Stay, absences, area_of, circle, stays
from sim.in_force import (
    authorised,
    both,
    clock_ms,
    cut,
    day_of,
    days_between,
    held_times,
    less,
    scheduled,
    union,
    weekly,
)
from sim.life import Life, Span
from sim.skin import given_off
from sim.way import Surroundings

_LOOK_MS = 60_000
"""The skin is looked at so often: it changes by the hour."""
SKIN_LEFT_G_DL = 0.002
"""Below this nothing of a drinking session is left."""
_SKIN_TAIL_MS = 48 * 3_600_000
"""A body is done with any drink of a session, and the skin with it, after this at the latest for 0.3 g/dl."""

EARSHOT_M = 150.0
"""Beacons do not carry further than this (`sim.radio`: less than 100 m over open ground)."""


class Family(StrEnum):
    """Rules that are scored together."""

    EXCLUSION = "exclusion"
    INCLUSION = "inclusion"
    CURFEW = "curfew"
    DRINKING = "drinking"
    TAMPER = "tamper"


class DayTruth(StrEnum):
    """What a calendar that knew everything would say of a civil day."""

    SOBER = "sober"
    NOT_SOBER = "not_sober"
    """Somebody began to drink on it."""
    HIDDEN = "hidden"
    """Nothing could have been known of some of it: the strap was open, the sensor covered, or it was not monitored."""


@dataclass(frozen=True, slots=True)
class Happening:
    """A condition truly not kept, from ``start_ms`` up to ``end_ms`` (UTC ms), without a break.

    ``condition`` is its id in the order, empty for tamper. ``depth_m`` is how deep in a zone, or how far from the zone
    or the address, at the most. ``peak_g_dl`` is the highest level at the skin. ``note`` says what kind of thing it is,
    where a family has several: ``ring`` for a warning ring (which forbids nothing), ``strap``, ``case``, ``sensor`` …
    """

    family: Family
    condition: str
    start_ms: int
    end_ms: int
    depth_m: float = 0.0
    peak_g_dl: float = 0.0
    note: str = ""
    level_g_dl: float = 0.0
    """The level that the order allows at the skin, where it allows any."""

    @property
    def took_ms(self) -> int:
        """How long it lasted."""
        return self.end_ms - self.start_ms


def happenings(life: Life) -> list[Happening]:
    """All that happened in a life, by start and family."""
    found = [*_tampered(life)]
    for condition in life.order["conditions"]:
        held = held_times(life.order, condition, life.start_ms, life.end_ms)
        read, told_by = _READERS.get(condition["type"], (None, frozenset()))
        if held and read is not None and told_by & life.wears:
            found += read(life, condition, held)
    return sorted(found, key=lambda one: (one.start_ms, one.family, one.condition, one.end_ms))


def hidden(life: Life, family: Family) -> list[Span]:
    """When nothing could be known of a family's conditions: the tag is off, off the ankle or without any sky …

    Where a home unit would hear an RF tag, the wearer is known to be at home, or away, all the same: not so for zones.
    """
    if family == Family.DRINKING:
        return cut([*_unproven(life), *life.covered_sensor], life.start_ms, life.end_ms)
    if family == Family.TAMPER:
        # of several devices another tells of it
        if life.wears == {"gps_tag"}:
            return cut(life.flat, life.start_ms, life.end_ms)
        return _far(life) if life.wears == {"rf_tag"} else []
    blind = [Span(life.start_ms, life.end_ms)]
    if "gps_tag" in life.wears:
        blind = union([*_no_sky(life), *life.flat, *life.jammed])
    if family == Family.CURFEW and "rf_tag" in life.wears and life.units:
        for place in range(len(life.units)):
            blind = both(blind, _deaf(life, place))
    unproven = _unproven(life)
    if "gps_tag" not in life.wears:
        # what an officer did to an RF tag is known when a home unit hears it again
        unproven = [
            Span(
                start_ms,
                next((far.end_ms for far in _far(life) if far.start_ms <= end_ms < far.end_ms), end_ms),
            )
            for start_ms, end_ms in unproven
        ]
    return cut([*blind, *unproven], life.start_ms, life.end_ms)


def _unproven(life: Life) -> list[Span]:
    """From when the strap is opened until an officer's check, who finds the case closed too, or comes again."""
    visits = union([*life.off_ankle, *life.case_open])
    return union(
        Span(off.start_ms, next(span.end_ms for span in visits if span.end_ms >= off.end_ms))
        for off in life.off_ankle
    )


def sober_days(life: Life) -> dict[date, bool]:
    """Of every civil day that an alcohol condition held whole: whether nobody began to drink on it."""
    return {day: truth != DayTruth.NOT_SOBER for day, truth in days(life).items()}


def days(life: Life) -> dict[date, DayTruth]:
    """Every civil day of an alcohol condition; one not monitored whole is HIDDEN, unless somebody drank on it."""
    held = union(
        span
        for condition in life.order["conditions"]
        if condition["type"] == "alcohol" and "alcohol_tag" in life.wears
        for span in held_times(life.order, condition, life.start_ms, life.end_ms)
    )
    if not held:
        return {}
    blind = hidden(life, Family.DRINKING)
    drank = {day_of(drink.start_ms) for drink in life.drinks}
    found = {}
    for day in days_between(held[0].start_ms, held[-1].end_ms):
        whole = Span(clock_ms(day, "00:00"), clock_ms(day + timedelta(days=1), "00:00"))
        if day in drank:
            found[day] = DayTruth.NOT_SOBER
        elif both([whole], held) != [whole] or both([whole], blind):
            found[day] = DayTruth.HIDDEN
        else:
            found[day] = DayTruth.SOBER
    return found


# ------------------------------------------------------------------------------------------------------- zones


def _excluded(life: Life, condition: Mapping[str, Any], held: list[Span]) -> Iterator[Happening]:
    area = area_of(condition["zone"])
    held = both(held, scheduled(condition.get("schedule"), life.start_ms, life.end_ms))
    for span in held:
        yield from _stays(Family.EXCLUSION, condition, stays(area, life.way, *span))
        if condition.get("warning_m"):
            around = stays(area, life.way, *span, beyond_m=float(condition["warning_m"]))
            yield from _stays(Family.EXCLUSION, condition, around, "ring")


def _confined(life: Life, condition: Mapping[str, Any], held: list[Span]) -> Iterator[Happening]:
    area = area_of(condition["zone"])
    held = both(held, scheduled(condition.get("schedule"), life.start_ms, life.end_ms))
    for span in held:
        yield from _stays(Family.INCLUSION, condition, absences([area], life.way, *span))
        if condition.get("warning_m"):
            inner = absences([area], life.way, *span, inset_m=float(condition["warning_m"]))
            yield from _stays(Family.INCLUSION, condition, inner, "ring")


def _stays(
    family: Family, condition: Mapping[str, Any], found: Sequence[Stay], note: str = ""
) -> Iterator[Happening]:
    for stay in found:
        yield Happening(
            family, condition["id"], stay.start_ms, stay.end_ms, round(stay.depth_m, 1), note=note
        )


# ------------------------------------------------------------------------------------------------------ curfew


def _curfews(life: Life, condition: Mapping[str, Any], held: list[Span]) -> Iterator[Happening]:
    places = [condition, *condition.get("also", ())]
    times = [weekly(place["timetable"], life.start_ms, life.end_ms) for place in places]
    areas = [_address(place["address"]) for place in places]
    allowed = authorised(life.order, condition["id"])
    found: list[Stay] = []
    for span in less(both(union(span for periods in times for span in periods), held), allowed):
        marks = {span.start_ms, span.end_ms}
        for periods in times:
            marks |= {mark for period in cut(periods, *span) for mark in period}
        edges = sorted(marks)
        away: list[Stay] = []
        for begin, end in itertools.pairwise(edges):
            will_do = [area for area, periods in zip(areas, times, strict=True) if cut(periods, begin, end)]
            away += absences(will_do, life.way, begin, end)
        found += _joined(away)
    for stay in found:
        yield Happening(Family.CURFEW, condition["id"], stay.start_ms, stay.end_ms, round(stay.depth_m, 1))


def _address(address: Mapping[str, Any]) -> Area:
    return circle(address["latitude"], address["longitude"], address["radius_m"])


def _joined(found: Sequence[Stay]) -> list[Stay]:
    """Stays that touch made one: the addresses that will do changed meanwhile."""
    whole: list[Stay] = []
    for stay in found:
        if whole and whole[-1].end_ms >= stay.start_ms:
            last = whole.pop()
            stay = Stay(last.start_ms, stay.end_ms, max(last.depth_m, stay.depth_m))
        whole.append(stay)
    return whole


# ---------------------------------------------------------------------------------------------------- drinking


def _drunk(life: Life, condition: Mapping[str, Any], held: list[Span]) -> Iterator[Happening]:
    level = float(condition.get("limit_tac_g_dl", 0.0))
    for span, t_ms, skin in sessions(life):
        for part in both([span], held):
            inside = (t_ms >= part.start_ms) & (t_ms < part.end_ms)
            peak = float(skin[inside].max(initial=0.0))
            if peak > level:
                yield Happening(
                    Family.DRINKING,
                    condition["id"],
                    *part,
                    peak_g_dl=round(peak, 4),
                    level_g_dl=level,
                )


def sessions(life: Life) -> Iterator[tuple[Span, I64, F64]]:
    """Drinks that run into each other at the skin: from the first until nothing is left; and what was given off."""
    drinks = sorted(life.drinks)
    if not drinks:
        return
    t_ms = np.arange(drinks[0].start_ms, drinks[-1].end_ms + _SKIN_TAIL_MS, _LOOK_MS)
    skin = given_off(life, t_ms)
    clear = t_ms[skin <= SKIN_LEFT_G_DL]
    spans = []
    for drink in drinks:
        # before that it has not come to the skin yet
        quiet_ms = drink.end_ms + round(2000 * life.body.lag_s)
        after = np.searchsorted(clear, quiet_ms)
        spans.append((drink.start_ms, int(clear[after]) if after < len(clear) else int(t_ms[-1])))
    for span in union(spans):
        mine = slice(*np.searchsorted(t_ms, span).tolist())
        yield span, t_ms[mine], skin[mine]


# ------------------------------------------------------------------------------------------------------ tamper


def _tampered(life: Life) -> Iterator[Happening]:
    kinds: list[tuple[str, Sequence[tuple[int, ...]]]] = [
        ("strap", life.off_ankle),
        ("case", life.case_open),
        ("sensor", life.covered_sensor if "alcohol_tag" in life.wears else ()),
        ("jamming", life.jammed if "gps_tag" in life.wears else ()),
        ("forgery", [span[:2] for span in life.forged] if "gps_tag" in life.wears else ()),
    ]
    kinds += [("unit", unit.moved) for unit in life.units]
    for note, spans in kinds:
        for start_ms, end_ms in cut([(one[0], one[1]) for one in spans], life.start_ms, life.end_ms):
            yield Happening(Family.TAMPER, "", start_ms, end_ms, note=note)


# ------------------------------------------------------------------------------------------------------ hidden


def _no_sky(life: Life) -> list[Span]:
    way = life.way
    ends = np.append(way.start_ms[1:], way.end_ms)
    deep = np.flatnonzero(way.surroundings == Surroundings.DEEP)
    return union(zip(way.start_ms[deep].tolist(), ends[deep].tolist(), strict=True))


def _far(life: Life) -> list[Span]:
    """When no home unit can hear the wearer's beacons, so that nobody hears what the tag says of itself."""
    areas = [circle(unit.place.lat, unit.place.lon, EARSHOT_M) for unit in life.units]
    if not areas:
        return [Span(life.start_ms, life.end_ms)]
    return [
        Span(stay.start_ms, stay.end_ms) for stay in absences(areas, life.way, life.start_ms, life.end_ms)
    ]


def _deaf(life: Life, place: int) -> list[Span]:
    """When a home unit tells nothing of the wearer."""
    unit = life.units[place]
    return cut([*unit.no_mains, *unit.off, *unit.moved], life.start_ms, life.end_ms)


_Reader = Callable[[Life, Mapping[str, Any], list[Span]], Iterator[Happening]]
_READERS: dict[str, tuple[_Reader, frozenset[str]]] = {
    "exclusion": (_excluded, frozenset({"gps_tag"})),
    "inclusion": (_confined, frozenset({"gps_tag"})),
    "restriction": (_confined, frozenset({"gps_tag"})),
    "curfew": (_curfews, frozenset({"gps_tag", "rf_tag"})),
    "alcohol": (_drunk, frozenset({"alcohol_tag"})),
}
"""By type of condition: how it is looked at, and which kinds of device can tell of it at all."""
