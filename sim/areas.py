"""Areas that orders name, in the town's plane: circles, corridors along streets, polygons with holes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from core.readings import F64
from sim.town import latitude, longitude

Points = tuple[tuple[float, float], ...]
MARKET_AREA: tuple[Points, ...] = (
    ((-200.0, -180.0), (120.0, -180.0), (200.0, -60.0), (200.0, 180.0), (-200.0, 180.0)),
    ((60.0, 60.0), (60.0, 120.0), (140.0, 120.0), (140.0, 60.0)),
)
"""The demo's zone around the market (`sim.market.market_zone`), with the probation office cut out."""


@dataclass(frozen=True, slots=True)
class Area:
    """Rings (closed by themselves), or a line or a point with ``grow_m`` around it: then ``lines`` holds it alone."""

    lines: tuple[Points, ...]
    grow_m: float = 0.0

    def depth(self, x: F64, y: F64) -> F64:
        """Metres from the edge, above 0 inside; ``x``, ``y`` of shape (n,)."""
        least, odd = np.full(len(x), np.inf), np.zeros(len(x), np.bool_)
        for line in self.lines:
            ax, ay, bx, by = self._pieces(line)
            dx, dy = bx - ax, by - ay
            px, py = x[:, None] - ax, y[:, None] - ay
            share = np.clip((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, 1e-12), 0.0, 1.0)
            away = np.hypot(px - share * dx, py - share * dy).min(axis=1)
            np.minimum(least, away, out=least)
            if not self.grow_m:
                spans = (ay > y[:, None]) != (by > y[:, None])
                with np.errstate(divide="ignore", invalid="ignore"):
                    odd ^= (np.sum(spans & (px < dx * py / dy), axis=1) % 2).astype(np.bool_)
        return self.grow_m - least if self.grow_m else np.where(odd, least, -least)

    def depth_at(self, x: float, y: float) -> float:
        """`depth` of one point."""
        return float(self.depth(np.array([x]), np.array([y]))[0])

    def moved(self, east_m: float, north_m: float) -> Area:
        """The same area elsewhere."""
        return Area(
            tuple(tuple((x + east_m, y + north_m) for x, y in line) for line in self.lines), self.grow_m
        )

    def geojson(self) -> dict[str, Any]:
        """As orders have it (`core.zones`): WGS84, seven decimals (a centimetre)."""
        drawn = []
        for line in self.lines:
            at = np.array(line if self.grow_m else (*line, line[0]))
            drawn.append(np.column_stack([longitude(at[:, 0]), latitude(at[:, 1])]).round(7).tolist())
        if not self.grow_m:
            return {"type": "Polygon", "coordinates": drawn}
        if len(self.lines[0]) == 1:
            return {"type": "Point", "coordinates": drawn[0][0], "radius_m": self.grow_m}
        return {"type": "LineString", "coordinates": drawn[0], "width_m": 2 * self.grow_m}

    def _pieces(self, line: Points) -> tuple[F64, F64, F64, F64]:
        at = np.array(line)
        if len(at) == 1:
            return at[:, 0], at[:, 1], at[:, 0], at[:, 1]
        if not self.grow_m:
            at = np.vstack([at, at[:1]])
        return at[:-1, 0], at[:-1, 1], at[1:, 0], at[1:, 1]


def circle(x: float, y: float, radius_m: float) -> Area:
    """All within ``radius_m`` of a point."""
    return Area((((x, y),),), float(radius_m))


def drawn_by_hand(rng: Random, x: float, y: float, half_m: float) -> Area:
    """A few blocks, as somebody clicks them on a map: a crooked quadrilateral, hexagon or L about a point."""
    turn = rng.uniform(0, math.pi)
    shape = rng.choice(("quadrilateral", "hexagon", "l"))
    if shape == "l":
        corners = [(-1.0, -1.0), (1.0, -1.0), (1.0, 0.1), (0.1, 0.1), (0.1, 1.0), (-1.0, 1.0)]
    else:
        n = 4 if shape == "quadrilateral" else 6
        corners = [(1.25 * math.cos(6.2832 * k / n), 1.25 * math.sin(6.2832 * k / n)) for k in range(n)]
    points = []
    for cx, cy in corners:
        px, py = cx * half_m * rng.uniform(0.9, 1.15), cy * half_m * rng.uniform(0.9, 1.15)
        points.append(
            (x + px * math.cos(turn) - py * math.sin(turn), y + px * math.sin(turn) + py * math.cos(turn))
        )
    return Area((tuple(points),))
