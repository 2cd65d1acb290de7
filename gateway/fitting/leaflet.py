"""The leaflet for the wearer: what the tag does, and what this order asks, in plain words and large type.

What could tell of somebody else is not on it (law 10): an exclusion zone is a number, since its name and its court text
may hold a protected person's address; no zone is drawn; neither the wearer's name nor an address stands on a sheet that
lies about in a hallway. What nothing monitors yet is asked of the wearer all the same, and stands like the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from jinja2 import Environment

from core.conditions import (
    AlcoholCondition,
    AlcoholMode,
    AttendanceCondition,
    Condition,
    CurfewCondition,
    CurfewPlace,
    ExclusionCondition,
    InclusionCondition,
    RestrictionCondition,
    StatedHours,
    TrailCondition,
    UnmonitoredCondition,
)
from core.order import Order
from core.schedule import ALWAYS_MS, Schedule
from core.timetable import DAY_MINUTES, CurfewTimetable
from gateway.fitting.leaflet_words import LANGUAGES, Language, Words
from gateway.orders.meaning import TIMEZONE


@dataclass(frozen=True, slots=True)
class Contact:
    """Who wearers call, and when somebody is there; '' where the settings do not tell."""

    phone: str = ""
    hours: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, sentences below it, what is listed after them, and sentences after that."""

    heading: str
    sentences: Sequence[str]
    points: Sequence[str] = ()
    after: Sequence[str] = ()
    line: bool = False
    """A line to write on."""


_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """\
<!doctype html>
<html lang="{{ words.language }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ words.said.title }}</title>
<style>
html { font: 16pt/1.5 "DejaVu Sans", arial, sans-serif }
body { margin: 2rem auto; max-width: 40rem; padding: 0 1rem; color: #0b0c0c; background: #fff }
h1 { font-size: 2rem; margin: 0 0 .5rem }
h2 { font-size: 1.3rem; margin: 1.5rem 0 .4rem; break-after: avoid }
p { margin: .4rem 0; break-inside: avoid }
li { margin: .3rem 0; break-inside: avoid }
.write { border-bottom: 2px solid #0b0c0c; height: 2.5rem }
.small { font-size: .8rem }
@page { margin: 16mm }
@media print { body { margin: 0; max-width: none; padding: 0 } }
</style>
</head>
<body>
<main>
<h1>{{ words.said.title }}</h1>
<p class="small">{{ words.said.reference }}: {{ order }}. {{ words.said.device }}: {{ device }}.</p>
{% for one in sections %}
<h2>{{ one.heading }}</h2>
{% for sentence in one.sentences %}
<p>{{ sentence }}</p>
{% endfor %}
{% if one.points %}
<ul>
{% for point in one.points %}
<li>{{ point }}</li>
{% endfor %}
</ul>
{% endif %}
{% if one.line %}
<p class="write"></p>
{% endif %}
{% for sentence in one.after %}
<p>{{ sentence }}</p>
{% endfor %}
{% endfor %}
</main>
</body>
</html>
"""
)


def html(order: Order, kind: str, device: str, contact: Contact, language: Language) -> str:
    """The leaflet about an order and the tag of that kind, as a page. No clock and no store."""
    words = LANGUAGES[language]
    return _PAGE.render(
        words=words,
        order=order.order_id,
        device=device,
        sections=list(_sections(order, kind, contact, words)),
    )


def _sections(order: Order, kind: str, contact: Contact, words: Words) -> Iterator[Section]:
    said = words.said
    yield Section(said["does"], [said[f"does {kind}"], said["also"], said["no sound"]])
    yield Section(said["charge"], [said[f"charge {kind}"], said["strap"]])
    hours = [line for one in _every(order) for line in _curfew(order, one, words)]
    if hours:
        yield Section(said["home"], [], hours, [said["agreed"]])
    places = list(_places(order, words))
    if places:
        yield Section(said["places"], [said["map"]], places)
    rule = _drinking(order)
    if rule:
        yield Section(said["alcohol"], [said[rule], said["products"], said["withdrawal"]])
    yield Section(said["recorded"], [said["who sees"], said["looks"], said["ask"]])
    reasons = [said[f"wrong {number}"] for number in range(1, 6)]
    yield Section(said["wrong"], [said["emergency"], said["call if"]], reasons)
    yield _call(contact, words)


def _every(order: Order) -> list[Condition | UnmonitoredCondition]:
    return [*order.conditions, *order.unmonitored]


def _curfew(order: Order, one: Condition | UnmonitoredCondition, words: Words) -> list[str]:
    if not isinstance(one, CurfewCondition | UnmonitoredCondition):
        return []
    places: Sequence[CurfewPlace | StatedHours] = one.places
    lines = []
    for place in places:
        name = place.name if isinstance(place, StatedHours) else place.address.name
        where = words.addresses.get(name, f"({name})")
        lines += _weekly(place.timetable, words, where)
    dates = _dates(order, one, words)
    return [*lines, dates] if lines and dates else lines


def _weekly(timetable: CurfewTimetable, words: Words, where: str = "") -> list[str]:
    """Each period in a line; its end stands with "the next day" where it runs past midnight."""
    lines = []
    for entry in timetable.entries:
        later = entry.past_midnight and entry.end not in (0, DAY_MINUTES)
        end = words.clock(entry.end) + (f" {words.next_day}" if later else "")
        form = words.said["hours" if where else "hours anywhere"]
        told = form.format(
            days=words.on_days(entry.days), start=words.clock(entry.start), end=end, where=where
        )
        lines.append(told)
    return lines


def _dates(order: Order, one: Condition | UnmonitoredCondition, words: Words) -> str:
    start, end = order.dates_of(one)
    told = {
        "start": "" if start == -ALWAYS_MS else _date(start, words),
        "end": "" if end == ALWAYS_MS else f"{_date(end, words)}, {_clock(end, words)}",
    }
    form = {(True, True): "dates", (True, False): "dates from", (False, True): "dates until"}
    known = bool(told["start"]), bool(told["end"])
    return words.said[form[known]].format(**told) if any(known) else ""


def _places(order: Order, words: Words) -> Iterator[str]:
    number = 0
    for one in _every(order):
        named = _KINDS.get(one.type if isinstance(one, UnmonitoredCondition) else type(one).__name__)
        if named is None:
            continue
        number += named != "attendance"
        told = [words.said[named].format(number=number, name=one.name)]
        if not isinstance(one, UnmonitoredCondition | CurfewCondition | AlcoholCondition | TrailCondition):
            told += _times(one.schedule, words)
        yield " ".join([*told, *([dates] if (dates := _dates(order, one, words)) else [])])


_KINDS = {
    ExclusionCondition.__name__: "exclusion",
    InclusionCondition.__name__: "inclusion",
    RestrictionCondition.__name__: "restriction",
    AttendanceCondition.__name__: "attendance",
    **{kind: kind for kind in ("exclusion", "inclusion", "restriction", "attendance")},
}
"""How a place is spoken of: by the type of a condition, or what an unmonitored one says that it is."""


def _times(schedule: Schedule, words: Words) -> list[str]:
    if schedule.weekly is None and not schedule.dated:
        return [words.said["always"]]
    told = [] if schedule.weekly is None else _weekly(schedule.weekly, words)
    for start, end in schedule.dated:
        until = _clock(end, words)
        if _date(end, words) != _date(start, words):
            until = f"{_date(end, words)}, {until}"
        once = words.said["once"].format(date=_date(start, words), start=_clock(start, words), end=until)
        told.append(once)
    return [words.said["at these times"], *told]


def _drinking(order: Order) -> str:
    """Which sentence about alcohol holds: the stricter where there are two; "" where none does."""
    modes = [one.mode for one in order.conditions if isinstance(one, AlcoholCondition)]
    if AlcoholMode.ABSTINENCE in modes:
        return "abstinence"
    return "limit" if modes or any(one.type == "alcohol" for one in order.unmonitored) else ""


def _call(contact: Contact, words: Words) -> Section:
    said = words.said
    if not contact.phone:
        return Section(said["call"], [said["by hand"]], line=True, after=[said["interpreter"]])
    told = [f"{said['phone']}: {contact.phone}"]
    if contact.hours:
        told.append(f"{said['open']}: {contact.hours}")
    return Section(said["call"], told, after=[said["interpreter"]])


def _local(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, ZoneInfo(TIMEZONE))


def _date(ms: int, words: Words) -> str:
    at = _local(ms)
    return words.date(at.year, at.month, at.day)


def _clock(ms: int, words: Words) -> str:
    at = _local(ms)
    return words.clock(at.hour * 60 + at.minute)
