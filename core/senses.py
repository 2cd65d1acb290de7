"""Which conditions each kind of device can tell of.

A wearer may have two devices under one order. Each is an activation of its own, and what it can not sense it does not
judge: an alcohol tag has no opinion of a zone, and its silence about one is not the wearer's. What no device of an
order can sense is not monitored.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.conditions import (
    AlcoholCondition,
    AttendanceCondition,
    Condition,
    CurfewCondition,
    ExclusionCondition,
    InclusionCondition,
    RestrictionCondition,
    TrailCondition,
)

EVERYTHING: frozenset[type[Condition]] = frozenset(
    {
        ExclusionCondition,
        InclusionCondition,
        RestrictionCondition,
        AttendanceCondition,
        CurfewCondition,
        TrailCondition,
        AlcoholCondition,
    }
)
SENSES: Mapping[str, frozenset[type[Condition]]] = MappingProxyType(
    {
        "gps_tag": EVERYTHING - {AlcoholCondition},
        "rf_tag": frozenset({CurfewCondition}),
        "alcohol_tag": frozenset({AlcoholCondition}),
    }
)
"""By kind of device; a home unit is nobody's activation: it speaks for tags."""
