"""What a tag can say: every reading kind, its layout on the wire and its columns in memory.

The layouts are those of ``docs/protocol.md``; a kind's layout never changes. In memory readings are columns: one array
per quantity, all of one length, in SI units or those named by the suffix. Instants are UTC, milliseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

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

WIRE: dict[int, np.dtype[np.void]] = {
    Kind.POSITION: POSITION_WIRE,
    Kind.STATUS: STATUS_WIRE,
    Kind.TAMPER: TAMPER_WIRE,
    Kind.BOOT: BOOT_WIRE,
    Kind.GAP: GAP_WIRE,
    Kind.TIME: TIME_WIRE,
}


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions as columns, all of shape ``(n,)``.

    ``t_ms`` is tag time; ``lat`` and ``lon`` WGS84 degrees; ``precision_m`` the 95 % radius, ``speed_kmh``,
    ``course_deg`` and ``hdop`` are NaN where unknown; ``satellites`` is -1 where unknown. ``epoch`` and ``seq`` name
    the reading, so that an alert can list what it rests on. Positions with an unset tag time are not judged and never
    stand here.
    """

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

    def __len__(self) -> int:
        return len(self.t_ms)

    def take(self, index: npt.NDArray[np.intp] | slice) -> Positions:
        """The positions at ``index``, in that order."""
        return Positions(*(getattr(self, name)[index] for name in self.__slots__))

    @classmethod
    def empty(cls) -> Positions:
        """No positions, with the right dtypes."""
        return positions_from_wire(np.zeros(0, POSITION_WIRE), 0, 1, 1)

    @classmethod
    def concatenate(cls, parts: list[Positions]) -> Positions:
        """All of ``parts`` one after the other."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


def positions_from_wire(records: npt.NDArray[np.void], base_time_s: int, epoch: int, first: int) -> Positions:
    """Decode one block of position records (``POSITION_WIRE``) into columns.

    ``base_time_s`` is the block's base time, ``first`` the sequence number of its first record.
    """
    n = len(records)
    unknown_u8 = 255

    def known(name: str, unknown: int, scale: float) -> F64:
        raw = records[name]
        return np.where(raw == unknown, np.nan, raw * scale).astype(np.float64)

    satellites = records["satellites"].astype(np.int16)
    satellites[satellites == unknown_u8] = -1
    return Positions(
        t_ms=base_time_s * 1000 + records["dt"].astype(np.int64) * 100,
        lat=records["lat"] / 1e7,
        lon=records["lon"] / 1e7,
        precision_m=known("precision", 65535, 0.1),
        speed_kmh=known("speed", unknown_u8, 1.0),
        course_deg=known("course", unknown_u8, 1.5),
        hdop=known("hdop", unknown_u8, 0.1),
        satellites=satellites,
        flags=records["flags"].copy(),
        epoch=np.full(n, epoch, np.uint32),
        seq=np.arange(first, first + n, dtype=np.uint32),
    )
