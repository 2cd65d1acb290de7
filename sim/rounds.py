"""How somebody gets through the days: outings in turn, home between them, and the way that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

import numpy as np

from sim.civil import MINUTE_MS
from sim.streets import By, Route
from sim.town import Spot, Town, latitude, longitude
from sim.way import Bool, Surroundings, Way

_FAR_WALLS, _STREET_WALLS = 10, 3
_ROOM_S = 4
_CHAIN_MS = 25 * MINUTE_MS
"""Between two outings nobody goes home for less than this."""


@dataclass(frozen=True, slots=True)
class Outing:
    """To leave for ``spot`` at ``go_ms`` and to stay there until ``until_ms``.

    ``direct`` goes the shortest way, whatever an order forbids. ``roams``: up and down the street there rather than at
    one point. ``rank``: an outing of a higher one is kept when two are at the same time.
    """

    go_ms: int
    until_ms: int
    spot: Spot
    rank: int = 1
    direct: bool = False
    roams: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """A room of a home: metres from its middle, walls to the home unit, what is between it and the sky."""

    east_m: float
    north_m: float
    walls: int
    about: Surroundings


@dataclass(frozen=True, slots=True)
class Household:
    """How somebody is at home: rooms, hours of sleep (minutes after midnight), minutes in one room."""

    rooms: tuple[Room, ...]
    garden: Room | None
    bed_min: float
    wake_min: float


@dataclass(slots=True)
class Walker:
    """Makes a way, leg by leg. ``bases`` are where home is from when on; ``avoid`` the streets kept off.

    ``x``, ``y``, ``t_ms`` are the starts of the legs; where the walker is now comes last.
    """

    town: Town
    rng: Random
    bases: Sequence[tuple[int, Spot]]
    household: Household
    avoid: Bool | None
    pace: float
    midnight_ms: int
    by: Callable[[Spot, Spot], By]
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    t_ms: list[int] = field(default_factory=list)
    about: list[int] = field(default_factory=list)
    walls: list[int] = field(default_factory=list)
    home_stays: list[tuple[int, int]] = field(default_factory=list)
    _mine: dict[tuple[Spot, Spot, By], Route] = field(default_factory=dict)

    def begin(self, t_ms: int) -> None:
        """At home at an instant."""
        spot = self.base(t_ms)
        self.x, self.y, self.t_ms = [spot.x], [spot.y], [t_ms]

    @property
    def now_ms(self) -> int:
        """Until when the way is made."""
        return self.t_ms[-1]

    def base(self, t_ms: int) -> Spot:
        """Where home is at an instant."""
        found = self.bases[0][1]
        for from_ms, spot in self.bases:
            if from_ms > t_ms:
                break
            found = spot
        return found

    def route(self, a: Spot, b: Spot, by: By, direct: bool = False) -> Route:
        """The way from one place to another, off the streets to be avoided where that can be."""
        plain = self.town.route(a, b, by)
        if direct or self.avoid is None:
            return plain
        key = (a, b, by)
        found = self._mine.get(key)
        if found is None:
            found = self._mine[key] = self.town.route(a, b, by, self.avoid)
        return found

    def takes_ms(self, a: Spot, b: Spot, by: By, direct: bool = False) -> int:
        """How long it takes this walker."""
        return round(self.route(a, b, by, direct).whole_s * 1000 * self.pace)

    def go(self, a: Spot, b: Spot, by: By, direct: bool = False) -> None:
        """From ``a`` to ``b``, from now on."""
        if a == b:
            return
        route = self.route(a, b, by, direct)
        self._step_to(route.x[0], route.y[0], _STREET_WALLS)
        scale = 1000.0 * self.pace
        self.t_ms.extend(
            accumulate((max(int(seconds * scale), 1) for seconds in route.seconds), initial=self.t_ms.pop())
        )
        self.x.extend(route.x[1:])
        self.y.extend(route.y[1:])
        self.about.extend(route.about)
        self.walls.extend([_STREET_WALLS] * len(route.about))

    def stay(self, until_ms: int, about: int, walls: int = _FAR_WALLS) -> None:
        """Stay where one is. One in the past adds nothing."""
        if until_ms > self.t_ms[-1]:
            self._leg(until_ms, self.x[-1], self.y[-1], about, walls)

    def at_home(self, until_ms: int) -> None:
        """From room to room, and in bed when it is time for it."""
        home, rng, house = self.base(self.now_ms), self.rng, self.household
        if until_ms <= self.now_ms:
            return
        self.home_stays.append((self.now_ms, until_ms))
        deep = home.about == Surroundings.DEEP
        rooms = house.rooms
        while self.now_ms < until_ms:
            minute = ((self.now_ms - self.midnight_ms) / MINUTE_MS) % 1440
            asleep = (minute - house.bed_min) % 1440 < (house.wake_min - house.bed_min) % 1440
            room = rooms[-1] if asleep else rooms[int(rng.random() * len(rooms))]
            if asleep:
                stay_min = (house.wake_min - minute) % 1440 * (0.4 if rng.random() < 0.3 else 1.0) + 1
            elif house.garden is not None and rng.random() < 0.12 and not deep:
                room, stay_min = house.garden, 3 + 6 * rng.random()
            else:
                stay_min = 8 + 70 * rng.random() ** 2
            about = int(home.about) if room.about == Surroundings.INDOORS else int(room.about)
            self._step_to(home.x + room.east_m, home.y + room.north_m, room.walls, about)
            self.stay(min(until_ms, self.now_ms + int(stay_min * MINUTE_MS)), about, room.walls)

    def out(self, outing: Outing) -> None:
        """At a place until its time is over."""
        spot, rng = outing.spot, self.rng
        if outing.roams:
            ways = self.town.streets
            a, b = int(ways.start[spot.edge]), int(ways.end[spot.edge])
            ends = ((float(ways.x[a]), float(ways.y[a])), (float(ways.x[b]), float(ways.y[b])))
            here = 0
            while self.now_ms < outing.until_ms:
                share = 0.15 + 0.35 * rng.random()
                end = ends[here]
                x, y = (
                    spot.foot_x + (end[0] - spot.foot_x) * share,
                    spot.foot_y + (end[1] - spot.foot_y) * share,
                )
                self._walk_to(x, y, Surroundings.STREET)
                self.stay(
                    min(outing.until_ms, self.now_ms + int(rng.random() * 3 * MINUTE_MS)), Surroundings.STREET
                )
                here = 1 - here
            self._walk_to(spot.x, spot.y, Surroundings.STREET)
            return
        x, y = spot.x, spot.y
        while self.now_ms < outing.until_ms:
            self.stay(
                min(outing.until_ms, self.now_ms + int((15 + 75 * rng.random()) * MINUTE_MS)), int(spot.about)
            )
            if self.now_ms < outing.until_ms:
                self._step_to(x + rng.uniform(-9, 9), y + rng.uniform(-6, 6), _FAR_WALLS, int(spot.about))

    def follow(self, outings: Sequence[Outing], until_ms: int) -> None:
        """All outings in turn, each from where the one before ended or from home; then home until ``until_ms``."""
        here: Spot | None = None
        for outing in outings:
            if here is not None:
                home = self.base(self.now_ms)
                back = self.takes_ms(here, home, self.by(here, home))
                if outing.go_ms > self.now_ms + back + _CHAIN_MS:
                    self.go(here, home, self.by(here, home))
                    here = None
                else:
                    self.stay(outing.go_ms, int(here.about))
            if here is None:
                self._home_until(outing.go_ms)
                here = self.base(self.now_ms)
            if self.now_ms + MINUTE_MS > outing.until_ms and outing.rank < 3:
                if here == self.base(self.now_ms):
                    here = None
                continue
            self.go(here, outing.spot, self.by(here, outing.spot), outing.direct)
            self.out(outing)
            here = outing.spot
        if here is not None:
            home = self.base(self.now_ms)
            self.go(here, home, self.by(here, home))
        self._home_until(until_ms)

    def _home_until(self, until_ms: int) -> None:
        """At home, and on to the next home when that is another place."""
        for from_ms, _ in self.bases:
            if self.now_ms < from_ms < until_ms:
                before = self.base(self.now_ms)
                self.at_home(from_ms)
                after = self.base(self.now_ms)
                self.go(before, after, self.by(before, after))
        self.at_home(until_ms)

    def way(self, start_ms: int, end_ms: int) -> Way:
        """Everything from ``start_ms`` to ``end_ms``; raises ValueError where the way made does not reach so far."""
        t = np.array(self.t_ms, np.int64)
        if t[0] > start_ms or t[-1] < end_ms:
            raise ValueError(f"the way runs from {t[0]} to {t[-1]}, not from {start_ms} to {end_ms}")
        first = int(np.searchsorted(t, start_ms, side="right")) - 1
        last = int(np.searchsorted(t, end_ms, side="left"))
        t = t[first : last + 1]
        x, y = np.array(self.x[first : last + 1]), np.array(self.y[first : last + 1])
        early, late = (start_ms - t[0]) / (t[1] - t[0]), (end_ms - t[-2]) / (t[-1] - t[-2])
        for at in (x, y):
            at[0], at[-1] = at[0] + (at[1] - at[0]) * early, at[-2] + (at[-1] - at[-2]) * late
        t[0] = start_ms
        about = np.array(self.about[first:last], np.uint8)
        covered = self.town.covered((x[:-1] + x[1:]) / 2, (y[:-1] + y[1:]) / 2) & (about != Surroundings.DEEP)
        lat, lon = latitude(y), longitude(x)
        walls = np.array(self.walls[first:last], np.uint8)
        return Way(t[:-1], end_ms, lat[:-1], lon[:-1], lat[1:], lon[1:], about, covered, walls)

    def _leg(self, until_ms: int, x: float, y: float, about: int, walls: int) -> None:
        self.t_ms.append(until_ms)
        self.x.append(x)
        self.y.append(y)
        self.about.append(int(about))
        self.walls.append(walls)

    def _step_to(self, x: float, y: float, walls: int, about: int = Surroundings.INDOORS) -> None:
        """A few steps within a building."""
        if abs(self.x[-1] - x) + abs(self.y[-1] - y) > 0.01:
            far = ((self.x[-1] - x) ** 2 + (self.y[-1] - y) ** 2) ** 0.5
            self._leg(self.now_ms + 1000 * _ROOM_S + int(600 * far), x, y, about, walls)

    def _walk_to(self, x: float, y: float, about: int) -> None:
        far = ((self.x[-1] - x) ** 2 + (self.y[-1] - y) ** 2) ** 0.5
        self._leg(self.now_ms + max(int(far * 1000 / 1.2), 1), x, y, about, _FAR_WALLS)
