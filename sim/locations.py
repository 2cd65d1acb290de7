"""Where a scenario happens: its places, zones and home units, as its file says them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.document import Reader, fact
from sim import short_order
from sim.acts import ABOUT, Spot
from sim.itinerary import Place
from sim.market import MARKET
from sim.town import Town, make_town
from sim.way import Surroundings

_NAME = r"[a-z][a-z0-9_]*"
_WEARER = r"[a-z][a-z0-9]{0,5}"


def named(read: Reader, document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A table of the document whose keys are names; those that can not be are problems."""
    found = read.mapping(document.get(key, {}), key) or {}
    pattern, long = _NAME, "small letters"
    if key in ("people", "units"):  # they become a part of device ids
        pattern, long = _WEARER, "letters and digits, six at most"
    for name in found:
        if re.fullmatch(pattern, name) is None:
            read.refuse(f"{key}.{name}", f"{name!r} is no name", f"Give {long}, such as alex.")
    return found


class Locations:
    """``spots`` and ``zones`` (GeoJSON) by name, of each of ``units`` its address and place, and the ``town``.

    Problems go to ``read``.
    """

    def __init__(self, read: Reader, document: Mapping[str, Any]) -> None:
        self.read, self.document = read, document
        self.centre = self._centre()
        self.town: Town | None = None
        if "town" in document:
            self.town = make_town(read.whole(document, "town", "", "Give the town's seed, a whole number."))
        self.spots = {key: self._spot(key, value) for key, value in named(read, document, "places").items()}
        self.zones = {
            key: drawn
            for key, value in named(read, document, "zones").items()
            if (body := read.mapping(value, f"zones.{key}")) is not None
            and (drawn := short_order.zone(read, body, f"zones.{key}", self.centre, self.spots)) is not None
        }
        self.units = {key: self._unit(key, value) for key, value in named(read, document, "units").items()}

    def _centre(self) -> Place:
        value = self.document.get("centre")
        if value is None:
            return MARKET
        if isinstance(value, list) and len(value) == 2 and all(isinstance(one, int | float) for one in value):
            return Place(float(value[0]), float(value[1]))
        self.read.refuse("centre", fact(value, "a point"), "Give latitude and longitude: [52.963, -1.171].")
        return MARKET

    def _spot(self, key: str, value: object) -> Spot:
        read, path = self.read, f"places.{key}"
        body = {"east": value[0], "north": value[1]} if isinstance(value, list) and len(value) == 2 else value
        table = read.mapping(body, path)
        if table is None:
            return Spot(self.centre)
        if "town" in table:
            return self._door(table, path)
        read.keys(table, path, "east", "north", "about", "covered", "walls")
        east, north = (read.number(table, side, path, -500_000, 500_000) for side in ("east", "north"))
        about = table.get("about", "open")
        if about not in ABOUT:
            read.refuse(f"{path}.about", f"{about!r} is not known", f"Give one of: {', '.join(ABOUT)}.")
            about = "open"
        covered = read.flag(table, "covered", path) if "covered" in table else True
        walls = read.whole(table, "walls", path, "Give how many walls.", 0) if "walls" in table else 1
        return Spot(self.centre.offset(east, north), Surroundings[about.upper()], covered, walls)

    def _door(self, table: Mapping[str, Any], path: str) -> Spot:
        """A place of the town: ``{ town = "pub 2" }`` is its second pub, ``{ town = "home 40" }`` a house."""
        read, nowhere = self.read, Spot(self.centre)
        read.keys(table, path, "town", "walls")
        if self.town is None:
            read.refuse(
                f"{path}.town", "there is no town", "Give town = 1, the seed of one, above the places."
            )
            return nowhere
        kind, _, number = str(table["town"]).partition(" ")
        count = int(number) if number.isdecimal() else 1
        known = len(self.town.house_x) if kind == "home" else len(self.town.of(kind))
        if not 1 <= count <= known:
            kinds = ", ".join(sorted({spot.kind for spot in self.town.places} | {"home"}))
            read.refuse(
                f"{path}.town", f"the town has {known} of {kind!r}", f"Give one of: {kinds}; and a number."
            )
            return nowhere
        door = self.town.house(count - 1) if kind == "home" else self.town.of(kind)[count - 1]
        covered = bool(self.town.covered(np.array([door.x]), np.array([door.y]))[0])
        walls = read.whole(table, "walls", path, "Give how many walls.", 0) if "walls" in table else 1
        return Spot(door.place, door.about, covered, walls, door)

    def _unit(self, key: str, value: object) -> tuple[str, Place]:
        body = self.read.mapping(value, f"units.{key}") or {}
        self.read.keys(body, f"units.{key}", "place", "address")
        place = body.get("place")
        if place not in self.spots:
            self.read.refuse(
                f"units.{key}.place", f"{place!r} is no place", f"Places are: {', '.join(self.spots)}."
            )
            return key, self.centre
        return str(body.get("address", place)), self.spots[str(place)].place
