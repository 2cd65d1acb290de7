"""Heard at home: when home units kept hearing the tag, so that nobody asks where the wearer is who is known to be home.

A healthy home unit that hears a worn tag (`core.presence`) tells where the wearer is as well as a position does: within
the address's radius plus the margin. It breaks the silence of zones and of the trail. For a zone it counts only where
the whole of that circle lies on the side that the order allows: what a home unit hears never raises a visit, so it must
not hide one either.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.activation import Activation, Stretch, watches
from core.codes import among, kinds_of
from core.conditions import Address, CurfewCondition
from core.episodes import EPISODE, OPEN_MS, Episodes, limits
from core.family import Batch, Part
from core.presence import HOME, Place, Sightings, place_of
from core.readings import F64, EventCode
from core.rows import Rows
from core.rules import RuleSet
from core.sightings import PLACE, STAY, blank_sense, place_rows, sight
from core.slots import Slots

_OF_UNITS = kinds_of([EventCode.UNIT_MOVED, EventCode.UNIT_CHECKED])


@dataclass(frozen=True, slots=True)
class Spell:
    """A time (ms) in which a home unit kept hearing the tag: at most a silence between one contact and the next.

    ``spot`` is the address: longitude, latitude (degrees), reach (m). ``first_key`` and ``last_key`` name contacts,
    ``by`` the unit as in `core.episodes.EPISODE`.
    """

    start_ms: int
    end_ms: int
    spot: tuple[float, float, float]
    first_key: int
    last_key: int
    by: int


@dataclass(slots=True)
class Heard:
    """What home units heard of one activation's tag; nothing is kept of one that none has heard (``first`` −1).

    ``first`` on lie its slots, one a curfew; ``stay`` and ``place`` are the first of its rows in those tables.
    """

    activation: Activation
    first: int = -1
    count: int = 0
    stay: int = 0
    stays: int = 0
    place: int = 0
    places: int = 0
    spells: tuple[Spell, ...] = ()
    """Ascending."""


Saved = tuple[bytes, tuple[Spell, ...]]


class HomeUnits:
    """Keeps `Heard` in step with contacts, for a rule family that asks about silence of ``silence_s``."""

    def __init__(self, rules: RuleSet, silence_s: int) -> None:
        self._rules, self._limits = rules, limits(rules)
        self._quiet_ms = silence_s * 1000
        self._slots = Slots(blank_sense(), np.zeros(1, EPISODE))
        self._stays, self._places = Slots(terms=[np.zeros(1, STAY)]), Slots(terms=[np.zeros(1, PLACE)])

    def enrol(self, activation: Activation) -> Heard | None:
        """Take on an activation; None where its orders name no address."""
        orders = (activation.order, *activation.earlier)
        named = any(isinstance(one, CurfewCondition) for order in orders for one in order.conditions)
        return Heard(activation) if named else None

    def _begin(self, heard: Heard) -> None:
        """Work out where home units stand: something was heard of one."""
        curfews = list(watches(heard.activation, CurfewCondition))
        every = [stretch for watch in curfews for stretch in watch.stretches]
        stays: list[tuple[int, int, int, int, int, int]] = []
        places: list[Place] = []
        heard.count = len(curfews)
        heard.first = self._slots.take(heard.count, heard)
        for slot, watch in enumerate(curfews, heard.first):
            wordings: list[tuple[Address, ...]] = []
            for stretch in watch.stretches:
                if any(_contradict(stretch, other) for other in every):
                    continue
                words = tuple(place.address for place in stretch.condition.places)
                if words not in wordings:
                    wordings.append(words)
                first = len(places)
                places += [place_of(address, self._rules, i) for i, address in enumerate(words)]
                wording = wordings.index(words)
                stays.append((stretch.from_ms, stretch.to_ms, slot, wording, first, len(places)))
        heard.stays, heard.places = len(stays), len(places)
        heard.place, heard.stay = self._places.take(heard.places), self._stays.take(heard.stays)
        self._places.terms[0][heard.place : heard.place + heard.places] = place_rows(places)
        mine = self._stays.terms[0][heard.stay : heard.stay + heard.stays]
        mine[:] = np.array(stays, STAY)
        for name in ("first", "last"):
            mine[name] += heard.place

    def dismiss(self, heard: Heard | None) -> None:
        """Let an activation go."""
        if heard is not None and heard.first >= 0:
            self._slots.give_back(heard.first, heard.count)
            self._stays.give_back(heard.stay, heard.stays)
            self._places.give_back(heard.place, heard.places)
            heard.first = -1

    def reset(self, heard: Heard | None) -> None:
        """Back to nothing known."""
        if heard is not None and heard.first >= 0:
            self._slots.clear(heard.first, heard.count)
            heard.spells = ()

    def save(self, heard: Heard | None) -> Saved | None:
        """A copy of what is known."""
        if heard is None or heard.first < 0:
            return None
        return self._slots.save(heard.first, heard.count), heard.spells

    def restore(self, heard: Heard | None, saved: Saved | None) -> None:
        """Back to that."""
        if heard is None or saved is None:
            self.reset(heard)
        else:
            if heard.first < 0:  # saved in another life of this program
                self._begin(heard)
            self._slots.restore(heard.first, heard.count, saved[0])
            heard.spells = saved[1]

    def advance(self, batch: Batch, parts: Iterable[tuple[Heard | None, Part]]) -> None:
        """Take in the contacts of each part. Positions speak for themselves, elsewhere."""
        where = []
        for heard, part in parts:
            if heard is not None and _speaks(batch, part):
                if heard.first < 0:
                    self._begin(heard)
                where.append((heard.stay, heard.stay + heard.stays, 0, 0, *part.contacts, *part.events))
        if not where:
            return
        (stays,), (places,), (senses, drafts) = self._stays.terms, self._places.terms, self._slots.rows
        seen, offsets, slots, _ = sight(
            batch, np.array(where, np.int64), stays, places, senses, drafts, self._limits
        )
        told: dict[int, tuple[Heard, list[Rows]]] = {}
        for slot, (lo, hi) in zip(slots.tolist(), itertools.pairwise(offsets.tolist()), strict=True):
            home = seen[lo:hi][seen["presence"][lo:hi] == HOME]
            if len(home):
                heard = self._slots.owners[slot]
                mine = stays[heard.stay : heard.stay + heard.stays]
                at_ms = int(home["t_ms"][0])
                (here,) = mine[(mine["slot"] == slot) & (mine["from_ms"] <= at_ms) & (at_ms < mine["to_ms"])]
                spots = places["spot"][int(here["first"]) + home["by"] - 1]
                told.setdefault(id(heard), (heard, []))[1].append(_at_home(home, spots))
        for heard, some in told.values():
            rows = np.concatenate(some)
            rows = rows[np.lexsort((rows["key"], rows["t_ms"]))]
            spells = list(heard.spells)
            for spell in _spells(rows, self._quiet_ms):
                _join(spells, spell, self._quiet_ms)
            heard.spells = tuple(spells)


_AT_HOME = np.dtype(
    [
        ("t_ms", np.int64),
        ("key", np.uint64),
        ("by", np.int64),
        ("lon", np.float64),
        ("lat", np.float64),
        ("reach_m", np.float64),
    ]
)


def _at_home(home: Sightings, spots: F64) -> Rows:
    """Contacts that show the wearer home, with where that is."""
    rows = np.zeros(len(home), _AT_HOME)
    for name in ("t_ms", "key", "by"):
        rows[name] = home[name]
    rows["lon"], rows["lat"], rows["reach_m"] = spots.T
    return rows


def _spells(rows: Rows, quiet_ms: int) -> list[Spell]:
    """Contacts in order, put together while none is further from the next, nor elsewhere."""
    apart = np.diff(rows["t_ms"]) > quiet_ms
    for name in ("by", "lon", "lat", "reach_m"):
        apart |= rows[name][1:] != rows[name][:-1]
    marks = [0, *(np.flatnonzero(apart) + 1).tolist(), len(rows)]
    found = []
    for lo, hi in itertools.pairwise(marks):
        if lo < hi:
            first, last = rows[lo], rows[hi - 1]
            spot = float(first["lon"]), float(first["lat"]), float(first["reach_m"])
            times = int(first["t_ms"]), int(last["t_ms"])
            found.append(Spell(*times, spot, int(first["key"]), int(last["key"]), int(first["by"])))
    return found


def _contradict(one: Stretch[CurfewCondition], other: Stretch[CurfewCondition]) -> bool:
    """Whether two curfews in force together name different addresses for the same home unit: then it tells no place."""
    if one.from_ms >= other.to_ms or other.from_ms >= one.to_ms:
        return False
    pairs = zip(one.condition.places, other.condition.places, strict=False)
    return any(mine.address != theirs.address for mine, theirs in pairs)


def _speaks(batch: Batch, part: Part) -> bool:
    if part.contacts[0] < part.contacts[1]:
        return True
    codes = batch.events["code"][part.events[0] : part.events[1]]
    return len(codes) > 0 and bool(among(codes, _OF_UNITS).any())


def _join(spells: list[Spell], spell: Spell, quiet_ms: int) -> None:
    """Put a spell behind others, together with the last one where that goes on."""
    last = spells[-1] if spells else None
    if (
        last is None
        or (last.spot, last.by) != (spell.spot, spell.by)
        or spell.start_ms - last.end_ms > quiet_ms
    ):
        spells.append(spell)
    else:
        spells[-1] = replace(last, end_ms=spell.end_ms, last_key=spell.last_key)


def without_home(
    row: Episodes, spells: Sequence[Spell], lost_after: Callable[[Spell], int | None], now_ms: int
) -> tuple[list[Episodes], int | None]:
    """A time of whereabouts unknown less that in which home units told where the wearer was.

    ``lost_after`` says from when, after a spell, the whereabouts are unknown again; None where it tells nothing.
    Returns what is left; and when more of it begins, where that is after ``now_ms``.
    """
    left = []
    rest = row.copy()
    for spell in spells[bisect_right(spells, int(row["since_ms"]), key=lambda one: one.end_ms) :]:
        if spell.start_ms >= rest["end_ms"]:
            break
        again_ms = lost_after(spell)
        if again_ms is None:
            continue
        if spell.start_ms > rest["start_ms"]:
            before = rest.copy()
            before["end_ms"], before["end_key"], before["end_by"] = spell.start_ms, spell.first_key, spell.by
            left.append(before)
        rest["start_ms"] = max(int(rest["start_ms"]), again_ms)
        rest["since_ms"], rest["first_key"], rest["first_by"] = spell.end_ms, spell.last_key, spell.by
    if rest["start_ms"] >= rest["end_ms"]:
        return left, None
    if rest["end_ms"] == OPEN_MS and rest["start_ms"] > now_ms:
        return left, int(rest["start_ms"])
    return [*left, rest], None
