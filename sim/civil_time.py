"""Civil time as a story tells it: ``19:00``, ``Tue 07:00``, ``2026-11-03 19:00``, by the clocks of England."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
INSTANT = (
    r"(?:(?P<date>\d{4}-\d\d-\d\d) |(?P<day>" + "|".join(_DAYS) + r") )?"
    r"(?P<clock>[0-2]\d:[0-5]\d(?::[0-5]\d)?)(?: (?P<summer>BST|GMT))?"
)
"""The form of an instant, as a regular expression with groups."""
DURATION = r"\d+(?:\.\d+)? (?:s|min|h|d)(?: \d+(?:\.\d+)? (?:s|min|h))*"
"""The form of a length of time: ``90 s``, ``1 h 30 min``, ``7 d``."""
_UNIT_MS = {"s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class CivilTimeError(ValueError):
    """A time that can not be understood: ``fact`` is what is the matter, ``remedy`` what would be right."""

    def __init__(self, fact: str, remedy: str) -> None:
        self.fact, self.remedy = fact, remedy
        super().__init__(f"{fact}. {remedy}")


def instant_ms(text: str, after_ms: int | None) -> int:
    """UTC milliseconds of ``text``.

    Without a date it is the first such time at or after ``after_ms``; without that a date is needed. Raises
    `CivilTimeError`, also for a time that the spring change leaves out, and for one that the autumn change brings
    twice where neither BST nor GMT is said.
    """
    match = re.fullmatch(INSTANT, text)
    if match is None:
        raise CivilTimeError(
            f"{text!r} is not a time", "Give 19:00, Tue 19:00, or 2026-11-03 19:00; BST or GMT may follow."
        )
    clock = _clock(match["clock"], text)
    if match["date"] is not None:
        try:
            day = date.fromisoformat(match["date"])
        except ValueError:
            raise CivilTimeError(f"{match['date']} is no date", "Give a day of the calendar.") from None
        found = _on(day, clock, match["summer"])
        if not found:
            raise CivilTimeError(f"no clock shows {text!r}", "The clocks go forward then: give another time.")
        return _only(found, text)
    if after_ms is None:
        raise CivilTimeError(f"{text!r} has no date", "Give the date too: 2026-11-03 19:00.")
    first = datetime.fromtimestamp(after_ms / 1000, UTC).astimezone(LONDON).date()
    for ahead in range(-1, 15):
        day = first + timedelta(days=ahead)
        if match["day"] is not None and _DAYS[day.weekday()] != match["day"]:
            continue
        found = [at_ms for at_ms in _on(day, clock, match["summer"]) if at_ms >= after_ms]
        if found:
            return _only(found, text)
    raise CivilTimeError(f"{text!r} does not come within two weeks", "Give the date too: 2026-11-03 19:00.")


def duration_ms(text: str) -> int:
    """Milliseconds of ``1 h 30 min``. Raises `CivilTimeError`."""
    if re.fullmatch(DURATION, text) is None:
        raise CivilTimeError(f"{text!r} is not a length of time", "Give 90 s, 20 min, 1 h 30 min or 7 d.")
    words = text.split()
    return round(sum(float(n) * _UNIT_MS[unit] for n, unit in zip(words[::2], words[1::2], strict=True)))


def civil_text(t_ms: int, *, day: bool = True) -> str:
    """``Tue 3 Nov 19:00:05``, without the seconds where they are 0."""
    local = datetime.fromtimestamp(t_ms / 1000, UTC).astimezone(LONDON)
    seconds = "" if local.second == 0 else f":{local.second:02d}"
    return (
        f"{_DAYS[local.weekday()]} {local.day} {local:%b} {local:%H:%M}{seconds}"
        if day
        else f"{local:%H:%M}{seconds}"
    )


def _clock(text: str, whole: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise CivilTimeError(f"{whole!r} is not a time of day", "Give 00:00 to 23:59.") from None


def _on(day: date, clock: time, summer: str | None) -> list[int]:
    """The instants of a day at which the clocks show ``clock``: none, one or two."""
    found = []
    for fold in (0, 1):
        local = datetime.combine(day, clock, LONDON).replace(fold=fold)
        exists = local.astimezone(UTC).astimezone(LONDON).replace(tzinfo=None) == local.replace(tzinfo=None)
        if exists and summer in (None, local.tzname()):
            found.append(int(local.timestamp() * 1000))
    return sorted(set(found))


def _only(found: list[int], text: str) -> int:
    if len(found) > 1:
        raise CivilTimeError(f"{text!r} comes twice that night", "Say which: add BST (the first) or GMT.")
    return found[0]
