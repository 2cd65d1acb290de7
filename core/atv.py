"""Accumulated time violation (ATV): the unexcused minutes absent, added up over the order.

**An absence counts with the time for which it is certain ("at least"), less all the time that a practitioner has
discounted within it.** Added up that is A; B adds up what each could have been at most. A alone is held against the
allowance: the order's own, or else the rule set's 120 minutes (domain.md, MoJ prototype, default). Both bounds stay
true bounds: discounted time is taken whole from what is certain, wherever within the absence it lies.

An order outlasts a tag. What an earlier activation of it came to is handed to the next one as data
(`core.activation.Activation.carried`), because each may be judged elsewhere: `over_order` makes one list of the
absences of all, in which time that two devices saw at once counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.order import DiscountedTime, Order
from core.schedule import Interval
from core.timetable import joined

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Absence:
    """One absence of a curfew (UTC ms). ``end_ms`` is None while it goes on.

    ``since_ms``: the wearer is not known to have been at home after that; ``known_ms``: how long it was for certain;
    ``until_ms``: when it ended, or else the curfew will. ``first_by`` and ``last_by`` say whose the readings
    ``first_key`` and ``last_key`` are, as in `core.episodes.EPISODE`.
    """

    start_ms: int
    since_ms: int
    end_ms: int | None
    known_ms: int
    condition: str
    period_ms: int
    until_ms: int
    first_key: int
    last_key: int
    first_by: int = 0
    last_by: int = 0


@dataclass(frozen=True, slots=True)
class Atv:
    """The sum: ``at_least_ms`` (A); ``at_most_ms`` (B), None while an absence goes on; how many absences count.

    ``reached`` is the absence with which A came to the allowance, and ``reached_ms`` when, if it did; no earlier than
    that where part of it is unknown.
    """

    allowance_ms: int
    at_least_ms: int
    at_most_ms: int | None
    absences: int
    reached: Absence | None
    reached_ms: int | None


def accumulated(absences: Iterable[Absence], discounts: Sequence[DiscountedTime], allowance_min: int) -> Atv:
    """Add up ``absences``, given in any order, each once."""
    allowance_ms = allowance_min * _MINUTE_MS
    at_least, at_most, count = 0, 0, 0
    going_on = False
    reached: Absence | None = None
    reached_ms: int | None = None
    for absence in sorted(absences, key=lambda one: (one.start_ms, one.condition, one.period_ms)):
        excused = joined(
            (discount.from_ms, discount.to_ms)
            for discount in discounts
            if discount.condition in (None, absence.condition)
        )
        taken_ms = _overlap(excused, absence.start_ms, absence.until_ms)
        counts_ms = max(0, absence.known_ms - taken_ms)
        if absence.end_ms is None:
            going_on = True
        else:
            at_most += absence.end_ms - absence.since_ms
            at_most -= _overlap(excused, absence.since_ms, absence.end_ms)
        count += counts_ms > 0
        if reached is None and counts_ms and at_least + counts_ms >= allowance_ms:
            reached = absence
            reached_ms = min(absence.start_ms + taken_ms + allowance_ms - at_least, absence.until_ms)
        at_least += counts_ms
    return Atv(allowance_ms, at_least, None if going_on else at_most, count, reached, reached_ms)


def over_order(activations: Iterable[Iterable[Absence]]) -> list[Absence]:
    """The absences of all activations of one order, given in any order; ascending.

    Where two of them overlap, of the same condition, two devices saw the same absence: they become one, which is
    certain for as long as either says, or both together less what they have in common; never less than the absences
    of one device in it add up to, which do not overlap.
    """
    found: dict[str, list[_Merged]] = {}
    every = [(absence, device) for device, some in enumerate(activations) for absence in some]
    for absence, device in sorted(every, key=lambda one: _turn(one[0])):
        mine = found.setdefault(absence.condition, [])
        if mine and absence.start_ms < mine[-1].absence.until_ms:
            mine[-1].absence = _both(mine[-1].absence, absence)
        else:
            mine.append(_Merged(absence, Counter()))
        mine[-1].known_ms[device] += absence.known_ms
    return in_turn(one.whole() for mine in found.values() for one in mine)


@dataclass(slots=True)
class _Merged:
    """One absence as several devices saw it, and for how long each was certain of it."""

    absence: Absence
    known_ms: Counter[int]

    def whole(self) -> Absence:
        known_ms = max(self.absence.known_ms, *self.known_ms.values())
        return replace(self.absence, known_ms=known_ms)


def in_turn(absences: Iterable[Absence]) -> list[Absence]:
    """Absences by their fields in turn; of two alike one that goes on comes after one that has ended."""
    return sorted(absences, key=_turn)


def _turn(one: Absence) -> tuple[int | str, ...]:
    end = (1, 0) if one.end_ms is None else (0, one.end_ms)
    begin = one.start_ms, one.since_ms, *end, one.known_ms, one.condition, one.period_ms, one.until_ms
    return *begin, one.first_key, one.last_key, one.first_by, one.last_by


def _both(one: Absence, other: Absence) -> Absence:
    """Two absences that overlap, ``one`` the earlier, as one."""
    shared_ms = min(one.until_ms, other.until_ms) - other.start_ms
    later = max(one, other, key=lambda absence: (absence.until_ms, absence.last_key))
    return replace(
        one,
        since_ms=min(one.since_ms, other.since_ms),
        end_ms=None if None in (one.end_ms, other.end_ms) else later.end_ms,
        known_ms=max(one.known_ms, other.known_ms, one.known_ms + other.known_ms - shared_ms),
        until_ms=later.until_ms,
        last_key=later.last_key,
        last_by=later.last_by,
    )


def allowance_of(order: Order, default_min: int) -> int:
    """The minutes that an order allows, or else ``default_min``."""
    return default_min if order.atv_allowance_min is None else order.atv_allowance_min


def _overlap(periods: Iterable[Interval], from_ms: int, to_ms: int) -> int:
    return sum(max(0, min(end, to_ms) - max(start, from_ms)) for start, end in periods)
