"""NMEA sentences as a receiver writes them (the counterpart of the firmware's parser)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, reduce
from operator import xor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from core.kernel import BORROWS
from core.readings import F64, I64
from sim import noise
from sim.way import Bool

if TYPE_CHECKING:
    from sim.gnss import Sky

I16 = npt.NDArray[np.int16]
VIEW_MS = 5000
"""A receiver tells how strongly it hears each satellite (GSV) so often, or with each fix where those are rarer."""
IN_VIEW = 12
_PASS_MS = 14_400_000
"""A satellite rises and sets within four hours; one of twelve is replaced every twenty minutes."""
_SWAY_S = 900.0
_FAINT_DBHZ = 8.0
_DAY_MS = 86_400_000


def sentence(body: str) -> bytes:
    """``body`` (from the talker to the last field) with its checksum and line end."""
    data = body.encode("ascii")
    return b"$%b*%02X\r\n" % (data, reduce(xor, data, 0))


def fix(t_ms: int, lat: float, lon: float, *, hdop: float = 1.0, satellites: int = 9) -> bytes:
    """GGA and RMC of one three-dimensional fix at the UTC instant ``t_ms`` (whole tenths of a second).

    ``lat`` and ``lon`` are WGS84 degrees, written to 1e-7 minutes (below 0.2 mm), so that nothing is lost on the way.
    """
    clock, date = _clock(t_ms)
    place = _place(round(abs(lat) * _MINUTES_E7), lat < 0, round(abs(lon) * _MINUTES_E7), lon < 0)
    gga = sentence(f"GPGGA,{clock},{place},1,{satellites:02d},{hdop:.1f},0.0,M,0.0,M,,")
    return gga + sentence(f"GPRMC,{clock},A,{place},,,{date},,,A")


def no_fix(t_ms: int) -> bytes:
    """GGA and RMC of a receiver that has the time and no position."""
    clock, date = _clock(t_ms)
    gga = sentence(f"GPGGA,{clock},,,,,0,00,,,M,,M,,")
    return gga + sentence(f"GPRMC,{clock},V,,,,,,,{date},,,N")


def sentences(sky: Sky) -> Iterator[tuple[int, bytes]]:
    """``(instant_ms, bytes)`` of each instant at which the receiver has power: GGA, RMC, GST, and GSV now and then.

    What the firmware's parser reads from them is `quantised`.
    """
    told = _told(sky)
    shown = np.diff(sky.t_ms // VIEW_MS, prepend=-1) != 0
    views = _views(sky, np.flatnonzero(shown & sky.on))
    lat_sign, lon_sign = sky.lat < 0, sky.lon < 0
    for i in np.flatnonzero(sky.on).tolist():
        t_ms = int(sky.t_ms[i])
        view = views.get(i, b"")
        if not sky.fix[i]:
            yield t_ms, no_fix(t_ms) + view
            continue
        clock, date = _clock(t_ms)
        place = _place(int(told.lat_e7[i]), bool(lat_sign[i]), int(told.lon_e7[i]), bool(lon_sign[i]))
        hdop = "" if told.hdop_e2[i] == UNTOLD else _decimal(int(told.hdop_e2[i]), 2)
        speed = "" if told.knots_e3[i] == UNTOLD else _decimal(int(told.knots_e3[i]), 3)
        course = "" if told.course_e2[i] == UNTOLD else _decimal(int(told.course_e2[i]), 2)
        said = sentence(f"GPGGA,{clock},{place},1,{int(told.satellites[i]):02d},{hdop},0.0,M,0.0,M,,")
        said += sentence(f"GPRMC,{clock},A,{place},{speed},{course},{date},,,A")
        if told.sigma_mm[i] != UNTOLD:
            sigma = _decimal(int(told.sigma_mm[i]), 3)
            said += sentence(f"GPGST,{clock},,,,,{sigma},{sigma},")
        yield t_ms, said + view


def quantised(sky: Sky) -> Sky:
    """What a tag makes of a receiver's sentences: the same columns, each value as the firmware reads it, bit for bit.

    Positions in 1e-7 degree, precision in decimetres, whole km/h, course in steps of 1.5 degrees, HDOP in tenths.
    """
    told = _told(sky)
    read = np.empty((6, len(sky)))
    satellites = np.empty(len(sky), np.int16)
    _read(sky.fix, sky.lat, sky.lon, told, read, satellites)
    lat, lon, precision_m, hdop, speed_kmh, course_deg = read
    return replace(
        sky,
        lat=lat,
        lon=lon,
        precision_m=precision_m,
        hdop=hdop,
        satellites=satellites,
        speed_kmh=speed_kmh,
        course_deg=course_deg,
    )


UNTOLD = -1
_MINUTES_E7 = 60 * 10**7
_KNOTS_E3 = 1000 / 1.852
_SIGMA_MM = 1000 / math.sqrt(8.0)


class _Told(NamedTuple):
    """The figures as they are written, shape ``(n,)``; minutes of 1e-7, `UNTOLD` where the field stays empty."""

    lat_e7: I64
    lon_e7: I64
    knots_e3: I64
    course_e2: I64
    hdop_e2: I64
    sigma_mm: I64
    satellites: I64


def _told(sky: Sky) -> _Told:
    rows = np.empty((7, len(sky)), np.int64)
    _write(
        *(
            sky.fix,
            sky.lat,
            sky.lon,
            sky.speed_kmh,
            sky.course_deg,
            sky.hdop,
            sky.precision_m,
            sky.satellites,
        ),
        rows,
    )
    return _Told(*rows)


@njit(**BORROWS)
def _whole(value: float, scale: float) -> int:
    return UNTOLD if math.isnan(value) else int(np.rint(value * scale))


@njit(**BORROWS)
def _write(
    fix: Bool,
    lat: F64,
    lon: F64,
    speed_kmh: F64,
    course_deg: F64,
    hdop: F64,
    precision_m: F64,
    satellites: I16,
    told: I64,
) -> None:
    """Fill the rows of `_Told`."""
    for i in range(len(fix)):
        told[6, i] = satellites[i]
        if not fix[i]:
            told[:6, i] = UNTOLD
            told[3, i] = UNTOLD % 36000
            continue
        told[0, i], told[1, i] = _whole(abs(lat[i]), _MINUTES_E7), _whole(abs(lon[i]), _MINUTES_E7)
        told[2, i] = _whole(speed_kmh[i], _KNOTS_E3)
        told[3, i] = _whole(course_deg[i], 100.0) % 36000
        told[4, i] = _whole(hdop[i], 100.0)
        # the firmware takes twice the root of both axes' squares for the 95 % radius; there is never less than 0.1 m
        told[5, i] = UNTOLD
        if not math.isnan(precision_m[i]):
            told[5, i] = _whole(max(precision_m[i], 0.1), _SIGMA_MM)


@njit(**BORROWS)
def _read(fix: Bool, lat: F64, lon: F64, told: _Told, read: F64, satellites: I16) -> None:
    """Fill ``read``: place, precision, HDOP, speed and course; see firmware/gps_tag/nmea.py and record.py."""
    for i in range(len(fix)):
        hdop = told.hdop_e2[i] if 0 < told.hdop_e2[i] < 9900 else UNTOLD
        hdop_e1 = (hdop + 5) // 10
        sigma_mm = max(told.sigma_mm[i], 0)
        spread_dm = (int(np.rint(math.sqrt(8.0 * float(sigma_mm) * float(sigma_mm)))) + 50) // 100
        precision_dm = spread_dm if spread_dm > 0 else hdop
        for row in range(6):
            read[row, i] = np.nan
        if fix[i]:
            north, east = (
                (told.lat_e7[i] * 100 + 3000) // 6000 / 1e7,
                (told.lon_e7[i] * 100 + 3000) // 6000 / 1e7,
            )
            read[0, i], read[1, i] = -north if lat[i] < 0 else north, -east if lon[i] < 0 else east
        if precision_dm != UNTOLD and precision_dm < 65535:
            read[2, i] = precision_dm * 0.1
        if hdop != UNTOLD and hdop_e1 < 255:
            read[3, i] = hdop_e1 * 0.1
        if told.knots_e3[i] != UNTOLD:
            read[4, i] = min((told.knots_e3[i] * 1852 + 500_000) // 1_000_000, 254)
        if told.course_e2[i] != UNTOLD:
            read[5, i] = (told.course_e2[i] + 75) // 150 % 240 * 1.5
        satellites[i] = min(told.satellites[i], 254) if fix[i] else -1


def _views(sky: Sky, at: npt.NDArray[np.intp]) -> dict[int, bytes]:
    """The GSV sentences at rows ``at``: twelve satellites that pass over everybody alike, each its own strength.

    What lies in their way is told apart by the spread; it changes over a quarter of an hour.
    """
    if not len(at):
        return {}
    t_ms, strength = sky.t_ms[at], sky.cn0_dbhz[at]
    columns = []
    for slot in range(IN_VIEW):
        passed, since_ms = np.divmod(t_ms + slot * _PASS_MS // IN_VIEW, _PASS_MS)
        through = since_ms / _PASS_MS
        elevation = np.rint(10.0 + 65.0 * np.sin(np.pi * through)).astype(np.int64)
        # it goes from one side of the sky to the other; slots of their own numbers never meet
        azimuth = np.rint(30 * slot + 150 * through).astype(np.int64) % 360
        number = slot + 1 + 12 * (passed % 2)
        sway = noise.wander(slot, noise.stream_of("satellite"), t_ms, _SWAY_S)
        dbhz = strength + sky.spread_db[at] * (0.8 * (elevation - 50) / 22 + 0.6 * sway)
        heard = (strength > 0) & (dbhz >= _FAINT_DBHZ)
        whole_dbhz = np.where(heard, np.rint(dbhz), UNTOLD).astype(np.int64)
        columns.append((number, elevation, azimuth, whole_dbhz))
    views = {}
    for row, i in enumerate(at.tolist()):
        said = b""
        for group in range(0, IN_VIEW, 4):
            body = f"GPGSV,{IN_VIEW // 4},{group // 4 + 1},{IN_VIEW}"
            for number, elevation, azimuth, whole_dbhz in columns[group : group + 4]:
                strong = "" if whole_dbhz[row] == UNTOLD else f"{min(whole_dbhz[row], 99):02d}"
                body += f",{number[row]:02d},{elevation[row]:02d},{azimuth[row]:03d},{strong}"
            said += sentence(body)
        views[i] = said
    return views


def _clock(t_ms: int) -> tuple[str, str]:
    """Time of day and date as the sentences have them."""
    day, ms = divmod(t_ms, _DAY_MS)
    hours, ms = divmod(ms, 3_600_000)
    return f"{hours:02d}{ms // 60_000:02d}{ms % 60_000 // 1000:02d}.{ms % 1000 // 10:02d}", _date(day)


@cache
def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * 86_400, UTC):%d%m%y}"


def _decimal(value: int, places: int) -> str:
    """``value`` units of ``10 ** -places``."""
    whole, rest = divmod(value, 10**places)
    return f"{whole}.{rest:0{places}d}"


def _place(lat_e7: int, south: bool, lon_e7: int, west: bool) -> str:
    return f"{_angle(lat_e7, 2)},{'S' if south else 'N'},{_angle(lon_e7, 3)},{'W' if west else 'E'}"


def _angle(minutes_e7: int, digits: int) -> str:
    """``ddmm.mmmmmmm`` of so many minutes of 1e-7, carried exactly (59.99999999 become the next degree)."""
    whole, minutes = divmod(minutes_e7, _MINUTES_E7)
    return f"{whole:0{digits}d}{minutes // 10**7:02d}.{minutes % 10**7:07d}"
