"""When and where a tag may not keep a position waiting: derived from its wearers' orders, as the tag reads it. Pure.

*When* is every curfew of the coming days, in UTC, whichever address keeps it; *where* is a circle around each exclusion
zone and a distance beyond. A tag takes 64 intervals and 8 circles of up to 100 km. Where there are more intervals it
gets the first; where there are more circles, those that are nearest to the wearer's last position or home; of a zone
that one circle can not hold, the part that is nearest.

A circle lies on the flash of a tag, which the wearer holds in his hands, and many a zone is drawn about somebody's
home: so its centre is put aside by a quarter to a half of the distance, always the same way for the same zone, and it
is drawn as much wider.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.activation import Activation, watches
from core.conditions import CurfewCondition, ExclusionCondition
from core.readings import F64
from core.timetable import joined
from core.zones import Zone
from gateway.commands import MOST_PLACES, MOST_RADIUS_M, MOST_TIMES

AHEAD_MS = 14 * 86_400_000
"""So far ahead a tag is told; it is told again when half of that is over."""

Times = tuple[tuple[int, int], ...]
"""From and until, UTC seconds, ascending and apart."""
Circle = tuple[int, int, int]
"""Latitude and longitude in 1e-7 degrees, radius in metres."""
Spot = tuple[float, float]
"""Latitude and longitude in degrees."""

_EARTH_M = 6_378_137.0
_ROUNDER = 1.005
"""A degree of the ellipsoid is up to 0.34 % longer than one of the sphere of its equator."""
_LEAST_ASIDE_M = 500.0
_COARSE_DEG = 0.1
"""The part of a large zone that is nearest to the wearer moves in such steps, not with every position."""
_COARSE_M = 8_000.0
"""What those steps can cost."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a tag is to be told. ``until_ms``: after that there may be more times."""

    times: Times
    places: tuple[Circle, ...]
    until_ms: int

    def still_told(self, times: Times, now_ms: int) -> bool:
        """Whether ``times``, told before, say the same as these for the first half of what these know."""
        half_ms = now_ms + (self.until_ms - now_ms) // 2
        return _within(times, now_ms, half_ms) == _within(self.times, now_ms, half_ms)


def wanted(
    activations: Sequence[Activation], now_ms: int, near_m: float, timezone: str, last: Spot | None = None
) -> Wanted:
    """What a tag is to be told at ``now_ms``, of all its activations; ``last`` is where it was last."""
    times, until_ms = _times(activations, now_ms, timezone)
    zones = exclusion_zones(activations, now_ms)
    around = [spot for spot in (last, *homes(activations, now_ms)) if spot is not None]
    return Wanted(times, circles(zones, near_m, around), until_ms)


def exclusion_zones(activations: Iterable[Activation], now_ms: int) -> list[Zone]:
    """The exclusion zones that are in force at some time of the coming days, each once."""
    found = {
        stretch.condition.zone.digest: stretch.condition.zone
        for activation in activations
        for watch in watches(activation, ExclusionCondition)
        for stretch in watch.stretches
        if stretch.to_ms > now_ms and stretch.from_ms < now_ms + AHEAD_MS
    }
    return [found[digest] for digest in sorted(found)]


def homes(activations: Iterable[Activation], now_ms: int) -> list[Spot]:
    """The addresses of curfews in force in the coming days."""
    return sorted(
        {
            (place.address.latitude, place.address.longitude)
            for activation in activations
            for watch in watches(activation, CurfewCondition)
            for stretch in watch.stretches
            if stretch.to_ms > now_ms and stretch.from_ms < now_ms + AHEAD_MS
            for place in stretch.condition.places
        }
    )


def ambiguous(zones: Sequence[Zone], near_m: float) -> bool:
    """Whether it depends on where the wearer is what a tag is told of these zones."""
    return len(zones) > MOST_PLACES or any(_aside(zone, near_m)[2] + near_m > MOST_RADIUS_M for zone in zones)


def circles(zones: Iterable[Zone], near_m: float, around: Sequence[Spot]) -> tuple[Circle, ...]:
    """Circles that hold each zone and ``near_m`` metres beyond: the `MOST_PLACES` nearest to any of ``around``."""
    found: dict[Circle, float] = {}
    for zone in zones:
        latitude, longitude, radius_m = _aside(zone, near_m)
        away = [(distance_m((latitude, longitude), spot), spot) for spot in around]
        far_m, nearest = min(away, default=(0.0, (latitude, longitude)))
        reach_m = radius_m + near_m
        if reach_m > MOST_RADIUS_M:
            latitude, longitude = _towards((latitude, longitude), nearest, far_m, reach_m)
        whole_m = min(MOST_RADIUS_M, max(1, math.ceil(reach_m)))
        circle = round(latitude * 1e7), round((longitude + 180) % 360 * 1e7) - 1_800_000_000, whole_m
        found[circle] = min(found.get(circle, math.inf), far_m - reach_m)
    chosen = sorted(found, key=lambda circle: (max(0.0, found[circle]), circle))[:MOST_PLACES]
    return tuple(sorted(chosen))


def distance_m(a: Spot, b: Spot) -> float:
    """Metres between two places, never less than they are: on a sphere, and up to 1 % more."""
    return float(_distances_m(a, np.array([b]))[0])


def _distances_m(a: Spot, others: F64) -> F64:
    """As `distance_m`, to many places, shape ``(n, 2)``."""
    lat_a, lat_b = math.radians(a[0]), np.radians(others[:, 0])
    half_lat, half_lon = (lat_b - lat_a) / 2, np.radians(others[:, 1] - a[1]) / 2
    h = np.sin(half_lat) ** 2 + math.cos(lat_a) * np.cos(lat_b) * np.sin(half_lon) ** 2
    found: F64 = 2 * _EARTH_M * np.arcsin(np.minimum(1.0, np.sqrt(h))) * _ROUNDER
    return found


def _ball(zone: Zone) -> tuple[float, float, float]:
    """Centre (degrees) and radius (m) of a circle that holds a zone."""
    ends = np.concatenate([zone.edges[:, :2], zone.edges[:, 2:]])
    longitudes = ends[:, 0]
    if np.ptp(longitudes) > 180.0:  # drawn on both sides of the antimeridian
        longitudes = np.where(longitudes < 0, longitudes + 360.0, longitudes)
    latitude = float(ends[:, 1].min() + ends[:, 1].max()) / 2
    longitude = float(longitudes.min() + longitudes.max()) / 2
    radius_m = _distances_m((latitude, longitude), np.column_stack([ends[:, 1], longitudes])).max()
    return latitude, longitude, float(radius_m) + zone.grow_m


def _aside(zone: Zone, near_m: float) -> tuple[float, float, float]:
    """Centre and radius of a circle that holds a zone and does not tell where its middle is."""
    latitude, longitude, radius_m = _ball(zone)
    chance = int(zone.digest[:16], 16)
    turn = 2 * math.pi * (chance % 3600) / 3600
    aside_m = max(_LEAST_ASIDE_M, near_m) * (0.25 + 0.25 * (chance // 3600 % 1000) / 1000)
    degree_m = math.radians(_EARTH_M)
    north = math.cos(turn) * aside_m / degree_m
    # near a pole a degree of longitude has no length: there the centre is put aside to the north or south
    cosine = max(0.01, math.cos(math.radians(latitude)))
    moved = max(-90.0, min(90.0, latitude + north)), longitude + math.sin(turn) * aside_m / degree_m / cosine
    return *moved, radius_m + distance_m((latitude, longitude), moved)


def _towards(centre: Spot, spot: Spot, far_m: float, reach_m: float) -> Spot:
    """Where in a disc that one circle can not hold the circle is put: as near to ``spot`` as there is need."""
    inner_m = reach_m - MOST_RADIUS_M + _COARSE_M
    share = 1.0 if far_m <= inner_m else inner_m / far_m
    east = (spot[1] - centre[1] + 180) % 360 - 180
    steps = (
        (centre[0] + share * (spot[0] - centre[0])) / _COARSE_DEG,
        (centre[1] + share * east) / _COARSE_DEG,
    )
    return max(-90.0, min(90.0, round(steps[0]) * _COARSE_DEG)), round(steps[1]) * _COARSE_DEG


def _times(activations: Iterable[Activation], now_ms: int, timezone: str) -> tuple[Times, int]:
    """Curfews that are not over, and until when that is all of them."""
    end_ms = now_ms + AHEAD_MS
    found = []
    for activation in activations:
        for watch in watches(activation, CurfewCondition):
            for stretch in watch.stretches:
                from_ms, to_ms = max(stretch.from_ms, now_ms), min(stretch.to_ms, end_ms)
                if from_ms >= to_ms:
                    continue
                for place in stretch.condition.places:
                    found += [
                        (max(begin, stretch.from_ms), min(end, stretch.to_ms))
                        for begin, end in place.timetable.periods(from_ms, to_ms, timezone)
                    ]
    # a second begun is a second of curfew
    whole = joined((max(0, begin // 1000), -(-end // 1000)) for begin, end in found)
    if len(whole) <= MOST_TIMES:
        return tuple(whole), end_ms
    return tuple(whole[:MOST_TIMES]), whole[MOST_TIMES][0] * 1000


def _within(times: Times, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
    from_s, to_s = from_ms // 1000, to_ms // 1000
    return [(max(begin, from_s), min(end, to_s)) for begin, end in times if end > from_s and begin < to_s]
