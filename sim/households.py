"""Where people live: alone or together, in the town or the valley, in approved premises, or nowhere for long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np

from sim.rounds import Household, Room
from sim.town import Spot, Town
from sim.way import Surroundings

BEDS = 26
"""People at one approved premises."""
HEARD_M = (9.0, 4.6, 2.5)
"""Metres at which a home unit hears a tag through no wall, one, two, with 15 dB to spare (`sim.radio`)."""
_PREMISES_EVERY, _ROUGH_EVERY, _VALLEY_EVERY, _SHARED_EVERY = 38, 33, 25, 20


@dataclass(frozen=True, slots=True)
class Lodging:
    """Where somebody lives: the groups for the score, the home, and for those without a fixed one where they sleep."""

    strata: frozenset[str]
    home: Spot
    sleeps: tuple[Spot, ...] = ()


def lodging(town: Town, seed: int, number: int) -> Lodging:
    """Where person ``number`` lives: a function of seed and number.

    Of every 38 people one lives in approved premises (26 to each), of 33 one has no fixed abode, two of 25 live in the
    valley, and of 20 two or three share a home.
    """
    rng = Random(f"{seed}/{number}/lodging")
    if number % _PREMISES_EVERY == 11:
        premises = town.of("approved_premises")
        home = premises[number // _PREMISES_EVERY // BEDS % len(premises)]
        return Lodging(frozenset({"approved_premises"}), home)
    if number % _ROUGH_EVERY == 9:
        return _no_fixed_abode(town, rng)
    strata, block, turn = set(), number, number % _SHARED_EVERY
    if turn in (4, 5) or (turn == 6 and number // _SHARED_EVERY % 2):
        strata.add("shared_home")
        block = number - turn + 4
        rng = Random(f"{seed}/{block}/shared home")
    if block % _VALLEY_EVERY in (3, 17):
        strata.add("valley")
        houses = np.flatnonzero(town.in_valley)
        return Lodging(frozenset(strata), town.house(int(houses[rng.randrange(len(houses))])))
    if rng.random() < 0.12:
        return Lodging(frozenset(strata), rng.choice(town.of("flats")))
    while True:
        house = rng.randrange(len(town.house_x))
        if not town.in_valley[house]:
            return Lodging(frozenset(strata), town.house(house))


def _no_fixed_abode(town: Town, rng: Random) -> Lodging:
    """A friend's sofa or two, a doorway, a bench, the hostel when it has a bed."""
    friends = [town.house(int(rng.choice(np.flatnonzero(~town.in_valley)))) for _ in range(2)]
    park, street = rng.choice(town.of("park")), rng.choice(town.of("shop", "church", "station"))
    doorway = town.spot(
        "doorway", f"doorway at {street.name}", street.foot_x, street.foot_y, Surroundings.STREET
    )
    sleeps = (*friends, doorway, park, town.first("hostel"))
    return Lodging(frozenset({"no_fixed_abode"}), friends[0], sleeps)


def household(
    rng: Random, home: Spot, sleep: tuple[float, float], garden: bool, home_unit: bool
) -> Household:
    """The rooms of a home and when its people sleep: bed and wake, minutes after midnight.

    Where a home unit stands, the officer who installed it walked through every room, and out into the garden, and heard
    the tag: rooms are as near to it, for their walls, as `HEARD_M` says.
    """
    wide = 10.0 if home.kind in ("approved_premises", "flats", "hostel") else 4.0
    rooms = []
    for walls in rng.sample((0, 1, 1, 2), 3):
        east, north = rng.uniform(-wide, wide), rng.uniform(-wide, wide)
        nearer = min(HEARD_M[walls] / max(math.hypot(east, north), 0.1), 1.0) if home_unit else 1.0
        rooms.append(Room(east * nearer, north * nearer, walls, Surroundings.INDOORS))
    turn = rng.choice((-1, 1))
    east, north = turn * rng.uniform(8, 16), rng.uniform(-6, 6)
    if home_unit:
        east, north = turn * rng.uniform(4.0, 5.0), rng.uniform(-1.5, 1.5)
    out = Room(east, north, 1 if home_unit else 2, Surroundings.OPEN) if garden else None
    return Household(tuple(rooms), out, *sleep)
