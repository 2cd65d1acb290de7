"""Hours as a person types them, ``Mo-Fr 19:00-07:00``, as the timetable of a typed order has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from core.timetable import DAYS
from gateway.orders.words import weekday

_LINE = re.compile(
    r"(?:(?P<days>[^\d]+?)\s+)?(?P<start>\d{1,2}:\d\d)\s*(?:-|–|to)\s*(?P<end>\d{1,2}:\d\d)", re.I
)
_EVERY = ("daily", "every day", "everyday")


class HoursError(ValueError):
    """What was typed are no hours; the text says so and how they are written."""


def timetable(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The timetable that these lines say, each one period; several in a line with ``;`` between. Raises HoursError.

    Days are ``Mo``, ``Mon`` or ``Monday``, one (``Sa``), several (``Mo,We``), from one to another (``Fr-Mo``), or left
    out for every day. An end at or before the start falls on the next day.
    """
    parts = [part.strip() for line in lines for part in line.split(";") if part.strip()]
    if not parts:
        raise HoursError("no hours were given: write them as in 'Mo-Fr 19:00-07:00'")
    return [_entry(part) for part in parts]


def _entry(line: str) -> dict[str, Any]:
    found = _LINE.fullmatch(line)
    days = None if found is None else _days(found["days"] or "daily")
    if found is None or not days:
        raise HoursError(f"{line!r} are no hours: write them as in 'Mo-Fr 19:00-07:00', 'Sa,Su 21:00-09:00'")
    start, end = (found[key].zfill(5) for key in ("start", "end"))
    return {"days": [DAYS[day] for day in days], "start": start, "end": end}


def _days(words: str) -> list[int] | None:
    if words.casefold().strip() in _EVERY:
        return list(range(7))
    days: set[int] = set()
    for part in re.split(r"[,\s]+(?:and\s+)?|\s+and\s+", words.strip()):
        ends = [weekday(word) for word in re.split(r"-|–", part)]
        if len(ends) not in (1, 2) or None in ends:
            return None
        first, last = ends[0], ends[-1]
        assert first is not None
        assert last is not None
        days |= {(first + n) % 7 for n in range((last - first) % 7 + 1)}
    return sorted(days)
