"""From records on the wire to columns in memory: SI units, NaN where the device did not know.

Every function takes one block's records (shape ``(n,)``, the kind's dtype of `core.readings.WIRE`), the block's base
time, the journal's epoch and the number of the first record. Records whose time is unset prove nothing: leave them out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.readings import (
    F64,
    U8,
    Contacts,
    EventCode,
    Events,
    Kind,
    Positions,
    SampleFlag,
    Samples,
    TagStateFlag,
    TamperCode,
    UnitFlag,
)

UNIT_UNKNOWN = -1
"""No home unit's index: what is decoded is of a tag, or whose it is will be said later."""

_DOUBTFUL = 1 << 2
_UNKNOWN_U8, _UNKNOWN_U16, _UNKNOWN_I16, _UNKNOWN_DBM = 255, 65535, -32768, 127

_OF_TAG = {
    (TamperCode.LINK, 1): EventCode.LINK_TAMPER,
    (TamperCode.STRAP, 1): EventCode.STRAP_OPEN,
    (TamperCode.STRAP, 0): EventCode.STRAP_CLOSED,
    (TamperCode.CASE, 1): EventCode.CASE_OPEN,
    (TamperCode.CASE, 0): EventCode.CASE_CLOSED,
    (TamperCode.JAMMING, 1): EventCode.JAMMING,
    (TamperCode.SPOOFING, 1): EventCode.SPOOFING,
    (TamperCode.MOTION_FAULT, 1): EventCode.MOTION_FAULT,
    (TamperCode.MOTION_FAULT, 0): EventCode.MOTION_WELL,
    (TamperCode.SAFE_MODE, 1): EventCode.SAFE_MODE,
    (TamperCode.TAG_CHECKED, 1): EventCode.OFFICER_CHECK,
    (TamperCode.SENSOR_FAULT, 1): EventCode.SENSOR_FAULT,
    (TamperCode.SENSOR_FAULT, 0): EventCode.SENSOR_WELL,
    (TamperCode.KEPT_LOST, 1): EventCode.SETTINGS_LOST,
    (TamperCode.KEPT_LOST, 2): EventCode.COMMANDS_LOST,
}
_OF_UNIT = {
    (TamperCode.CASE, 1): EventCode.UNIT_CASE_OPEN,
    (TamperCode.CASE, 0): EventCode.UNIT_CASE_CLOSED,
    (TamperCode.MAINS, 1): EventCode.MAINS_LOST,
    (TamperCode.MAINS, 0): EventCode.MAINS_BACK,
    (TamperCode.MOVED, 1): EventCode.UNIT_MOVED,
    # TamperCode.BEACON is news for people only: the contact record beside it says of which tag the beacons were
    (TamperCode.BACKUP_BATTERY_LOW, 1): EventCode.UNIT_BATTERY_LOW,
    (TamperCode.BACKUP_BATTERY_LOW, 0): EventCode.UNIT_BATTERY_WELL,
    (TamperCode.MOTION_FAULT, 1): EventCode.UNIT_MOTION_FAULT,
    (TamperCode.MOTION_FAULT, 0): EventCode.UNIT_MOTION_WELL,
    (TamperCode.SAFE_MODE, 1): EventCode.UNIT_SAFE_MODE,
    (TamperCode.UNIT_CHECKED, 1): EventCode.UNIT_CHECKED,
    (TamperCode.KEPT_LOST, 1): EventCode.UNIT_SETTINGS_LOST,
    (TamperCode.KEPT_LOST, 2): EventCode.UNIT_COMMANDS_LOST,
}
"""What (code, something or nothing as detail) means; what stands in neither means nothing of such a device."""
_EITHER_WAY = (
    TamperCode.LINK,
    TamperCode.JAMMING,
    TamperCode.SPOOFING,
    TamperCode.SAFE_MODE,
    TamperCode.TAG_CHECKED,
    TamperCode.UNIT_CHECKED,
)
"""Codes whose detail is a figure: of nothing, too, they say that it happened."""
_BY_DETAIL = (TamperCode.KEPT_LOST,)
"""Codes whose detail says what happened."""


def positions_from_wire(records: npt.NDArray[np.void], base_time_s: int, epoch: int, first: int) -> Positions:
    """Decode one block of position records (``POSITION_WIRE``) into columns.

    ``base_time_s`` is the block's base time, ``first`` the sequence number of its first record.
    """
    n = len(records)

    def known(name: str, unknown: int, scale: float) -> F64:
        raw = records[name]
        return np.where(raw == unknown, np.nan, raw * scale).astype(np.float64)

    satellites = records["satellites"].astype(np.int16)
    satellites[satellites == _UNKNOWN_U8] = -1
    return Positions(
        t_ms=base_time_s * 1000 + records["dt"].astype(np.int64) * 100,
        lat=records["lat"] / 1e7,
        lon=records["lon"] / 1e7,
        precision_m=known("precision", _UNKNOWN_U16, 0.1),
        speed_kmh=known("speed", _UNKNOWN_U8, 1.0),
        course_deg=known("course", _UNKNOWN_U8, 1.5),
        hdop=known("hdop", _UNKNOWN_U8, 0.1),
        satellites=satellites,
        flags=records["flags"].copy(),
        epoch=np.full(n, epoch, np.uint32),
        seq=np.arange(first, first + n, dtype=np.uint32),
    )


def contacts_from_wire(
    records: npt.NDArray[np.void], base_time_s: int, epoch: int, first: int, unit: int = UNIT_UNKNOWN
) -> Contacts:
    """Decode one block of contact records (``CONTACT_WIRE``) into columns; ``unit`` is the home unit's index.

    Which tag each is about (``records["beacon"]``) has no column: whoever decodes chooses.
    """
    n = len(records)
    unheard = records["count"] == 0

    def dbm(name: str) -> F64:
        unknown = (records[name] == _UNKNOWN_DBM) | unheard
        return np.where(unknown, np.nan, records[name]).astype(np.float64)

    return Contacts(
        t_ms=base_time_s * 1000 + records["dt"].astype(np.int64) * 100,
        span_s=records["span"].astype(np.float64),
        count=records["count"].astype(np.int64),
        strongest_dbm=dbm("strongest"),
        median_dbm=dbm("median"),
        unit=np.full(n, unit, np.int64),
        unit_ok=_unit_ok(records),
        epoch=np.full(n, epoch, np.uint32),
        seq=np.arange(first, first + n, dtype=np.uint32),
    )


def _unit_ok(records: npt.NDArray[np.void]) -> U8:
    doubtful = records["flags"] & _DOUBTFUL != 0
    return np.where(
        doubtful, records["unit"] | UnitFlag.DOUBTFUL, records["unit"] & ~UnitFlag.DOUBTFUL
    ).astype(np.uint8)


def samples_from_wire(records: npt.NDArray[np.void], base_time_s: int, epoch: int, first: int) -> Samples:
    """Decode one block of alcohol samples (``SAMPLE_WIRE``) into columns; what a faulty sensor says is unknown."""
    n = len(records)
    faulty = records["flags"] & SampleFlag.FAULT != 0

    def known(name: str, unknown: int, scale: float) -> F64:
        raw = records[name]
        return np.where((raw == unknown) | faulty, np.nan, raw * scale).astype(np.float64)

    return Samples(
        t_ms=base_time_s * 1000 + records["dt"].astype(np.int64) * 100,
        tac_g_dl=known("tac", _UNKNOWN_I16, 1e-5),
        ir_v=known("infrared", _UNKNOWN_U16, 1e-3),
        temp_c=known("temperature", _UNKNOWN_I16, 0.01),
        flags=records["flags"].copy(),
        epoch=np.full(n, epoch, np.uint32),
        seq=np.arange(first, first + n, dtype=np.uint32),
    )


EVENT_KINDS = (Kind.STATUS, Kind.TAMPER, Kind.BOOT, Kind.GAP, Kind.TIME)


def events_from_wire(
    kind: int,
    records: npt.NDArray[np.void],
    base_time_s: int,
    epoch: int,
    first: int,
    unit: int = UNIT_UNKNOWN,
) -> Events:
    """Decode one block of a kind of `EVENT_KINDS`: each record is one event, or none where it means nothing to us.

    ``unit`` is the home unit's index, if it was one that said this: a unit speaks of its mains, its place, its case and
    what it heard, a tag of itself.
    """
    n = len(records)
    code = np.zeros(n, np.int64)
    value = np.full(n, np.nan)
    of_unit = unit != UNIT_UNKNOWN
    if kind == Kind.TAMPER:
        _tampered(records, _OF_UNIT if of_unit else _OF_TAG, code, value)
        value[:] = unit if of_unit else value
    elif not of_unit and kind == Kind.STATUS:
        code[:] = EventCode.BATTERY
        code[records["charger"] == 1] = EventCode.BATTERY_ON_CHARGER
        code[records["charger"] == 0] = EventCode.BATTERY_OFF_CHARGER
        known = records["battery"] != _UNKNOWN_U16
        value[known] = records["battery"][known]
        code[~known & (code == EventCode.BATTERY)] = 0
    elif not of_unit and kind == Kind.BOOT:
        code[:], value[:] = EventCode.BOOT, records["cause"]
    elif not of_unit and kind == Kind.GAP:
        code[:], value[:] = EventCode.GAP, records["count"]
    elif not of_unit and kind == Kind.TIME:
        code[:], value[:] = EventCode.CLOCK_SET, records["step"]
    events = Events(
        t_ms=base_time_s * 1000 + records["dt"].astype(np.int64) * 100,
        code=code,
        value=value,
        epoch=np.full(n, epoch, np.uint32),
        seq=np.arange(first, first + n, dtype=np.uint32),
    )
    return events.take(np.flatnonzero(code))


_BATTERY_UNIT_MV = 20
_AGE_UNIT_MS = 10_000


def tag_states_from_wire(records: npt.NDArray[np.void], base_time_s: int, epoch: int, first: int) -> Events:
    """Decode one block of what a home unit says of RF tags (``TAG_STATE_WIRE``): several events for each record.

    They are of the tag (``records["beacon"]``, the event's number says which record), not of the unit. What was opened
    happened ``age`` before the record's time, or at it where the age is not known; a strap that was opened since the
    last officer's check and is closed now was opened then at the latest; one that was not opened since tells that an
    officer has checked it since whatever was told before. Events of one record differ by milliseconds:
    instant and number name a reading.
    """
    t_ms = base_time_s * 1000 + records["dt"].astype(np.int64) * 100
    age_ms = np.where(records["age"] == _UNKNOWN_U16, 0, records["age"].astype(np.int64) * _AGE_UNIT_MS)
    state = records["state"]
    opened = state & (TagStateFlag.STRAP_OPEN | TagStateFlag.STRAP_WAS_OPENED) != 0
    open_now = state & TagStateFlag.STRAP_OPEN != 0
    nothing = np.full(len(records), np.nan)
    known = records["battery"] != _UNKNOWN_U8
    rows = (
        (opened, t_ms - age_ms, EventCode.STRAP_OPEN, nothing),
        (opened & ~open_now, t_ms - age_ms + 1, EventCode.STRAP_CLOSED, nothing),
        (~opened, t_ms + 1, EventCode.STRAP_CHECKED, nothing),
        (state & TagStateFlag.CASE_OPEN != 0, t_ms - age_ms + 2, EventCode.CASE_OPEN, nothing),
        (state & TagStateFlag.STARTED != 0, t_ms + 3, EventCode.BOOT, nothing),
        (known, t_ms + 4, EventCode.BATTERY, records["battery"].astype(np.float64) * _BATTERY_UNIT_MV),
    )
    parts = [
        Events(
            t_ms=at[mine],
            code=np.full(int(mine.sum()), code, np.int64),
            value=value[mine],
            epoch=np.full(int(mine.sum()), epoch, np.uint32),
            seq=(first + np.flatnonzero(mine)).astype(np.uint32),
        )
        for mine, at, code, value in rows
    ]
    return Events.concatenate(parts)


def forged_from_wire(records: npt.NDArray[np.void], base_time_s: int, epoch: int, first: int) -> Events:
    """Of a block of contact records: where the unit refused beacons in the tag's name (``value`` is to be set)."""
    refused = np.flatnonzero(records["refused"])
    return Events(
        t_ms=base_time_s * 1000 + records["dt"][refused].astype(np.int64) * 100,
        code=np.full(len(refused), EventCode.FORGED_BEACON, np.int64),
        value=np.full(len(refused), np.nan),
        epoch=np.full(len(refused), epoch, np.uint32),
        seq=(first + refused).astype(np.uint32),
    )


def _tampered(records: Any, meanings: dict[tuple[TamperCode, int], EventCode], code: Any, value: Any) -> None:
    value[:] = records["detail"]
    for (tamper, happened), meaning in meanings.items():
        mine = records["code"] == tamper
        if tamper in _BY_DETAIL:
            mine &= records["detail"] == happened
        elif tamper not in _EITHER_WAY:
            mine &= (records["detail"] != 0) == bool(happened)
        code[mine] = meaning
