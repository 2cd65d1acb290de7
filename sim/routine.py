"""An ordinary week: work, duties, children, errands and evenings, fitted around what the order asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from sim.civil import MINUTE_MS, Days
from sim.life import Span
from sim.rounds import Outing, Walker
from sim.streets import By
from sim.terms import Job, Period, Terms, allowed
from sim.town import Spot, Town

_ERRANDS = (
    "shop",
    "supermarket",
    "cafe",
    "surgery",
    "park",
    "church",
    "mosque",
    "gym",
    "betting_shop",
    "high_street",
)
_EVENINGS = ("pub", "gym", "friend", "nightclub", "supermarket", "friend", "park")
_DAY_MS = 1440 * MINUTE_MS
_LEAST_MS = 6 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Means:
    """How somebody gets about."""

    car: bool
    bicycle: bool

    def to(self, a: Spot, b: Spot) -> By:
        """By what one goes from one place to another."""
        far = a.away_m(b.x, b.y)
        if far < 900:
            return By.FOOT
        if self.car:
            return By.CAR
        if far > 4000:
            # the line and the bus join the same three places; whoever can, takes the train
            return By.TRAIN if max(a.x, b.x) > 4000 or far > 16_000 else By.BUS
        return By.BICYCLE if self.bicycle else By.BUS if far > 1500 else By.FOOT


def periods(days: Days, period: Period) -> list[tuple[int, int]]:
    """A weekly period as instants, on each day of a life."""
    return [
        (days.at(day, period.start), days.at(day, period.end))
        for day in range(days.count)
        if days.weekday[day] in period.days
    ]


class Week:
    """Outings as they are found, none in the way of another of the same rank or a higher one."""

    def __init__(self, town: Town, days: Days, walker: Walker, rng: Random, away: Span | None = None) -> None:
        self.town, self.days, self.walker, self.rng = town, days, walker, rng
        self.kept: list[tuple[int, int, Outing]] = []
        """When they leave home, when they are back, and the outing."""
        self.kept_in: list[tuple[int, int]] = []
        """Curfew: when to be at home."""
        self.away = away
        """A holiday: nothing of the ordinary week then."""

    def keep_in(self, periods: Iterable[tuple[int, int]]) -> None:
        """Take the times of a curfew, but those of a holiday."""
        away = self.away
        self.kept_in = sorted(
            p for p in periods if away is None or p[1] <= away.start_ms or away.end_ms <= p[0]
        )

    def by(self, spot: Spot, t_ms: int) -> By:
        """How one gets to a place from home."""
        return self.walker.by(self.walker.base(t_ms), spot)

    def way_ms(self, spot: Spot, t_ms: int, direct: bool = False) -> int:
        """How long it takes from home."""
        return self.walker.takes_ms(self.walker.base(t_ms), spot, self.by(spot, t_ms), direct)

    def free(self, from_ms: int, to_ms: int) -> bool:
        """Whether nothing is on at that time."""
        return all(to_ms <= go or back <= from_ms for go, back, _ in self.kept)

    def home_hours(self, from_ms: int, to_ms: int) -> bool:
        """Whether a curfew lies in that time."""
        return any(from_ms < end and start < to_ms for start, end in self.kept_in)

    def add(
        self,
        spot: Spot,
        from_ms: int,
        until_ms: int,
        rank: int = 1,
        direct: bool = False,
        roams: bool = False,
        curfew_too: bool = False,
    ) -> bool:
        """To be at a place from about one instant to another, home before and after; False if that can not be."""
        if (
            self.away is not None
            and from_ms < self.away.end_ms + _DAY_MS // 8
            and self.away.start_ms < until_ms + _DAY_MS // 12
        ):
            return False
        way_ms = self.way_ms(spot, from_ms, direct)
        go_ms = from_ms - way_ms
        if not curfew_too:
            for start, end in self.kept_in:
                if go_ms < end and start < until_ms + way_ms * 1.1 + 4 * MINUTE_MS:
                    if from_ms < start:
                        until_ms = min(
                            until_ms, start - round(way_ms * 1.1) - round(self.rng.uniform(4, 40) * MINUTE_MS)
                        )
                    else:
                        go_ms = max(go_ms, end + round(self.rng.uniform(1, 12) * MINUTE_MS))
            if until_ms - (go_ms + way_ms) < _LEAST_MS:
                return False
        back_ms = until_ms + way_ms + 2 * MINUTE_MS
        if not self.free(go_ms, back_ms):
            return False
        self.kept.append((go_ms, back_ms, Outing(go_ms, until_ms, spot, rank, direct, roams)))
        return True

    def outings(self) -> list[Outing]:
        """All of them in their order."""
        return [outing for *_, outing in sorted(self.kept, key=lambda kept: kept[0])]


def duties(
    week: Week, terms: Terms, job: Job | None, rng: Random, skipped: set[tuple[str, int]]
) -> list[tuple[int, int]]:
    """Zones to be in, appointments and work; returns the shifts. ``skipped`` are (condition, instant) not kept."""
    for name, duty in (("appointment", terms.attendance), ("be-there", terms.inclusion)):
        if duty is not None:
            for start, end in periods(week.days, duty.times):
                if (name, start) not in skipped:
                    early, late = rng.uniform(4, 22) * MINUTE_MS, rng.uniform(3, 15) * MINUTE_MS
                    week.add(duty.spot, start - round(early), end + round(late), 2)
    shifts = []
    if job is not None:
        for start, end in periods(week.days, job.shifts):
            if rng.random() < 0.94 and week.add(
                job.spot,
                start - round(rng.uniform(2, 14) * MINUTE_MS),
                end + round(rng.uniform(0, 12) * MINUTE_MS),
                2,
            ):
                shifts.append((start, end))
    return shifts


def pleasures(
    week: Week,
    terms: Terms,
    rng: Random,
    favourites: Sequence[Spot],
    evenings: Sequence[Spot],
    children: bool,
) -> None:
    """School run, errands and evenings out, where there is time for them."""
    days, town = week.days, week.town
    school = None
    if children:
        near = sorted(town.of("school"), key=lambda spot: spot.away_m(*_xy(week.walker.base(days.start_ms))))
        school = next((spot for spot in near if allowed(spot, terms)), None)
    for day in range(days.count):
        if school is not None and days.weekday[day] < 5:
            for minute in (525, 910):
                at = days.at(day, minute + rng.uniform(-4, 6))
                week.add(school, at, at + round(rng.uniform(6, 14) * MINUTE_MS))
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3))):
            if favourites:
                at = days.at(day, rng.uniform(540, 1200))
                week.add(rng.choice(favourites), at, at + round((6 + rng.expovariate(1 / 25)) * MINUTE_MS))
        if evenings and rng.random() < 0.35:
            at = days.at(day, rng.uniform(1050, 1290))
            week.add(rng.choice(evenings), at, at + round(rng.uniform(50, 260) * MINUTE_MS))


def haunts(town: Town, rng: Random, home: Spot, terms: Terms) -> tuple[list[Spot], list[Spot]]:
    """Where somebody goes by day and in the evening: near home mostly, nowhere that the order forbids."""
    friends = []
    for _ in range(2):
        house = town.house(rng.randrange(len(town.house_x)))
        friends.append(house)
    by_day = _near(town.of(*_ERRANDS), home, rng, 5)
    if rng.random() < 0.15:
        by_day.append(town.first("hospital"))
    by_night = [*_near(town.of(*_EVENINGS), home, rng, 3), *friends]
    return [s for s in by_day if allowed(s, terms)], [s for s in by_night if allowed(s, terms)]


def _near(spots: Sequence[Spot], home: Spot, rng: Random, count: int) -> list[Spot]:
    """Some places, those near home more often."""
    ranked = sorted(spots, key=lambda spot: spot.away_m(home.x, home.y) * rng.uniform(0.4, 1.6))
    return ranked[:count]


def _xy(spot: Spot) -> tuple[float, float]:
    return spot.x, spot.y
