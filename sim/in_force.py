"""When the conditions of an order hold, read from its document by code of our own: what the rules are scored against.

Civil times are looked up minute by minute in the time-zone database (`zoneinfo`), without any thought of offsets: a
time of a date is the first minute of that date at which a clock there shows it or a later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sim.life import Span

LONDON = ZoneInfo("Europe/London")
_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_LOOK = timedelta(hours=3)
"""No clock in the time-zone database of England was ever changed by more within a night."""


@lru_cache(maxsize=65_536)
def clock_ms(day: date, clock: str) -> int:
    """UTC ms of the first minute of ``day`` at which a clock in London shows ``clock`` (``HH:MM``) or later."""
    hour, minute = int(clock[:2]), int(clock[3:])
    wanted = datetime(day.year, day.month, day.day) + timedelta(hours=hour, minutes=minute)
    utc = wanted.replace(tzinfo=UTC) - _LOOK
    while utc.astimezone(LONDON).replace(tzinfo=None) < wanted:
        utc += timedelta(minutes=1)
    return int(utc.timestamp()) * 1000


def day_of(t_ms: int) -> date:
    """The civil date in London."""
    return datetime.fromtimestamp(t_ms // 1000, UTC).astimezone(LONDON).date()


def days_between(from_ms: int, to_ms: int) -> list[date]:
    """All civil dates that lie in a span, at least in part."""
    first, last = day_of(from_ms), day_of(to_ms - 1)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def weekly(timetable: Sequence[Mapping[str, Any]], from_ms: int, to_ms: int) -> list[Span]:
    """The periods of a timetable that touch a span, whole, joined where they meet."""
    found = []
    for day in days_between(from_ms - 8 * 86_400_000, to_ms + 8 * 86_400_000):
        for entry in timetable:
            if _DAYS[day.weekday()] in entry["days"]:
                begins, ends = entry["start"], entry["end"]
                over = day if ends > begins else day + timedelta(days=1)
                found.append(Span(clock_ms(day, begins), clock_ms(over, ends)))
    return [span for span in union(found) if span.end_ms > from_ms and span.start_ms < to_ms]


def scheduled(schedule: Mapping[str, Any] | None, from_ms: int, to_ms: int) -> list[Span]:
    """When a zone's schedule holds, within a span."""
    schedule = schedule or {}
    if "weekly" in schedule or "dated" in schedule:
        held = weekly(schedule.get("weekly", ()), from_ms, to_ms) if "weekly" in schedule else []
        held += [given(one) for one in schedule.get("dated", ())]
    else:
        held = [Span(from_ms, to_ms)]
    return cut(less(union(held), [given(one) for one in schedule.get("exceptions", ())]), from_ms, to_ms)


def held_times(
    order: Mapping[str, Any], condition: Mapping[str, Any], from_ms: int, to_ms: int
) -> list[Span]:
    """When an order has one of its conditions in force, suspensions apart, within a span."""
    first, last = max(from_ms, at_ms(order["effective"])), to_ms
    for holder, begins, ends in ((order, "start", "end"), (condition, "from", "to")):
        if begins in holder:
            first = max(first, at_ms(holder[begins]))
        if ends in holder:
            last = min(last, at_ms(holder[ends]))
    if first >= last:
        return []
    return less([Span(first, last)], [given(one) for one in order.get("suspensions", ())])


def authorised(order: Mapping[str, Any], condition: str) -> list[Span]:
    """Absences that were on record before they began, as to one condition; of others what came after that."""
    found = [
        (given(one), at_ms(one["recorded"]) if "recorded" in one else given(one).start_ms)
        for one in order.get("discounts", ())
        if one["kind"] == "authorised_absence" and one.get("condition") in (None, condition)
    ]
    return [
        Span(max(span.start_ms, known_ms), span.end_ms) for span, known_ms in found if known_ms < span.end_ms
    ]


def given(interval: Mapping[str, Any]) -> Span:
    """An interval of an order's document."""
    return Span(at_ms(interval["from"]), at_ms(interval["to"]))


def at_ms(instant: str) -> int:
    """UTC ms of an instant of an order's document."""
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def union(spans: Iterable[tuple[int, int]]) -> list[Span]:
    """Ascending, with those that overlap or touch made one."""
    whole: list[Span] = []
    for start_ms, end_ms in sorted(span for span in spans if span[1] > span[0]):
        if whole and start_ms <= whole[-1].end_ms:
            whole[-1] = Span(whole[-1].start_ms, max(whole[-1].end_ms, end_ms))
        else:
            whole.append(Span(start_ms, end_ms))
    return whole


def both(these: Iterable[tuple[int, int]], those: Iterable[tuple[int, int]]) -> list[Span]:
    """What lies in some of these and in some of those."""
    one, other = union(these), union(those)
    found, j = [], 0
    for span in one:
        while j < len(other) and other[j].end_ms <= span.start_ms:
            j += 1
        k = j
        while k < len(other) and other[k].start_ms < span.end_ms:
            found.append(Span(max(span.start_ms, other[k].start_ms), min(span.end_ms, other[k].end_ms)))
            k += 1
    return found


def less(these: Iterable[tuple[int, int]], taken: Iterable[tuple[int, int]]) -> list[Span]:
    """What lies in some of these and in none that is ``taken``."""
    left = []
    gaps = union(taken)
    for span in union(these):
        start_ms = span.start_ms
        for gap in gaps:
            if gap.end_ms <= start_ms:
                continue
            if gap.start_ms >= span.end_ms:
                break
            if gap.start_ms > start_ms:
                left.append(Span(start_ms, gap.start_ms))
            start_ms = max(start_ms, gap.end_ms)
        if start_ms < span.end_ms:
            left.append(Span(start_ms, span.end_ms))
    return left


def cut(spans: Iterable[tuple[int, int]], from_ms: int, to_ms: int) -> list[Span]:
    """``spans`` within one."""
    return both(spans, [(from_ms, to_ms)])


def length_ms(spans: Iterable[tuple[int, int]]) -> int:
    """All of them together; they do not overlap."""
    return sum(end_ms - start_ms for start_ms, end_ms in spans)
