"""Hours as a person types them, ``Mo-Fr 19:00-07:00``, as the timetable of a typed order has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from core.timetable import DAY_MINUTES, DAYS
from gateway.orders.register import OrderRefused
from gateway.orders.words import clock, time_of_day, weekday

_TIME = r"\d[\d:.]*\s*(?:[ap]\.?m\.?)?"
_PERIOD = re.compile(
    rf"(?P<days>[^\d]*?)\s*(?P<start>{_TIME})\s*(?:-|–|to|until)\s*(?P<end>{_TIME})\s*(?:[,;]\s*|$)",
    re.IGNORECASE,
)
_EVERY = ("", "daily", "every day", "everyday", "all days")
_WRITTEN = "write them as in Mo-Fr 19:00-07:00, Sa Su 21:00-09:00"


class HoursError(OrderRefused):
    """What was typed are no hours; the text says so and how they are written."""


def timetable(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The timetable that these lines say: periods, with a comma or semicolon between. Raises HoursError.

    Days are ``Mo``, ``Mon`` or ``Monday``, one, several (``Sa Su``, ``Sa, Su``), from one to another (``Fr-Mo``), or
    left out for every day. An end at or before the start falls on the next day.
    """
    found: list[dict[str, Any]] = []
    at, whole = 0, "; ".join(line.strip() for line in lines)
    while at < len(whole) or not found:
        period = _PERIOD.match(whole, at)
        if period is None:
            raise HoursError(f"{whole[at:]!r} are no hours: {_WRITTEN}")
        said = period[0].strip(" ,;")
        start, end = time_of_day(period["start"]), time_of_day(period["end"], ends=True)
        if start is None or end is None or start == DAY_MINUTES:
            raise HoursError(f"{said!r} has a time that is none: {_WRITTEN}")
        days = _days(period["days"])
        if days is None:
            raise HoursError(
                f"{said!r} has a day that is none: give {' '.join(DAYS)}, or a span such as Mo-Fr"
            )
        found.append({"days": days, "start": clock(start), "end": clock(end)})
        at = period.end()
    return found


def _days(words: str) -> list[str] | None:
    if " ".join(words.casefold().split()) in _EVERY:
        return list(DAYS)
    days: set[int] = set()
    for part in re.split(r"[,\s]+(?:and\s+)?", words.strip()):
        ends = [weekday(word) for word in re.split(r"[-–]", part)]
        first, last = ends[0], ends[-1]
        if len(ends) > 2 or first is None or last is None:
            return None
        days |= {(first + step) % 7 for step in range((last - first) % 7 + 1)}
    return [DAYS[day] for day in sorted(days)]
