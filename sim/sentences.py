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

from core.readings import F64, I64
from sim import noise

if TYPE_CHECKING:
    from sim.gnss import Sky

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

    def known(said: I64, values: I64, step: float) -> F64:
        return np.where(said == UNTOLD, np.nan, values * step)

    hdop = np.where(told.hdop_e2 < 9900, told.hdop_e2, UNTOLD)
    hdop[hdop == 0] = UNTOLD
    hdop_e1 = (hdop + 5) // 10
    sigma_mm = np.where(told.sigma_mm == UNTOLD, 0, told.sigma_mm)
    spread_dm = (np.rint(np.sqrt(8.0 * np.square(sigma_mm.astype(np.float64)))).astype(np.int64) + 50) // 100
    precision_dm = np.where(spread_dm > 0, spread_dm, hdop)
    precision_dm[precision_dm >= 65535] = UNTOLD
    lat, lon = ((minutes * 100 + 3000) // 6000 / 1e7 for minutes in (told.lat_e7, told.lon_e7))
    return replace(
        sky,
        lat=np.where(sky.fix, np.where(sky.lat < 0, -lat, lat), np.nan),
        lon=np.where(sky.fix, np.where(sky.lon < 0, -lon, lon), np.nan),
        precision_m=known(precision_dm, precision_dm, 0.1),
        hdop=np.where(hdop_e1 >= 255, np.nan, known(hdop, hdop_e1, 0.1)),
        satellites=np.where(sky.fix, np.minimum(told.satellites, 254), -1).astype(np.int16),
        speed_kmh=known(told.knots_e3, np.minimum((told.knots_e3 * 1852 + 500_000) // 1_000_000, 254), 1.0),
        course_deg=known(told.course_e2, (told.course_e2 + 75) // 150 % 240, 1.5),
    )


UNTOLD = -1


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
    def whole(values: F64, scale: float) -> I64:
        known = sky.fix & ~np.isnan(values)
        return np.where(known, np.rint(np.where(known, values, 0.0) * scale), UNTOLD).astype(np.int64)

    return _Told(
        lat_e7=whole(np.abs(sky.lat), _MINUTES_E7),
        lon_e7=whole(np.abs(sky.lon), _MINUTES_E7),
        knots_e3=whole(sky.speed_kmh, 1000 / 1.852),
        course_e2=whole(sky.course_deg, 100.0) % 36000,
        hdop_e2=whole(sky.hdop, 100.0),
        # the firmware takes twice the root of both axes' squares for the 95 % radius; there is never less than 0.1 m
        sigma_mm=whole(np.maximum(sky.precision_m, 0.1), 1000 / math.sqrt(8.0)),
        satellites=sky.satellites.astype(np.int64),
    )


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


_MINUTES_E7 = 60 * 10**7


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
