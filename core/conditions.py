"""The monitoring conditions of an order: what is to be watched, typed.

Every condition has ``id`` (which keeps its identity from one version of the order to the next), ``name``, and the
instants ``from_ms`` and ``to_ms`` (UTC ms) between which it is in force, where they differ from the order's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.schedule import ALWAYS, ALWAYS_MS, Schedule
from core.timetable import CurfewTimetable
from core.zones import Zone


@dataclass(frozen=True, slots=True)
class Address:
    """A place to be at: WGS84 degrees, and the radius (m) within which the wearer is at home.

    ``residence_requirement`` says that another requirement of the order binds the wearer to live here: probation may
    not move a curfew away from it (Sentencing Act 2020 Sch 9 para 10A).
    """

    name: str
    latitude: float
    longitude: float
    radius_m: float
    residence_requirement: bool = False


@dataclass(frozen=True, slots=True)
class CurfewPlace:
    """An address, and the times at which being there keeps the curfew."""

    address: Address
    timetable: CurfewTimetable


@dataclass(frozen=True, slots=True)
class CurfewCondition:
    """To be at an address at the times of a timetable.

    ``address`` and ``timetable`` are the primary address and its times; ``also`` the further addresses, each with its
    own. It is curfew whenever any of the timetables says so; where two say so at the same time, either address will
    do. ``boundary_area`` is the area that the court stated around the address, in its words; empty where it stated
    none.
    """

    id: str
    name: str
    address: Address
    timetable: CurfewTimetable
    also: tuple[CurfewPlace, ...] = ()
    boundary_area: str = ""
    from_ms: int = -ALWAYS_MS
    to_ms: int = ALWAYS_MS

    @property
    def places(self) -> tuple[CurfewPlace, ...]:
        """Every address with its times, the primary one first."""
        return (CurfewPlace(self.address, self.timetable), *self.also)


@dataclass(frozen=True, slots=True)
class _ZoneCondition:
    """What conditions about a zone share; ``warning_m`` is the width of the warning ring, 0 where there is none."""

    id: str
    name: str
    zone: Zone
    schedule: Schedule = ALWAYS
    warning_m: float = 0.0
    from_ms: int = -ALWAYS_MS
    to_ms: int = ALWAYS_MS


@dataclass(frozen=True, slots=True)
class ExclusionCondition(_ZoneCondition):
    """A zone to keep out of, at the times of its schedule; with a warning ring around it (``warning_m``)."""


@dataclass(frozen=True, slots=True)
class InclusionCondition(_ZoneCondition):
    """A zone to be in, at the times of its schedule; with a warning ring inside its edge (``warning_m``)."""


@dataclass(frozen=True, slots=True)
class RestrictionCondition(_ZoneCondition):
    """An area not to leave, at the times of its schedule; with a warning ring inside its edge (``warning_m``).

    An inclusion zone is a place to go to (a hostel by night); a restriction zone the area that a life is confined to.
    """


@dataclass(frozen=True, slots=True)
class AttendanceCondition:
    """Appointments to keep: to be in a zone at each period of a schedule, which is weekly or dated, never always.

    ``grace_min`` is how late an arrival still is on time; ``at_least_min`` how long the wearer is to stay, None for
    the whole of the appointment.
    """

    id: str
    name: str
    zone: Zone
    schedule: Schedule
    at_least_min: int | None = None
    grace_min: int = 0
    from_ms: int = -ALWAYS_MS
    to_ms: int = ALWAYS_MS


@dataclass(frozen=True, slots=True)
class TrailCondition:
    """To be followed: the trail may be looked at (design law 10), and has to be known; no place is forbidden."""

    id: str
    name: str
    from_ms: int = -ALWAYS_MS
    to_ms: int = ALWAYS_MS


class AlcoholMode(StrEnum):
    """What an alcohol condition asks of the wearer."""

    ABSTINENCE = "abstinence"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class AlcoholCondition:
    """Not to drink, or not to exceed a level.

    ``limit_tac_g_dl`` is the transdermal level of the order, in g/dl: always there in limit mode (it never comes from
    a default), always None in abstinence mode.
    """

    id: str
    name: str
    mode: AlcoholMode
    limit_tac_g_dl: float | None = None
    from_ms: int = -ALWAYS_MS
    to_ms: int = ALWAYS_MS


@dataclass(frozen=True, slots=True)
class StatedHours:
    """The times of a curfew at an address that has no place on the map yet; ``name`` is primary, secondary, ..."""

    name: str
    timetable: CurfewTimetable


@dataclass(frozen=True, slots=True)
class UnmonitoredCondition:
    """A condition that is on the order but that nothing here watches; a person has to be told.

    ``places`` are the hours of a curfew where they were stated: the law counts them although nobody is watched yet.
    """

    id: str
    type: str
    reason: str
    name: str = ""
    places: tuple[StatedHours, ...] = ()
    from_ms: int = -ALWAYS_MS
    to_ms: int = ALWAYS_MS

    def __str__(self) -> str:
        return f"condition {self.id!r} ({self.name or self.type}): {self.reason}"


ZoneCondition = ExclusionCondition | InclusionCondition | RestrictionCondition
Condition = (
    ExclusionCondition
    | InclusionCondition
    | RestrictionCondition
    | AttendanceCondition
    | CurfewCondition
    | TrailCondition
    | AlcoholCondition
)
