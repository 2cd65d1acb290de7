"""Where the zones of orders lie: near somebody's home, elsewhere, around a home; and where a second home may be."""

from __future__ import annotations

import math
from random import Random

import numpy as np

from sim.areas import MARKET_AREA, Area, circle, drawn_by_hand
from sim.households import Lodging
from sim.streets import By
from sim.town import Spot, Town


def near_home(town: Town, rng: Random, home: Spot) -> Area:
    """A zone that begins 15 to 95 m from home, the street before the door left out."""
    best: Area | None = None
    for _ in range(16):
        gap, turn = rng.uniform(15, 95), rng.uniform(0, 2 * math.pi)
        size = rng.uniform(90, 260)
        round_one = rng.random() < 0.5
        area = circle(home.x, home.y, size) if round_one else drawn_by_hand(rng, home.x, home.y, size)
        ux, uy = math.cos(turn), math.sin(turn)
        area = area.moved(ux * (2 * size + gap), uy * (2 * size + gap))
        for _ in range(4):
            off = -area.depth_at(home.x, home.y) - gap
            area = area.moved(-ux * off, -uy * off)
        door = area.depth_at(home.foot_x, home.foot_y)
        node = area.depth_at(float(town.streets.x[home.node]), float(town.streets.y[home.node]))
        best = best or area
        if door < -8 and node < -5 and not _cuts_off(town, home, area):
            return area
    assert best is not None
    return best


def elsewhere(town: Town, rng: Random, lodging: Lodging) -> Area:
    """A zone somewhere in the same settlement: the market, somebody's home, a few blocks, a street."""
    home, valley = lodging.home, lodging.home.x < -9000
    sleeps = (home, *lodging.sleeps)
    houses = np.flatnonzero(town.in_valley == valley)
    area = circle(home.x, home.y, 100)
    for _ in range(30):
        if not valley and rng.random() < 0.25:
            area = Area(MARKET_AREA)
        else:
            victim = town.house(int(houses[rng.randrange(len(houses))]))
            shape, size = rng.random(), rng.uniform(110, 340)
            if shape < 0.45:
                area = circle(victim.x, victim.y, round(size))
            elif shape < 0.8:
                area = drawn_by_hand(rng, victim.x, victim.y, size)
            else:
                area = _street(town, rng, victim)
        if all(area.depth_at(spot.x, spot.y) < -110 for spot in sleeps) and not _cuts_off(town, home, area):
            return area
    return area.moved(0.0, 5000.0)


def around_home(rng: Random, home: Spot, duties: list[Spot]) -> Area | None:
    """The ward or parish: a circle of 0.9 to 2 km that holds the home well inside; None if a duty lies beyond."""
    radius = rng.uniform(900, 2000)
    turn, off = rng.uniform(0, 2 * math.pi), rng.uniform(0, radius * 0.45)
    area = circle(home.x + off * math.cos(turn), home.y + off * math.sin(turn), round(radius))
    return area if all(area.depth_at(spot.x, spot.y) > 200 for spot in duties) else None


def another_house(town: Town, rng: Random, home: Spot, area: Area | None) -> Spot:
    """A home elsewhere, well outside ``area``."""
    while True:
        house = town.house(rng.randrange(len(town.house_x)))
        if house.away_m(home.x, home.y) > 300 and (area is None or area.depth_at(house.x, house.y) < -40):
            return house


def _cuts_off(town: Town, home: Spot, area: Area) -> bool:
    """Whether the one way out of the valley, or to its village, lies in an area; in the town there are others."""
    if home.x > -9000:
        return False
    for there in (town.first("court"), town.of("station")[0]):
        way = town.route(home, there, By.CAR)
        if area.depth(np.array(way.x), np.array(way.y)).max() > -15:
            return True
    return False


def _street(town: Town, rng: Random, victim: Spot) -> Area:
    """A corridor along some streets from a door on."""
    streets = town.streets
    nodes = [victim.node]
    for _ in range(rng.randint(2, 4)):
        around = range(streets.first[nodes[-1]], streets.first[nodes[-1] + 1])
        onward = [int(streets.other[i]) for i in around if int(streets.other[i]) not in nodes]
        if onward:
            nodes.append(rng.choice(onward))
    points = tuple((float(streets.x[node]), float(streets.y[node])) for node in nodes)
    return Area((points,), rng.choice((60.0, 75.0, 90.0)))
