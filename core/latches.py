"""Things that were reported amiss and are not over: tamper, faults, home units' troubles, signs of jamming and forging.

Reported by events, or by the flags that a home unit sends with every contact. What flags reported, flags can end; what
an event reported ends by the event that answers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from core.alerts import Evidence, Source
from core.codes import among, kinds_of
from core.equipment_alerts import (
    CASE,
    COMMANDS_LOST,
    FORGED_BEACONS,
    JAMMING,
    MOTION,
    MOVED,
    NO_MAINS,
    NOTHING,
    SAFE_MODE,
    SENSOR,
    SETTINGS_LOST,
    SPOOFING,
    STRAP,
    UNIT_BATTERY,
    UNIT_CASE,
    UNIT_COMMANDS_LOST,
    UNIT_MOTION,
    UNIT_SAFE_MODE,
    UNIT_SETTINGS_LOST,
    Latch,
)
from core.readings import EventCode, UnitFlag
from core.rows import Rows

_OPENS = {
    EventCode.STRAP_OPEN: STRAP,
    EventCode.CASE_OPEN: CASE,
    EventCode.MAINS_LOST: NO_MAINS,
    EventCode.UNIT_MOVED: MOVED,
    EventCode.UNIT_CASE_OPEN: UNIT_CASE,
    EventCode.UNIT_BATTERY_LOW: UNIT_BATTERY,
    EventCode.UNIT_MOTION_FAULT: UNIT_MOTION,
    EventCode.MOTION_FAULT: MOTION,
    EventCode.SENSOR_FAULT: SENSOR,
}
_SHUTS = {
    EventCode.STRAP_CLOSED: STRAP,
    EventCode.CASE_CLOSED: CASE,
    EventCode.UNIT_CASE_CLOSED: UNIT_CASE,
}
_ENDS = {
    EventCode.OFFICER_CHECK: (STRAP, CASE),
    EventCode.STRAP_CHECKED: (STRAP,),
    EventCode.MAINS_BACK: (NO_MAINS, UNIT_BATTERY),
    EventCode.UNIT_CHECKED: (MOVED, UNIT_CASE),
    EventCode.UNIT_BATTERY_WELL: (UNIT_BATTERY,),
    EventCode.UNIT_MOTION_WELL: (UNIT_MOTION,),
    EventCode.MOTION_WELL: (MOTION,),
    EventCode.SENSOR_WELL: (SENSOR,),
}
_SIGNS = {
    EventCode.JAMMING: JAMMING,
    EventCode.SPOOFING: SPOOFING,
    EventCode.SAFE_MODE: SAFE_MODE,
    EventCode.UNIT_SAFE_MODE: UNIT_SAFE_MODE,
    EventCode.FORGED_BEACON: FORGED_BEACONS,
    EventCode.SETTINGS_LOST: SETTINGS_LOST,
    EventCode.UNIT_SETTINGS_LOST: UNIT_SETTINGS_LOST,
    EventCode.COMMANDS_LOST: COMMANDS_LOST,
    EventCode.UNIT_COMMANDS_LOST: UNIT_COMMANDS_LOST,
}
OF_UNIT = (
    NO_MAINS,
    MOVED,
    UNIT_CASE,
    UNIT_BATTERY,
    UNIT_MOTION,
    UNIT_SAFE_MODE,
    FORGED_BEACONS,
    UNIT_SETTINGS_LOST,
    UNIT_COMMANDS_LOST,
)
_BY_UNIT = {code for code in EventCode if EventCode.MAINS_LOST <= code <= EventCode.UNIT_COMMANDS_LOST}
_RARE = kinds_of({*_OPENS, *_SHUTS, *_ENDS, *_SIGNS})
_FLAGS = {
    NO_MAINS: (UnitFlag.MAINS, 0),
    MOVED: (UnitFlag.MOVED, int(UnitFlag.MOVED)),
    UNIT_CASE: (UnitFlag.CASE_OPEN, int(UnitFlag.CASE_OPEN)),
    UNIT_BATTERY: (UnitFlag.BATTERY_LOW, int(UnitFlag.BATTERY_LOW)),
}
"""Which bit of ``Contacts.unit_ok`` speaks of what, and its value when it is amiss."""
_HEALTHY = int(UnitFlag.MAINS)
_OF_ITSELF = ~UnitFlag.DOUBTFUL & 0xFF
_UNITS = 1000
"""More than any order has addresses: a number beyond is not one."""

Over = tuple[Latch, int, Evidence]
"""What is over, when, and by which reading."""
Latches = dict[tuple[str, int], Latch]
"""What is amiss, by rule and home unit (−1: the tag)."""


def hear(
    events: Rows, contacts: Rows, latches: Latches, flags: dict[int, int], quiet_ms: Mapping[str, int]
) -> list[Over]:
    """Carry ``latches`` and ``flags`` on through events and contacts, each ascending; what is over.

    ``flags`` is what each home unit said of itself last, where it was not healthy; ``quiet_ms`` by rule: a sign that
    was not reported for longer is over. Returns each latch that is over
    with the instant of its end and the reading that ends it.
    """
    rare = events[among(events["code"], _RARE)]
    # at one instant events come first
    told = [(int(row["t_ms"]), 0, i, row) for i, row in enumerate(rare)]
    told += [(int(row["t_ms"]), 1, i, row) for i, row in enumerate(_changes(contacts, flags))]
    over: list[Over] = []
    for _, of_contact, _, row in sorted(told, key=lambda one: one[:3]):
        over += _said_by_unit(latches, row) if of_contact else _happened(latches, row, quiet_ms)
    return over


def _happened(latches: Latches, row: Any, quiet_ms: Mapping[str, int]) -> list[Over]:
    code, t_ms, key, value = EventCode(int(row["code"])), int(row["t_ms"]), int(row["key"]), row["value"]
    # a unit that does not say which it is, is the first
    unit = int(value) if 0 <= value < _UNITS else 0
    of = Source("event", unit if code in _BY_UNIT else None)
    if code in _OPENS:
        rule = _OPENS[code]
        name = (rule, unit if rule in OF_UNIT else -1)
        known = latches.get(name)
        if known is None:
            latches[name] = Latch(*name, t_ms, key, of, t_ms, key, of)
        else:
            latches[name] = replace(known, closed_ms=None, by_contact=False)
    elif code in _SHUTS:
        rule = _SHUTS[code]
        name = (rule, unit if rule in OF_UNIT else -1)
        if name in latches:
            latches[name] = replace(latches[name], closed_ms=t_ms, last_ms=t_ms, last_key=key, last_of=of)
    elif code in _ENDS:
        names = [(rule, unit if rule in OF_UNIT else -1) for rule in _ENDS[code]]
        return [(latches.pop(name), t_ms, Evidence(key, of)) for name in names if name in latches]
    else:
        rule = _SIGNS[code]
        return _sign(latches, (rule, unit if rule in OF_UNIT else -1), of, t_ms, key, quiet_ms[rule])
    return []


def _sign(
    latches: Latches, name: tuple[str, int], of: Source, t_ms: int, key: int, quiet_ms: int
) -> list[Over]:
    known = latches.get(name)
    if known is not None and t_ms - known.last_ms <= quiet_ms:
        latches[name] = replace(known, last_ms=t_ms, last_key=key, count=known.count + 1)
        return []
    latches[name] = Latch(*name, t_ms, key, of, t_ms, key, of)
    return [] if known is None else [(known, known.last_ms, NOTHING)]


def _said_by_unit(latches: Latches, row: Any) -> list[Over]:
    """A contact with which a home unit says something else of itself than before."""
    over = []
    unit, t_ms, key = int(row["unit"]), int(row["t_ms"]), int(row["key"])
    of = Source("contact", unit)
    for rule, (bit, amiss) in _FLAGS.items():
        name = (rule, unit)
        if int(row["unit_ok"]) & bit == amiss:
            latches.setdefault(name, Latch(rule, unit, t_ms, key, of, t_ms, key, of, by_contact=True))
        elif name in latches and latches[name].by_contact:
            over.append((latches.pop(name), t_ms, Evidence(key, of)))
    return over


def _changes(contacts: Rows, flags: dict[int, int]) -> list[Any]:
    """Contacts with which a home unit says something else of itself than with the one before; ``flags`` carried on."""
    if not len(contacts) or (not flags and (contacts["unit_ok"] & _OF_ITSELF == _HEALTHY).all()):
        return []
    found: list[int] = []
    for unit in np.unique(contacts["unit"]).tolist():
        rows = np.flatnonzero(contacts["unit"] == unit)
        said = contacts["unit_ok"][rows] & _OF_ITSELF
        before = np.concatenate([[flags.get(unit, _HEALTHY)], said[:-1]])
        found += rows[said != before].tolist()
        flags[unit] = int(said[-1])
        if flags[unit] == _HEALTHY:
            del flags[unit]
    return [contacts[i] for i in sorted(found)]
