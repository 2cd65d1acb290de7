"""Instants as officers type and read them: by the clock on the wall, which in October shows one hour twice.

A time that the clock shows twice, or not at all, is refused, and each instant that it could be is offered.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from core.rules import DEFAULT_RULES
from gateway.orders.register import OrderRefused

ZONE = ZoneInfo(DEFAULT_RULES.timezone)
_FORM = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)\s*(Z|[+-]\d\d:\d\d)?)?", re.IGNORECASE)
_FIRST, _LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2099, 12, 31, tzinfo=UTC)
_REMEDY = "give it as 2026-11-21 19:00 by the clock on the wall, or with its offset: 2026-11-21T19:00+00:00"


def instant_of(text: str, what: str, *, ends: bool = False) -> int:
    """The instant (UTC ms) that somebody typed as ``what``; a bare date means its beginning, or for an end the midnight
    after it.

    Raises OrderRefused where it is none, or the clock on the wall shows it twice or not at all.
    """
    found = _FORM.fullmatch(text.strip())
    try:
        when = datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00'}") if found else None
    except ValueError:
        when = None
    if found is None or when is None:
        raise OrderRefused(f"{what} is {text!r}, which is no instant: {_REMEDY}")
    if found[3]:
        offset = found[3].upper().replace("Z", "+00:00")
        instant = datetime.fromisoformat(f"{when.isoformat()}{offset}")
    else:
        if ends and not found[2]:
            when += timedelta(days=1)
        instant = _local(when, text, what)
    if not _FIRST <= instant < _LAST:
        raise OrderRefused(f"{what} is {text!r}: give an instant between 1970 and 2099")
    return round(instant.timestamp()) * 1000


def _local(when: datetime, text: str, what: str) -> datetime:
    readings = [when.replace(tzinfo=ZONE, fold=fold) for fold in (0, 1)]
    if readings[0].utcoffset() == readings[1].utcoffset():
        return readings[0]
    real = [one for one in readings if one.astimezone(UTC).astimezone(ZONE).replace(tzinfo=None) == when]
    if not real:
        after = max(one.astimezone(UTC).astimezone(ZONE) for one in readings)
        raise OrderRefused(
            f"{what} is {text!r}, which no clock shows: it goes forward then; say {_written(after)}"
        )
    first, second = (_written(one) for one in real)
    raise OrderRefused(f"{what} is {text!r}, which the clock shows twice that night: say {first} or {second}")


def _written(one: datetime) -> str:
    return one.replace(second=0).isoformat(timespec="minutes")


def told(ms: int) -> str:
    """``2026-11-21 19:00``; on the night on which the clock shows it twice with its offset."""
    at = datetime.fromtimestamp(ms / 1000, ZONE)
    other = at.replace(fold=1 - at.fold)
    if other.utcoffset() != at.utcoffset():
        return f"{at:%Y-%m-%d %H:%M%z}"
    return f"{at:%Y-%m-%d %H:%M}"
