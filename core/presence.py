"""HOME, NOT_HOME or UNKNOWN at an address: what it means, and who can say.

Two sources can say it. A **position** shows HOME when the whole of its uncertainty lies within the address's radius
plus the rule set's margin, NOT_HOME when the whole of it lies without; else it shows nothing. A **home unit** shows
HOME when it heard the tag, NOT_HOME when it listened in vain; it shows nothing when what it heard was weak or too
little (which breaks a silence all the same), nor while it can not be trusted: without mains, with its case open, or
moved since an officer saw it in its place. A unit whose link is down says nothing, and nothing is not absence.

What is shown holds until something else is, but no longer than the rule set lets a reading vouch; then the state is
UNKNOWN. Where position and home unit contradict each other, both within that time, nothing is shown: UNKNOWN.
Where any of several addresses will do, HOME is at one of them, and NOT_HOME away from all: then a unit that hears
nothing shows nothing, since it speaks for one address only. `core.sightings` does it reading by reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from core.conditions import Address
from core.readings import F64
from core.rules import RuleSet
from core.zones import scale_about


class Presence(IntEnum):
    """The three values."""

    UNKNOWN = 0
    HOME = 1
    NOT_HOME = 2


UNKNOWN, HOME, NOT_HOME = int(Presence.UNKNOWN), int(Presence.HOME), int(Presence.NOT_HOME)
BY_POSITION, BY_UNIT = 0, 1
"""Who shows it."""

Sightings = npt.NDArray[np.void]
"""What was shown when, dtype `SIGHTING`, ascending in time.

HOME and NOT_HOME; UNKNOWN only where a healthy home unit heard something too faint to show anything.
"""
SIGHTING = np.dtype(
    [
        ("t_ms", np.int64),
        ("presence", np.int64),
        ("source", np.int64),  # BY_POSITION or BY_UNIT
        (
            "span_ms",
            np.int64,
        ),  # of a home unit's interval, which ends at t_ms; no longer than since its last one
        ("away_m", np.float64),  # from the middle of the address; 0 by a unit
        ("key", np.uint64),
        ("by", np.int16),  # 0: the tag, by a position; else the home unit's index and one more
    ]
)


@dataclass(frozen=True, slots=True)
class Place:
    """An address compiled: longitude, latitude (degrees), reach (m) in ``spot``; metres per degree in ``scale``.

    ``unit`` is the index of the home unit that stands there, if one does.
    """

    spot: F64
    scale: F64
    unit: int


def place_of(address: Address, rules: RuleSet, unit: int = 0) -> Place:
    """Compile ``address`` (the only trigonometry)."""
    reach_m = address.radius_m + rules.address_margin_m
    spot = np.array([address.longitude, address.latitude, reach_m])
    return Place(spot, scale_about(address.latitude, address.latitude), unit)
