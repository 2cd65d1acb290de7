"""What a tag can say: every reading kind, its layout on the wire and its columns in memory.

The layouts are those of ``docs/protocol.md``; a kind's layout never changes. In memory readings are columns: one array
per quantity, all of one length, in SI units or those named by the suffix. Instants are UTC, milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]


class Kind(IntEnum):
    """Reading kinds of protocol version 1."""

    POSITION = 1
    RF_CONTACT = 2
    ALCOHOL = 3
    STATUS = 4
    TAMPER = 5
    BOOT = 6
    GAP = 7
    TIME = 8
    TAG_STATE = 9
    COMMAND = 10


class TimeQuality(IntEnum):
    """How well a tag knew the time when it stamped a reading (bits 0-1 of every record's flags)."""

    UNSET = 0
    KEPT = 1
    TIME_OF_DAY = 2
    GNSS = 3


class PositionFlag(IntFlag):
    """Bits of a position's flags above the time quality."""

    THREE_D = 1 << 2
    NOT_SATELLITE = 1 << 3
    NO_CHECKSUM = 1 << 4
    PRECISION_GST = 1 << 5
    DATE_SUSPECT = 1 << 6
    NOT_MOVED = 1 << 7
    """Not carried away since the position before, says a motion sensor that has passed its tests."""


class SampleFlag(IntFlag):
    """Bits of an alcohol sample's flags above the time quality."""

    FAST = 1 << 2
    BASELINE = 1 << 3
    FAULT = 1 << 4
    """The sensor does not work: its values prove nothing."""


TIME_QUALITY_MASK = 0b11

POSITION_WIRE = np.dtype(
    [
        ("dt", "<u2"),
        ("lat", "<i4"),
        ("lon", "<i4"),
        ("precision", "<u2"),
        ("speed", "u1"),
        ("course", "u1"),
        ("satellites", "u1"),
        ("hdop", "u1"),
        ("flags", "u1"),
    ]
)
CONTACT_WIRE = np.dtype(
    [
        ("dt", "<u2"),
        ("beacon", "<u4"),
        ("span", "<u2"),
        ("count", "<u2"),
        ("strongest", "i1"),
        ("median", "i1"),
        ("counter", "<u4"),
        ("refused", "u1"),
        ("unit", "u1"),
        ("flags", "u1"),
    ]
)
SAMPLE_WIRE = np.dtype(
    [("dt", "<u2"), ("tac", "<i2"), ("infrared", "<u2"), ("temperature", "<i2"), ("flags", "u1")]
)
STATUS_WIRE = np.dtype(
    [
        ("dt", "<u2"),
        ("battery", "<u2"),
        ("temperature", "i1"),
        ("charger", "u1"),
        ("rejected", "<u2"),
        ("flags", "u1"),
    ]
)
TAMPER_WIRE = np.dtype([("dt", "<u2"), ("code", "u1"), ("detail", "<u2"), ("flags", "u1")])
BOOT_WIRE = np.dtype([("dt", "<u2"), ("cause", "u1"), ("version", "<u2"), ("boots", "<u2"), ("flags", "u1")])
GAP_WIRE = np.dtype([("dt", "<u2"), ("first", "<u4"), ("count", "<u4"), ("reason", "u1"), ("flags", "u1")])
TIME_WIRE = np.dtype([("dt", "<u2"), ("uptime", "<u4"), ("step", "<i4"), ("source", "u1"), ("flags", "u1")])
TAG_STATE_WIRE = np.dtype(
    [
        ("dt", "<u2"),
        ("beacon", "<u4"),
        ("counter", "<u4"),
        ("battery", "u1"),
        ("state", "u1"),
        ("age", "<u2"),
        ("flags", "u1"),
    ]
)
COMMAND_WIRE = np.dtype(
    [("dt", "<u2"), ("generation", "<u4"), ("n", "<u4"), ("outcome", "u1"), ("flags", "u1")]
)

WIRE: dict[int, np.dtype[np.void]] = {
    Kind.POSITION: POSITION_WIRE,
    Kind.RF_CONTACT: CONTACT_WIRE,
    Kind.ALCOHOL: SAMPLE_WIRE,
    Kind.STATUS: STATUS_WIRE,
    Kind.TAMPER: TAMPER_WIRE,
    Kind.BOOT: BOOT_WIRE,
    Kind.GAP: GAP_WIRE,
    Kind.TIME: TIME_WIRE,
    Kind.TAG_STATE: TAG_STATE_WIRE,
    Kind.COMMAND: COMMAND_WIRE,
}


class TamperCode(IntEnum):
    """What a tamper record tells. ``detail`` is given with each; 1 and 0 say that something began and is over."""

    LINK = 1
    """Forged messages came down; how many since the last such record."""
    STRAP = 2
    CASE = 3
    MAINS = 4
    """1: lost; 0: back."""
    MOVED = 5
    JAMMING = 6
    """How far the satellites' mean C/N0 fell, tenths of a dB."""
    SPOOFING = 7
    BEACON = 8
    """A home unit heard beacons in a tag's name that the tag did not send, or sent before; how many."""
    BACKUP_BATTERY_LOW = 9
    MOTION_FAULT = 10
    SAFE_MODE = 11
    """The firmware stopped and was started again; how many times in a row."""
    TAG_CHECKED = 12
    """An officer, at the tag itself."""
    UNIT_CHECKED = 13
    """An officer, at the home unit itself."""
    SENSOR_FAULT = 14
    KEPT_LOST = 15
    """What the device keeps beside its journal could not be read: 1 changed settings, 2 the count of commands."""


class Outcome(IntEnum):
    """What came of a command, as the device acknowledged it."""

    DONE = 0
    NOT_UNDERSTOOD = 1
    FAILED = 2
    """Or the device can not tell: power went, or it crashed, while it was at it."""
    REFUSED = 3


class EventCode(IntEnum):
    """What an event says. Numbers of ours, stable: they stand in stored states, not on the wire.

    ``value`` means: at BATTERY and its two kin millivolts, at BATTERY_PERCENT 0 to 100; at events of a home unit
    (MAINS_LOST to UNIT_COMMANDS_LOST) the unit's index, as in `Contacts`; else NaN or what the device sent as detail.
    """

    STRAP_OPEN = 1
    STRAP_CLOSED = 2
    CASE_OPEN = 3
    CASE_CLOSED = 4
    OFFICER_CHECK = 5
    """An officer saw the tag on the wearer: from here on it proves something again."""
    LINK_TAMPER = 6
    JAMMING = 7
    SPOOFING = 8
    BATTERY = 10
    BATTERY_PERCENT = 11
    CHARGER_ON = 12
    CHARGER_OFF = 13
    BOOT = 14
    GAP = 15
    """Readings of the tag were dropped or thinned; ``value`` is how many."""
    CLOCK_SET = 16
    """``value``: the step in seconds, new − old."""
    SAFE_MODE = 17
    """``value``: so many crashes in a row."""
    MOTION_FAULT = 18
    MOTION_WELL = 19
    MAINS_LOST = 20
    MAINS_BACK = 21
    UNIT_MOVED = 22
    UNIT_CASE_OPEN = 23
    UNIT_CASE_CLOSED = 24
    UNIT_BATTERY_LOW = 25
    UNIT_CHECKED = 26
    """An officer saw the home unit in its place: after it was moved, what it hears means the address again."""
    UNIT_BATTERY_WELL = 27
    UNIT_MOTION_FAULT = 28
    UNIT_MOTION_WELL = 29
    UNIT_SAFE_MODE = 30
    FORGED_BEACON = 31
    """The home unit heard beacons in a tag's name that the tag did not send, or had sent before."""
    UNIT_SETTINGS_LOST = 32
    UNIT_COMMANDS_LOST = 33
    SENSOR_FAULT = 40
    SENSOR_WELL = 41
    BATTERY_ON_CHARGER = 42
    """A reading of the battery that also tells that the tag is on the charger; NaN where only that is known."""
    BATTERY_OFF_CHARGER = 43
    SETTINGS_LOST = 44
    """At its start the tag could not read the settings that commands had changed; it goes on as it was provisioned."""
    COMMANDS_LOST = 45
    """At its start the tag could not read which command it had executed last."""
    STRAP_CHECKED = 46
    """The tag says that its strap was not opened since the last officer's check: if it was open before, an officer has
    been there since. All that an RF tag can tell of a check, which has no journal of its own."""


class TagStateFlag(IntFlag):
    """Bits of what an RF tag's beacon says of it."""

    STRAP_OPEN = 1 << 0
    STRAP_WAS_OPENED = 1 << 1
    """Since the last officer's check at the tag."""
    CASE_OPEN = 1 << 2
    BATTERY_LOW = 1 << 3
    STARTED = 1 << 4
    """Less than an hour ago."""


class UnitFlag(IntFlag):
    """Bits of ``Contacts.unit_ok``: what a home unit says about itself at the end of an interval, and one more."""

    MAINS = 1 << 0
    MOVED = 1 << 1
    CASE_OPEN = 1 << 2
    BATTERY_LOW = 1 << 3
    DOUBTFUL = 1 << 7
    """Not of the unit itself: two transmitters send with the tag's key, and the interval proves nothing."""


class Columns:
    """What the kinds share: columns of one length that can be chosen from and joined.

    ``DTYPES`` gives the dtype of every column.
    """

    __slots__ = ()
    DTYPES: ClassVar[dict[str, str]]
    t_ms: I64

    def __len__(self) -> int:
        return len(self.t_ms)

    def take(self, index: npt.NDArray[np.intp] | slice) -> Self:
        """The readings at ``index``, in that order."""
        return type(self)(*(getattr(self, name)[index] for name in self.DTYPES))

    @classmethod
    def empty(cls) -> Self:
        """No readings, with the right dtypes: always the same ones."""
        none: Self = _none(cls)  # type: ignore[arg-type]  # a class can be hashed
        return none

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """All of ``parts`` one after the other."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.DTYPES))


@cache
def _none(kind: Any) -> Any:
    return kind(*(np.zeros(0, dtype) for dtype in kind.DTYPES.values()))


@dataclass(frozen=True, slots=True)
class Positions(Columns):
    """Positions as columns, all of shape ``(n,)``.

    ``t_ms`` is tag time; ``lat`` and ``lon`` WGS84 degrees; ``precision_m`` the 95 % radius, ``speed_kmh``,
    ``course_deg`` and ``hdop`` are NaN where unknown; ``satellites`` is -1 where unknown. ``epoch`` and ``seq`` name
    the reading, so that an alert can list what it rests on. Positions with an unset tag time are not judged and never
    stand here.
    """

    DTYPES: ClassVar[dict[str, str]] = {
        "t_ms": "i8",
        "lat": "f8",
        "lon": "f8",
        "precision_m": "f8",
        "speed_kmh": "f8",
        "course_deg": "f8",
        "hdop": "f8",
        "satellites": "i2",
        "flags": "u1",
        "epoch": "u4",
        "seq": "u4",
    }

    t_ms: I64
    lat: F64
    lon: F64
    precision_m: F64
    speed_kmh: F64
    course_deg: F64
    hdop: F64
    satellites: npt.NDArray[np.int16]
    flags: U8
    epoch: U32
    seq: U32


@dataclass(frozen=True, slots=True)
class Contacts(Columns):
    """How one home unit heard one tag, interval by interval; columns of shape ``(n,)``.

    ``t_ms`` is the end of the interval, ``span_s`` its length, ``count`` how many of the tag's beacons were heard in
    it (0: listened and heard nothing); ``strongest_dbm`` and ``median_dbm`` of those heard, NaN where none; ``unit``
    the home unit's index in the order's list of addresses, from 0; ``unit_ok`` bits of `UnitFlag`.
    """

    DTYPES: ClassVar[dict[str, str]] = {
        "t_ms": "i8",
        "span_s": "f8",
        "count": "i8",
        "strongest_dbm": "f8",
        "median_dbm": "f8",
        "unit": "i8",
        "unit_ok": "u1",
        "epoch": "u4",
        "seq": "u4",
    }

    t_ms: I64
    span_s: F64
    count: I64
    strongest_dbm: F64
    median_dbm: F64
    unit: I64
    unit_ok: U8
    epoch: U32
    seq: U32


@dataclass(frozen=True, slots=True)
class Samples(Columns):
    """Transdermal alcohol samples as columns of shape ``(n,)``.

    ``tac_g_dl`` transdermal alcohol (g/dl), ``ir_v`` the infrared sensor's voltage, ``temp_c`` skin temperature (°C):
    NaN where unknown. ``flags`` as of every record: bits 0-1 the time quality.
    """

    DTYPES: ClassVar[dict[str, str]] = {
        "t_ms": "i8",
        "tac_g_dl": "f8",
        "ir_v": "f8",
        "temp_c": "f8",
        "flags": "u1",
        "epoch": "u4",
        "seq": "u4",
    }

    t_ms: I64
    tac_g_dl: F64
    ir_v: F64
    temp_c: F64
    flags: U8
    epoch: U32
    seq: U32


@dataclass(frozen=True, slots=True)
class Events(Columns):
    """What happened to a tag or a home unit; columns of shape ``(n,)``. ``code`` is an `EventCode`."""

    DTYPES: ClassVar[dict[str, str]] = {
        "t_ms": "i8",
        "code": "i8",
        "value": "f8",
        "epoch": "u4",
        "seq": "u4",
    }

    t_ms: I64
    code: I64
    value: F64
    epoch: U32
    seq: U32


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of every kind of one activation; each may be empty."""

    positions: Positions = field(default_factory=Positions.empty)
    contacts: Contacts = field(default_factory=Contacts.empty)
    samples: Samples = field(default_factory=Samples.empty)
    events: Events = field(default_factory=Events.empty)

    def __len__(self) -> int:
        return sum(len(columns) for columns in self.kinds())

    def kinds(self) -> tuple[Positions, Contacts, Samples, Events]:
        """All kinds, in the order in which they stand everywhere."""
        return self.positions, self.contacts, self.samples, self.events
