"""What somebody does in a scenario, as short English: ``"20:00 walk to pub"``, ``"21:00 open strap until Wed 10:00"``.

An act begins at a civil time, at the end of the last way (``then``), or some time after it (``after 10 min``). Between
ways the wearer stays where the last one ended, awake: a step to the side every few minutes, as people do, so that the
tag's motion sensor feels them; from ``sleep`` to ``wake``, and while the tag lies off the ankle, nothing moves.
The phrases stand in `sim.phrases`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from core.document import Reader
from sim.civil_time import CivilTimeError, duration_ms, instant_ms
from sim.itinerary import Itinerary, Place
from sim.life import Drink, Exposure, Forgery, Span
from sim.market import MARKET
from sim.phrases import PHRASES, TIME, TRAVEL, Kind
from sim.streets import By
from sim.town import Town
from sim.town_places import Spot as TownSpot
from sim.way import Surroundings, Way

_ABOUT = {
    "in the open": Surroundings.OPEN,
    "in a street": Surroundings.STREET,
    "indoors": Surroundings.INDOORS,
    "underground": Surroundings.DEEP,
}
ABOUT = {"open": "in the open", "street": "in a street", "indoors": "indoors", "deep": "underground"}
"""What a place of a scenario may say of its surroundings, and how an act says it."""
_IN_TOWN = {"walk": By.FOOT, "cycle": By.BICYCLE, "drive": By.CAR, "bus": By.BUS, "train": By.TRAIN}
_STANDS_M = 0.5
"""A leg of a way through the town that is shorter than this is a wait."""
_STIR_MS = 4 * 60_000
_STEP_M, _STEP_KMH = 1.2, 2.0
"""Somebody awake takes a step this often, so far and back."""
_WALLS_INSIDE, _WALLS_AWAY = 1, 10


class Spot(NamedTuple):
    """A place of a scenario: where, what stands about whoever is there, coverage, walls to a home unit there.

    ``door`` is the place of the town that it is, if it is one: between two such one goes by the streets.
    """

    place: Place
    about: Surroundings = Surroundings.OPEN
    covered: bool = True
    walls: int = _WALLS_INSIDE
    door: TownSpot | None = None


@dataclass(frozen=True, slots=True)
class UnitTroubles:
    """What befalls a home unit; as in `sim.life.Unit`."""

    no_mains: tuple[Span, ...] = ()
    off: tuple[Span, ...] = ()
    moved: tuple[Span, ...] = ()
    carried_to: Place | None = None


@dataclass(frozen=True, slots=True)
class Doings:
    """What the acts of one wearer come to; fields as in `sim.life.Life`, and the troubles of home units by name."""

    way: Way
    drinks: tuple[Drink, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    forged: tuple[Forgery, ...] = ()
    spans: Mapping[str, Any] = field(default_factory=dict)
    """Tuples of `Span`, by the name of the field."""
    units: Mapping[str, UnitTroubles] = field(default_factory=dict)


_FIELD = {
    "open strap": "off_ankle",
    "open case": "case_open",
    "cover sensor": "covered_sensor",
    "battery flat": "flat",
    "charge": "charging",
    "no network": "offline",
    "jammer": "jammed",
    "overconfident receiver": "overconfident",
}


class _Script:
    """One wearer's acts, read one after the other."""

    def __init__(
        self,
        read: Reader,
        spots: Mapping[str, Spot],
        start_ms: int,
        end_ms: int,
        at: str,
        units: Sequence[str],
        town: Town | None,
    ) -> None:
        self.read, self.spots, self.end_ms, self.units, self.town = read, spots, end_ms, units, town
        spot = spots[at]
        self.way = Itinerary(start_ms, spot.place)
        self.at_spot = spot
        self.asleep = False
        self.now_ms = start_ms
        self.side = 1.0
        self.drinks: list[Drink] = []
        self.exposures: list[Exposure] = []
        self.forged: list[Forgery] = []
        self.spans: dict[str, list[Span]] = {}
        self.troubles: dict[str, UnitTroubles] = {name: UnitTroubles() for name in units}
        self.start_ms = start_ms

    # ------------------------------------------------------------------------------------------- one act

    def act(self, text: str, path: str) -> None:
        """Take in an act, and name what is wrong with it."""
        found = TIME.match(text)
        if found is None:
            self.read.refuse(
                path,
                f"{text!r} has no time",
                "Begin with a time (19:00, Tue 19:00), 'then', or 'after 10 min'.",
            )
            return
        try:
            at_ms = self._when(found)
            phrase = text[found.end() :]
            for form in PHRASES:
                match = re.fullmatch(form.pattern, phrase)
                if match is not None:
                    self._do(form.kind, match, at_ms, path, text)
                    return
            self.read.refuse(
                path,
                f"{phrase!r} is nothing that can be done",
                "Say it as docs/scenarios.md does, under Acts.",
            )
        except CivilTimeError as error:
            self.read.refuse(path, error.fact, error.remedy)

    def _when(self, found: re.Match[str]) -> int:
        if found["then"]:
            return self.way.end_ms
        if found["after"]:
            return self.way.end_ms + duration_ms(found["after"])
        return instant_ms(found["at"], self.now_ms)

    def _do(self, kind: Kind, match: re.Match[str], at_ms: int, path: str, text: str) -> None:
        if at_ms > self.end_ms:
            self.read.refuse(
                path, f"{text!r} comes after the end", "Let the scenario end later, or do it earlier."
            )
            return
        if kind in ("way", "about", "rest") and at_ms < self.way.end_ms:
            late_min = (self.way.end_ms - at_ms) / 60_000
            self.read.refuse(
                path,
                f"{text!r} begins {late_min:.1f} min before the last way has ended",
                "Begin later, or say 'then'.",
            )
            return
        self.now_ms = max(self.now_ms, at_ms)
        getattr(self, f"_{kind}")(match, at_ms, path)

    def _until(self, match: re.Match[str], at_ms: int) -> int:
        if match["until"]:
            return instant_ms(match["until"], at_ms)
        return at_ms + duration_ms(match["length"]) if match["length"] else self.end_ms

    def _spot(self, name: str, path: str) -> Spot:
        if name not in self.spots:
            self.read.refuse(path, f"{name!r} is no place", f"Places are: {', '.join(sorted(self.spots))}.")
            return self.at_spot
        return self.spots[name]

    # ------------------------------------------------------------------------------------------- movement

    def stay(self, until_ms: int) -> None:
        """Stay until an instant, stirring now and then if awake."""
        spot, home = self.at_spot, self.at_spot.place
        while not self.asleep and self.way.end_ms + 2 * _STIR_MS < until_ms:
            self._stand(self.way.end_ms + _STIR_MS)
            self.side = -self.side
            aside = home.offset(self.side * _STEP_M, 0.0)
            self.way.walk(
                aside, speed_kmh=_STEP_KMH, about=spot.about, covered=spot.covered, walls=spot.walls
            )
        self._stand(until_ms)

    def _stand(self, until_ms: int) -> None:
        spot = self.at_spot
        self.way.stay(until_ms, about=spot.about, covered=spot.covered, walls=spot.walls)

    def _way(self, match: re.Match[str], at_ms: int, path: str) -> None:
        self.stay(at_ms)
        kmh, about = TRAVEL[match["by"]]
        kmh = float(match["kmh"]) if match["kmh"] else kmh
        said = [word for word in (match["where"] or "").split(", ") if word]
        for word in said:
            about = _ABOUT.get(word, about)
        names = [*(match["via"].split(" and ") if match["via"] else ()), match["place"]]
        spots = [self._spot(name, path) for name in names]
        if kmh <= 0:
            self.read.refuse(path, "0 km/h gets nowhere", "Give a speed above 0.")
            return
        if self._through_town(match, spots[-1]):
            self.at_spot, self.asleep = spots[-1], False
            return
        covered = "without coverage" not in said
        self.way.walk(
            *(spot.place for spot in spots), speed_kmh=kmh, about=about, covered=covered, walls=_WALLS_AWAY
        )
        self.at_spot, self.asleep = spots[-1], False

    def _through_town(self, match: re.Match[str], to: Spot) -> bool:
        """Go by the streets, where both ends are places of the town and nothing else is said of the way."""
        door = self.at_spot.door
        plain = not (match["via"] or match["kmh"] or match["where"])
        if self.town is None or door is None or to.door is None or not plain or match["by"] not in _IN_TOWN:
            return False
        route = self.town.route(door, to.door, _IN_TOWN[match["by"]])
        covered = self.town.covered(np.array(route.x[1:]), np.array(route.y[1:])).tolist()
        legs = zip(route.x[1:], route.y[1:], route.seconds, route.about, covered, strict=True)
        for x, y, seconds, about, reached in legs:
            target = MARKET.offset(x, y)
            gone_m = self.way.at.distance_m(target)
            about_now = Surroundings(about)
            if gone_m < _STANDS_M:
                self.way.stay(
                    self.way.end_ms + round(seconds * 1000),
                    about=about_now,
                    covered=reached,
                    walls=_WALLS_AWAY,
                )
            else:
                kmh = gone_m / seconds * 3.6
                self.way.walk(target, speed_kmh=kmh, about=about_now, covered=reached, walls=_WALLS_AWAY)
        return True

    def _about(self, match: re.Match[str], at_ms: int, _path: str) -> None:
        self.stay(at_ms)
        said = match["where"].split(", ")
        about = next((_ABOUT[word] for word in said if word in _ABOUT), self.at_spot.about)
        self.at_spot = self.at_spot._replace(about=about, covered="without coverage" not in said)

    def _rest(self, match: re.Match[str], at_ms: int, _path: str) -> None:
        self.stay(at_ms)
        self.asleep = match["rest"] == "sleep"

    # ------------------------------------------------------------------------------------------ the rest

    def _drink(self, match: re.Match[str], at_ms: int, _path: str) -> None:
        self.drinks.append(Drink(at_ms, at_ms + duration_ms(match["over"]), float(match["grams"])))

    def _exposure(self, match: re.Match[str], at_ms: int, path: str) -> None:
        strength = float(match["strength"] or 1.0)
        if not match["every"]:
            self.exposures.append(Exposure(at_ms, match["stuff"], strength))  # type: ignore[arg-type]
            return
        every_ms = duration_ms(match["every"])
        if every_ms < 1000:
            self.read.refuse(path, "that is more often than once a second", "Give a longer interval.")
            return
        for t_ms in range(at_ms, self._until(match, at_ms), every_ms):
            self.exposures.append(Exposure(t_ms, match["stuff"], strength))  # type: ignore[arg-type]

    def _span(self, match: re.Match[str], at_ms: int, path: str) -> None:
        mine = self.spans.setdefault(_FIELD[match["span"]], [])
        self._take(mine, Span(at_ms, self._until(match, at_ms)), match["span"], path)

    def _take(self, mine: list[Span], span: Span, what: str, path: str) -> None:
        if span.end_ms <= span.start_ms:
            self.read.refuse(path, f"{what!r} ends before it begins", "Give a later end.")
        elif mine and span.start_ms < mine[-1].end_ms:
            self.read.refuse(
                path, f"{what!r} begins while it still goes on", "End the one before with 'until'."
            )
        else:
            mine.append(span)

    def _forge(self, match: re.Match[str], at_ms: int, path: str) -> None:
        to = self._spot(match["place"], path).place
        self.forged.append(Forgery(at_ms, self._until(match, at_ms), to))

    def _unit(self, match: re.Match[str], at_ms: int, path: str) -> None:
        name = match["unit"] or (self.units[0] if len(self.units) == 1 else "")
        if name not in self.troubles:
            known = ", ".join(self.units) or "none: give units"
            self.read.refuse(path, f"{name or 'unit'!r} is not a home unit of theirs", f"Known: {known}.")
            return
        span = Span(at_ms, self._until(match, at_ms))
        field_name = {"unplug unit": "no_mains", "silence unit": "off", "carry unit": "moved"}[
            match["trouble"]
        ]
        mine = list(getattr(self.troubles[name], field_name))
        self._take(mine, span, match["trouble"], path)
        changed: dict[str, Any] = {field_name: tuple(mine)}
        self.troubles[name] = replace(self.troubles[name], **changed)
        if field_name == "moved":
            to = self._spot(match["place"], path).place
            self.troubles[name] = replace(self.troubles[name], carried_to=to)

    def doings(self) -> Doings:
        """What it all comes to."""
        self.stay(self.end_ms)
        return Doings(
            self.way.way(),
            tuple(sorted(self.drinks)),
            tuple(sorted(self.exposures)),
            tuple(sorted(self.forged)),
            {name: tuple(spans) for name, spans in self.spans.items()},
            self.troubles,
        )


def doings(
    read: Reader,
    acts: Sequence[object],
    path: str,
    *,
    at: str,
    spots: Mapping[str, Spot],
    units: Sequence[str],
    start_ms: int,
    end_ms: int,
    town: Town | None = None,
) -> Doings:
    """What somebody who is at ``at`` at ``start_ms`` does until ``end_ms``; problems go to ``read``.

    ``town`` is where those of ``spots`` lie that have a door.
    """
    script = _Script(read, spots, start_ms, end_ms, at, units, town)
    for i, act in enumerate(acts):
        if isinstance(act, str):
            script.act(act, f"{path}[{i}]")
        else:
            read.refuse(
                f"{path}[{i}]", f"{act!r} is not a text", 'Give an act in words: "19:00 walk to pub".'
            )
    return script.doings()
