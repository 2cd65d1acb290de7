"""NMEA sentences as a receiver writes them (the counterpart of the firmware's parser)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce


def sentence(body: str) -> bytes:
    """``body`` (from the talker to the last field) with its checksum and line end."""
    checksum = reduce(lambda total, byte: total ^ byte, body.encode("ascii"), 0)
    return f"${body}*{checksum:02X}\r\n".encode("ascii")


def fix(t_ms: int, lat: float, lon: float, *, hdop: float = 1.0, satellites: int = 9) -> bytes:
    """GGA and RMC of one three-dimensional fix at the UTC instant ``t_ms`` (whole tenths of a second).

    ``lat`` and ``lon`` are WGS84 degrees, written to 1e-7 minutes (below 0.2 mm), so that nothing is lost on the way.
    """
    when = datetime.fromtimestamp(t_ms / 1000, UTC)
    clock = f"{when:%H%M%S}.{t_ms % 1000 // 10:02d}"
    place = f"{_angle(lat, 2)},{'N' if lat >= 0 else 'S'},{_angle(lon, 3)},{'E' if lon >= 0 else 'W'}"
    gga = sentence(f"GPGGA,{clock},{place},1,{satellites:02d},{hdop:.1f},0.0,M,0.0,M,,")
    return gga + sentence(f"GPRMC,{clock},A,{place},,,{when:%d%m%y},,,A")


def no_fix(t_ms: int) -> bytes:
    """GGA and RMC of a receiver that has the time and no position."""
    when = datetime.fromtimestamp(t_ms / 1000, UTC)
    clock = f"{when:%H%M%S}.{t_ms % 1000 // 10:02d}"
    gga = sentence(f"GPGGA,{clock},,,,,0,00,,,M,,M,,")
    return gga + sentence(f"GPRMC,{clock},V,,,,,,,{when:%d%m%y},,,N")


def _angle(degrees: float, digits: int) -> str:
    """``ddmm.mmmmmmm`` of the absolute value, carried exactly (59.99999999 minutes become the next degree)."""
    scaled = round(abs(degrees) * 60 * 10**7)
    whole, minutes = divmod(scaled, 60 * 10**7)
    return f"{whole:0{digits}d}{minutes // 10**7:02d}.{minutes % 10**7:07d}"
