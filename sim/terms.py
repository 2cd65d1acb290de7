"""What each person's order asks, and what job they have that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from sim.areas import Area, circle
from sim.ground import another_house, around_home, elsewhere, near_home
from sim.households import Lodging
from sim.town import Spot, Town
from sim.traits import spread

NEAR_M = 100.0
"""Who lives within this of an exclusion zone lives near it."""


class Period(NamedTuple):
    """A period of a timetable: weekdays on which it starts, minutes after midnight (over 1440 past the next)."""

    days: tuple[int, ...]
    start: int
    end: int


class Job(NamedTuple):
    """Work at a place; shifts as a `Period`. ``exposure`` names what is in the air there."""

    spot: Spot
    shifts: Period
    exposure: str = ""


class Duty(NamedTuple):
    """To be at a place at times: an inclusion zone or an appointment."""

    spot: Spot
    area: Area
    times: Period


@dataclass(frozen=True, slots=True)
class Terms:
    """What an order asks of somebody, as it is lived with; `sim.people_orders` makes the order of it."""

    exclusion: Area | None = None
    exclusion_times: Period | None = None
    inclusion: Duty | None = None
    restriction: Area | None = None
    attendance: Duty | None = None
    curfew: tuple[tuple[int, Period], ...] = ()
    """Which home (0 or 1), and when."""
    homes: tuple[Spot, ...] = ()
    trail: bool = False
    alcohol: str = ""
    wears: frozenset[str] = frozenset()
    home_unit: bool = False
    regime: str = "community_order"
    strata: frozenset[str] = frozenset()


ALL = (0, 1, 2, 3, 4, 5, 6)
WORKDAYS = (0, 1, 2, 3, 4)
_INCLUSION = (
    ("treatment_centre", WORKDAYS, 600, 720),
    ("payback", (0, 2, 4), 570, 750),
    ("college", (1, 3, 5), 600, 780),
    ("day_centre", ALL, 660, 720),
)
_EVENINGS = ((1140, 1860), (1140, 1860), (1140, 1860), (1200, 1860), (1260, 1800), (1320, 1860))
_TRADES: tuple[str, ...] = (
    *("office", "factory", "warehouse", "workshop"),
    *("care_home", "building_site", "supermarket", "pub"),
)
_SHIFTS = {
    "day": Period(WORKDAYS, 540, 1020),
    "early": Period(WORKDAYS, 360, 840),
    "late": Period(WORKDAYS, 840, 1320),
    "night": Period((0, 1, 2, 3), 1320, 1800),
    "part": Period((0, 1, 3), 600, 840),
    "weekend": Period((4, 5, 6), 600, 1080),
}


def terms_of(town: Town, seed: int, number: int, lodging: Lodging) -> tuple[Terms, str]:
    """What is asked of person ``number``, and the kind of their job ("" for none)."""

    def has(name: str, share: float) -> bool:
        return spread(seed, number, name) < share

    rng = Random(f"{seed}/{number}/terms")
    rough = "no_fixed_abode" in lodging.strata
    premises = "approved_premises" in lodging.strata
    settled = not rough and not premises
    strata = set(lodging.strata)
    near = settled and has("near_zone", 0.165)
    area = times = None
    # a third of them have a curfew and nothing that needs a position: the tag is heard by a home unit
    curfew_only = settled and not near and has("curfew_only", 0.3)
    if near or (not curfew_only and has("exclusion", 0.5)):
        area = near_home(town, rng, lodging.home) if near else elsewhere(town, rng, lodging)
        if near and area.depth_at(lodging.home.x, lodging.home.y) > -NEAR_M:
            strata.add("near_zone")
        if not near and has("scheduled", 0.2):
            times = rng.choice(
                (Period(ALL, 480, 1200), Period((4, 5, 6), 1080, 1620), Period(WORKDAYS, 480, 1020))
            )
    inclusion = _duty(town, rng, area) if not rough and not curfew_only and has("inclusion", 0.38) else None
    trail = not curfew_only and has("trail", 0.15)
    if rough and area is None:
        trail = True
    alcohol = ("limit" if has("limit", 0.04) else "abstinence") if has("alcohol", 0.94) else ""
    restricted = settled and not near and not curfew_only and has("restriction", 0.33)
    job = _job(spread(seed, number, "job"), inclusion is not None, restricted) if settled else ""
    attendance = (
        _appointment(town, rng, area, job, inclusion, lodging.home.x < -9000)
        if not curfew_only and has("attendance", 0.22)
        else None
    )
    restriction = None
    if restricted:
        restriction = around_home(rng, lodging.home, [duty.spot for duty in (inclusion, attendance) if duty])
    located = (
        area is not None
        or restriction is not None
        or inclusion is not None
        or attendance is not None
        or trail
    )
    curfew = premises or (settled and (curfew_only or has("curfew", 0.68) or not (located or alcohol)))
    homes: tuple[Spot, ...] = (lodging.home,)
    if (
        curfew
        and settled
        and job in ("", "day", "part")
        and restriction is None
        and has("second_address", 0.08)
    ):
        homes = (lodging.home, another_house(town, rng, lodging.home, area))
    by_gps = spread(seed, number, "curfew_by")
    wears = {"gps_tag"} if located or (curfew and by_gps < 0.15) else set()
    home_unit = curfew and (not wears or by_gps > 0.9) and len(homes) == 1
    if home_unit:
        wears.add("rf_tag")
    elif curfew:
        wears.add("gps_tag")
    if alcohol:
        wears.add("alcohol_tag")
    strata = strata or {"town"}
    return (
        Terms(
            exclusion=area,
            exclusion_times=times,
            inclusion=inclusion,
            restriction=restriction,
            attendance=attendance,
            curfew=_curfew(rng, job, premises, len(homes)) if curfew else (),
            homes=homes,
            trail=trail,
            alcohol=alcohol,
            wears=frozenset(wears),
            home_unit=home_unit,
            regime=_regime(rng, premises, bool(alcohol)),
            strata=frozenset(strata),
        ),
        job,
    )


def workplace(town: Town, seed: int, number: int, kind: str, terms: Terms) -> Job | None:
    """Where the job is: never in the exclusion zone, never out of the area not to be left."""
    if not kind:
        return None
    rng = Random(f"{seed}/{number}/job")
    shifts = _SHIFTS[kind]
    exposure, kinds = "", _TRADES
    if spread(seed, number, "hospital") < 0.12:
        exposure, kinds = "sanitiser", ("hospital", "care_home", "surgery")
    elif spread(seed, number, "cleaner") < 0.1:
        exposure, kinds = "cleaning", ("office", "school", "hospital", "supermarket")
    if terms.homes and terms.homes[0].x < -9000 and rng.random() < 0.6:
        kinds, exposure = ("farm", "quarry", "school", "pub", "shop"), ""
    spots = [spot for spot in town.of(*kinds) if allowed(spot, terms)]
    if kinds[0] == "farm":
        spots = [spot for spot in spots if spot.x < -9000]
    elif rng.random() < 0.85:
        spots = [spot for spot in spots if abs(spot.x) < 3000]
    if not spots:
        return None
    shift_min = rng.choice((-30, 0, 0, 30))
    return Job(
        rng.choice(spots), Period(shifts.days, shifts.start + shift_min, shifts.end + shift_min), exposure
    )


def allowed(spot: Spot, terms: Terms, margin_m: float = 25.0) -> bool:
    """Whether a place is one where the order lets somebody go at any time."""
    if terms.exclusion is not None and terms.exclusion.depth_at(spot.x, spot.y) > -margin_m:
        return False
    return terms.restriction is None or terms.restriction.depth_at(spot.x, spot.y) > 60.0


def _job(share: float, inclusion: bool, restricted: bool) -> str:
    if inclusion:
        return "late" if share < 0.12 else ""
    for name, upto in (
        ("day", 0.24),
        ("early", 0.32),
        ("late", 0.39),
        ("night", 0.46),
        ("part", 0.54),
        ("weekend", 0.58),
    ):
        if share < upto:
            return name if not restricted or name == "day" else ""
    return ""


def _duty(town: Town, rng: Random, exclusion: Area | None) -> Duty | None:
    for _ in range(6):
        kind, days, start, end = rng.choice(_INCLUSION)
        spot = town.first(kind)
        if exclusion is None or exclusion.depth_at(spot.x, spot.y) < -25:
            return Duty(
                spot, circle(spot.x, spot.y, rng.choice((90.0, 120.0, 150.0))), Period(days, start, end)
            )
    return None


def _appointment(
    town: Town, rng: Random, exclusion: Area | None, job: str, inclusion: Duty | None, far: bool
) -> Duty | None:
    """Once or twice a week, at an hour at which neither work nor another duty is; from ``far`` on a day without one."""
    if job not in ("", "weekend"):
        hours: tuple[int, ...] = (1035, 1050)
    elif inclusion is None:
        hours = (570, 600, 840, 870)
    else:
        hours = (870, 900) if inclusion.times.start < 720 else (570, 600)
    for kind in rng.sample(("probation_office", "probation_office", "police_station", "surgery"), 4):
        spot = town.first(kind)
        if exclusion is None or exclusion.depth_at(spot.x, spot.y) < -25:
            start = rng.choice(hours)
            taken = inclusion.times.days if inclusion is not None and far else ()
            free = [day for day in WORKDAYS if day not in taken]
            if not free:
                return None
            days = tuple(sorted(rng.sample(free, 1 if rng.random() < 0.6 else min(2, len(free)))))
            return Duty(
                spot, circle(spot.x, spot.y, rng.choice((70.0, 100.0))), Period(days, start, start + 45)
            )
    return None


def _curfew(rng: Random, job: str, premises: bool, homes: int) -> tuple[tuple[int, Period], ...]:
    if premises:
        return ((0, Period(ALL, 1380, 1800)),)
    if job == "early":
        times = (1200, 1740)
    elif job == "late":
        times = (1410, 1860)
    elif job == "night":
        times = (540, 1080)
    elif job == "weekend":
        times = (1230, 1860)
    elif job in ("day", "part"):
        times = rng.choice(((1170, 1860), (1200, 1860), (1260, 1800), (1320, 1860)))
    else:
        times = rng.choice(_EVENINGS)
        if homes == 1 and rng.random() < 0.08:
            return ((0, Period((4, 5, 6), 1080, 1920)),)
    if homes == 2:
        return ((0, Period(WORKDAYS, *times)), (1, Period((5, 6), *times)))
    return ((0, Period(ALL, *times)),)


def _regime(rng: Random, premises: bool, alcohol: bool) -> str:
    if premises:
        return "licence"
    return rng.choice(
        ("community_order", "community_order", "suspended_sentence", "licence")
        if alcohol
        else ("community_order", "suspended_sentence", "licence", "bail", "bail", "immigration")
    )
