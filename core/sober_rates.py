"""What a day of an alcohol condition is called, why, and the two rates that are published together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from core.conditions import AlcoholMode


class DayState(StrEnum):
    """What is known of a day."""

    SOBER = "SOBER"
    NOT_SOBER = "NOT_SOBER"
    UNVERIFIED = "UNVERIFIED"


class Why(StrEnum):
    """Why a day is not SOBER."""

    DRANK = "drank"
    PART_OF_DAY = "part_of_day"
    TOO_FEW_READINGS = "too_few_readings"
    GAP = "gap"
    STRAP_OPEN = "strap_open"
    OBSTRUCTED = "obstructed"
    SUSPECTED = "suspected"
    BEGAN_UNSEEN = "began_unseen"
    CARRIED_OVER = "carried_over"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason and its sentence, with figures."""

    why: Why
    sentence: str


@dataclass(frozen=True, slots=True)
class SoberDay:
    """A civil day of one condition. ``valid`` of its ``half_hours`` have a valid reading."""

    day: date
    state: DayState
    mode: AlcoholMode
    valid: int
    half_hours: int
    reasons: tuple[Reason, ...]

    @property
    def words(self) -> str:
        """What the day is called on a screen."""
        if self.state == DayState.UNVERIFIED:
            return "unverified"
        if self.mode == AlcoholMode.LIMIT:
            return "compliant day" if self.state == DayState.SOBER else "not compliant"
        return "sober day" if self.state == DayState.SOBER else "not sober"


@dataclass(frozen=True, slots=True)
class SoberRates:
    """Both rates, never one without the other: sober of the verified days, sober of all days. None of no days."""

    sober: int
    verified: int
    days: int

    @property
    def of_verified(self) -> float | None:
        return self.sober / self.verified if self.verified else None

    @property
    def of_all(self) -> float | None:
        return self.sober / self.days if self.days else None


def sober_rates(days: Iterable[SoberDay]) -> SoberRates:
    """The rates of a calendar."""
    states = [day.state for day in days]
    sober = states.count(DayState.SOBER)
    return SoberRates(sober, sober + states.count(DayState.NOT_SOBER), len(states))
