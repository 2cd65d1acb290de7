"""How long it takes from a true event until its alert is committed: through firmware and gateway, and in arrays.

The events are those that the score counts (`sim.score.counts`), of people of the town: visits to exclusion zones,
absences from curfews, straps cut. Each is lived in a *window* of its wearer's life: from long enough before for the tag
to be settled, with the devices that can tell of it, to half an hour after. Windows stay at the times at which they are:
a week of many people is gone through once, with those on stage whose windows are open; where nobody's is, time jumps.

While an event has begun and is not told, time moves by `STEP_MS`, and an alert was committed at the first step at whose
end the store holds it: a delay is up to one step too long, never too short. The same windows are judged from arrays
(`sim.runs`) at the same instants, so that what is between both is what the arrays do wrong, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from core.alerts import Alert
from core.rules import DEFAULT_RULES
from gateway import broker
from gateway.store import alerts as alert_book
from sim import score
from sim.in_force import cut, union
from sim.judged import no_link
from sim.life import Life, Span
from sim.people import population
from sim.relay import Relay
from sim.rig import Rig
from sim.runs import Desk
from sim.scenario import Scenario, Version, Wearer
from sim.score import FEWEST, NOT_MEASURED, Case, Delay, Told
from sim.scoring import START_MS, TOWN_SEED
from sim.stage import Stage
from sim.town import Town, make_town
from sim.truth import Family, Happening, happenings, hidden
from sim.verdict import WITHDRAWN, Raised

MINUTE_MS = 60_000
STEP_MS = 10_000
"""How fine time is while an event waits to be told."""
BEFORE_MS = 60 * MINUTE_MS
"""A tag that was just fitted finds its satellites in 2 min, hears from the gateway in 3, and rests for an hour at most
between two positions."""
LONGEST_MS = 6 * 60 * MINUTE_MS
"""An event within a time without a network that makes its window longer is not lived: it would cost as much as ten."""
SETTLED_MS = 15 * MINUTE_MS
"""With a network before a time without one: what the tag is told by the gateway, it has been told then."""
AFTER_MS = 30 * MINUTE_MS
"""What is told later than this counts as not told."""
TOLD_MS = 10 * MINUTE_MS
"""So long after the last of its events was told a window is over: by then what is wrong would have been withdrawn."""
_QUIET_MS = 5 * MINUTE_MS
_PATIENCE_S = 5.0
MOST_WEARERS = 5000
"""So many people have more than a thousand events of each kind in a week."""
_FAMILIES = {
    "exclusion": (Family.EXCLUSION, frozenset({"gps_tag"})),
    "curfew": (Family.CURFEW, frozenset({"gps_tag", "rf_tag"})),
    "strap": (Family.TAMPER, frozenset({"gps_tag", "rf_tag", "alcohol_tag"})),
}
"""Kinds of event, and the devices that can tell of them."""
KINDS = tuple(_FAMILIES)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
Moved = Callable[[str, float], None]
"""Hears what is being done, and how much of it is, 0 to 1."""


class Event(NamedTuple):
    """A true happening that is to be told, and its kind, one of `KINDS`."""

    kind: str
    happening: Happening


@dataclass(frozen=True, slots=True)
class Window:
    """A part of somebody's life, as a life of its own, and the events in it that are measured."""

    life: Life
    events: tuple[Event, ...]

    def case(self) -> Case:
        """As the score reads it; nothing is told of it yet."""
        life = self.life
        happened = tuple(event.happening for event in self.events)
        return Case(life.name, life.start_ms, life.end_ms, life.strata, happened, {}, no_link(life), ())

    def scenario(self) -> Scenario:
        """As a scenario without faults, and without expectations."""
        life = self.life
        units = tuple(f"{life.name}{number or ''}" for number in range(len(life.units)))
        wearer = Wearer(life, (Version(life.start_ms, life.order),), units if "rf_tag" in life.wears else ())
        nothing: frozenset[str] = frozenset()
        span = life.start_ms, life.end_ms
        return Scenario(
            life.name, "", "", life.seed, *span, (wearer,), (), (), nothing, nothing, "", False, False
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """An event with its two delays; None where it was not told within the window."""

    wearer: str
    event: Event
    firmware: Delay | None
    direct: Delay | None
    dark: bool
    """There was no network when it began."""

    def to_json(self) -> dict[str, Any]:
        """As ``tagwatch sim score --firmware --json`` prints it."""
        return {
            "wearer": self.wearer,
            "kind": self.event.kind,
            "condition": self.event.happening.condition,
            "start_ms": self.event.happening.start_ms,
            "without_network": self.dark,
            "firmware_s": _seconds(self.firmware),
            "direct_s": _seconds(self.direct),
        }


def _seconds(found: Delay | None) -> float | None:
    return None if found is None else (found.told_ms - found.since_ms) / 1000


# --------------------------------------------------------------------------------------------- which events


def windows(
    town: Town,
    seed: int,
    events: int,
    start_ms: int,
    days: int,
    most_wearers: int,
    moved: Moved = lambda what, share: None,
) -> tuple[list[Window], int]:
    """The first ``events`` events of each kind, by people, and how many people were looked at for them.

    Fewer, where ``most_wearers`` people have no more.
    """
    found: list[Window] = []
    count = Counter(dict.fromkeys(KINDS, 0))
    looked = 0
    for life in population(town, seed, most_wearers, start_ms, days):
        looked += 1
        mine = []
        for event in _events(life):
            if count[event.kind] < events:
                count[event.kind] += 1
                mine.append(event)
        found += _windows(life, mine)
        least = min(count.values())
        moved("looking for events", least / events)
        if least >= events:
            break
    return found, looked


def _events(life: Life) -> Iterator[Event]:
    """What of a life is measured: the events that the score counts, with a whole window about them."""
    happened = tuple(happenings(life))
    unknown = {family: hidden(life, family) for family, _ in _FAMILIES.values()}
    case = Case(life.name, life.start_ms, life.end_ms, life.strata, happened, unknown, no_link(life), ())
    for one in happened:
        for kind, (family, devices) in _FAMILIES.items():
            if one.family != family or one.note not in ("", "strap") or not score.counts(case, one):
                continue
            span = _span(no_link(replace(life, wears=life.wears & devices)), one)
            whole = life.start_ms <= span.start_ms and span.end_ms <= life.end_ms
            if whole and span.end_ms - span.start_ms <= LONGEST_MS:
                yield Event(kind, one)


def _span(dark: Sequence[Span], one: Happening) -> Span:
    """From when to when an event is lived, whole minutes."""
    begin_ms, since_ms = one.start_ms - BEFORE_MS, one.start_ms
    for span in dark:
        if span.start_ms <= since_ms < span.end_ms:
            since_ms = span.end_ms
    for span in reversed(dark):
        if span.start_ms < begin_ms + SETTLED_MS and begin_ms < span.end_ms:
            begin_ms = span.start_ms - SETTLED_MS
    return Span(begin_ms // MINUTE_MS * MINUTE_MS, -(-(since_ms + AFTER_MS) // MINUTE_MS) * MINUTE_MS)


def _windows(life: Life, events: Iterable[Event]) -> Iterator[Window]:
    """Windows about some events of a life, those that overlap made one."""
    spans = []
    for event in events:
        dark = no_link(replace(life, wears=life.wears & _FAMILIES[event.kind][1]))
        spans.append((_span(dark, event.happening), event))
    for number, whole in enumerate(union(span for span, _ in spans)):
        mine = tuple(event for span, event in spans if whole.start_ms <= span.start_ms < whole.end_ms)
        devices = frozenset().union(*(_FAMILIES[event.kind][1] for event in mine))
        yield Window(_part(life, whole, devices, _LETTERS[number]), mine)


def _part(life: Life, span: Span, devices: frozenset[str], letter: str) -> Life:
    """A part of a life as a life of its own, under an order of its own.

    Everything about it happens when it did: sensors' chance rests on the life's seed and the instant.
    """
    name = life.name + letter
    wearer = dict(life.order["wearer"]) | {"id": f"W-{name.upper()}"}
    units = tuple(
        unit._replace(
            no_mains=tuple(cut(unit.no_mains, *span)),
            off=tuple(cut(unit.off, *span)),
            moved=tuple(cut(unit.moved, *span)),
        )
        for unit in life.units
    )
    return replace(
        life,
        name=name,
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        order=dict(life.order) | {"order_id": f"SIM-{name}", "wearer": wearer},
        wears=life.wears & devices,
        units=units,
        # what lies where it was taken off lies where it was then: such a span is kept whole
        off_ankle=tuple(
            one for one in life.off_ankle if one.end_ms > span.start_ms and one.start_ms < span.end_ms
        ),
        case_open=tuple(cut(life.case_open, *span)),
        flat=tuple(cut(life.flat, *span)),
        charging=tuple(cut(life.charging, *span)),
        offline=tuple(cut(life.offline, *span)),
    )


# ----------------------------------------------------------------------------------------- through firmware


class _Open:
    """A window that is on stage, and at the desk that judges it from arrays."""

    def __init__(self, window: Window, stage: Stage) -> None:
        self.window, self.stage, self.case = window, stage, window.case()
        self.told_ms: dict[str, int] = {}
        """When the store first held each alert, by its id."""
        self.firmware: dict[Event, Delay] = {}
        self.direct: dict[Event, Delay] = {}
        self._desk = Desk(window.scenario())
        self._since_ms = {event: self._linked(event.happening.start_ms) for event in window.events}

    def _linked(self, t_ms: int) -> int:
        """From when on something that happens at an instant can be told."""
        for span in self.case.no_link:
            if span.start_ms <= t_ms < span.end_ms:
                t_ms = span.end_ms
        return t_ms

    def waits(self, now_ms: int) -> bool:
        """Whether an event can be told now, and one of both has not told it."""
        return any(
            since_ms <= now_ms < since_ms + AFTER_MS and not self._told(event)
            for event, since_ms in self._since_ms.items()
        )

    def _told(self, event: Event) -> bool:
        return event in self.firmware and event in self.direct

    def next_ms(self, now_ms: int) -> int:
        """When something happens next: what is planned, an event that begins to wait, the end."""
        marks = (*self._since_ms.values(), self.stage.next_ms, self.end_ms)
        return min(mark for mark in marks if mark > now_ms)

    @property
    def end_ms(self) -> int:
        """When the window is over."""
        whole_ms = self.window.life.end_ms
        if not all(self._told(event) for event in self._since_ms):
            return whole_ms
        told = (*self.firmware.values(), *self.direct.values())
        return min(whole_ms, max(found.told_ms for found in told) + TOLD_MS)

    def look(self, now_ms: int, news: bool) -> None:
        """See which events have been told by now; ``news``: the store holds something new."""
        if self._desk.judge(now_ms):
            self.direct = self._found(self._desk.raised())
        if news:
            self.firmware = self._found(
                [replace(one, told_ms=self.told_ms.get(one.id, now_ms)) for one in self.stage.raised()]
            )

    def _found(self, raised: Sequence[Raised]) -> dict[Event, Delay]:
        told = [_told(one) for one in raised]
        found = {event: score.delay(self.case, event.happening, told) for event in self.window.events}
        return {event: one for event, one in found.items() if one is not None}

    def outcomes(self) -> Iterator[Outcome]:
        """What came of each event."""
        for event, since_ms in self._since_ms.items():
            dark = since_ms > event.happening.start_ms
            yield Outcome(
                self.window.life.name, event, self.firmware.get(event), self.direct.get(event), dark
            )


def _told(one: Raised) -> Told:
    """An alert as the score reads it."""
    alert = Alert(
        one.id,
        one.device,
        one.condition,
        one.rule,
        "ended" if one.state == WITHDRAWN else one.state,  # type: ignore[arg-type]  # open or ended
        "high",
        one.start_ms,
        one.end_ms,
        1,
        "",
        one.sentence,
        one.figures,
        (),
    )
    return Told(alert, one.told_ms, one.state == WITHDRAWN)


def through_firmware(
    windows: Sequence[Window], folder: Path, seed: int, moved: Callable[[float], None] = lambda share: None
) -> Iterator[Outcome]:
    """Live all windows on one rig; ``folder`` becomes its gateway's.

    Raises BenchError where a device ends by itself.
    """
    waiting = sorted(windows, key=lambda window: (window.life.start_ms, window.life.name), reverse=True)
    with Rig(folder, seed=seed, patience_s=_PATIENCE_S) as rig:
        place = broker.address(rig.settings)
        with Relay(lambda: (place.host, place.port)) as relay:
            going: list[_Open] = []
            now_ms = notice = done = 0
            while waiting or going:
                if not going:
                    now_ms = waiting[-1].life.start_ms
                while waiting and waiting[-1].life.start_ms <= now_ms:
                    going.append(_open(rig, relay, waiting.pop()))
                for one in going:
                    one.stage.act(now_ms)
                now_ms = _next(going, waiting, now_ms)
                rig.advance(now_ms)
                notice = _hear(rig, going, notice, now_ms)
                for one in [one for one in going if one.end_ms <= now_ms]:
                    one.stage.leave()
                    going.remove(one)
                    done += 1
                    moved(done / len(windows))
                    yield from one.outcomes()


def _open(rig: Rig, relay: Relay, window: Window) -> _Open:
    stage = Stage(rig, relay, window.scenario())
    stage.enrol()
    return _Open(window, stage)


def _next(going: Sequence[_Open], waiting: Sequence[Window], now_ms: int) -> int:
    """To when time is moved."""
    step_ms = STEP_MS if any(one.waits(now_ms) for one in going) else _QUIET_MS
    grid_ms = (now_ms // step_ms + 1) * step_ms
    return min([grid_ms, *(one.next_ms(now_ms) for one in going), *(w.life.start_ms for w in waiting[-1:])])


def _hear(rig: Rig, going: Sequence[_Open], notice: int, now_ms: int) -> int:
    """Take up what the store holds since ``notice``; returns the last notice."""
    by_device = {device: one for one in going for device in one.stage.worn}
    changed: set[str] = set()
    while True:
        with rig.store.read() as connection:
            some = alert_book.notices_after(connection, notice)
        if not some:
            break
        for news in some:
            notice = news["notice"]
            one = by_device.get(news["device"])
            if one is not None:
                one.told_ms.setdefault(news["id"], now_ms)
                changed.add(one.window.life.name)
    for one in going:
        one.look(now_ms, one.window.life.name in changed)
    return notice


# ------------------------------------------------------------------------------------------------- figures


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What is printed of each kind."""
    return {kind: _figures([one for one in outcomes if one.event.kind == kind]) for kind in KINDS}


def _figures(some: Sequence[Outcome]) -> dict[str, Any]:
    enough = len(some) >= FEWEST
    both = [
        (one.firmware.told_ms - one.direct.told_ms) / 1000
        for one in some
        if one.firmware is not None and one.direct is not None
    ]
    firmware = [seconds for one in some if (seconds := _seconds(one.firmware)) is not None]
    arrays = [seconds for one in some if (seconds := _seconds(one.direct)) is not None]

    def measured(values: Sequence[float], share: float) -> float | str:
        return round(score.quantile(values, share), 1) if enough and values else NOT_MEASURED

    return {
        "events": len(some),
        "told": len(firmware),
        "without_network_at_start": sum(one.dark for one in some),
        "delay_median_s": measured(firmware, 0.5),
        "delay_p95_s": measured(firmware, 0.95),
        "direct_told": len(arrays),
        "direct_delay_median_s": measured(arrays, 0.5),
        "direct_delay_p95_s": measured(arrays, 0.95),
        "difference_median_s": measured(both, 0.5),
        "difference_p5_s": measured(both, 0.05),
        "difference_p95_s": measured(both, 0.95),
    }


def measure(
    events: int,
    days: int,
    seed: int,
    folder: Path,
    moved: Moved = lambda what, share: None,
    start_ms: int = START_MS,
) -> dict[str, Any]:
    """Everything that ``tagwatch sim score --firmware --json`` prints; ``folder`` becomes the gateway's.

    Raises BenchError where a device ends by itself, GatewayError where the gateway does not start.
    """
    some, looked = windows(make_town(TOWN_SEED), seed, events, start_ms, days, MOST_WEARERS, moved)
    outcomes = list(through_firmware(some, folder, seed, lambda share: moved("living", share)))
    hours = sum(
        (window.life.end_ms - window.life.start_ms) * len(window.life.wears) / 3_600_000 for window in some
    )
    return {
        "days": days,
        "seed": seed,
        "start": f"{datetime.fromtimestamp(start_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "rule_set": DEFAULT_RULES.version,
        "wearers": looked,
        "windows": len(some),
        "device_hours": round(hours, 1),
        "step_s": STEP_MS // 1000,
        "delays": figures(outcomes),
        "each": [
            one.to_json()
            for one in sorted(outcomes, key=lambda one: (one.wearer, one.event.happening.start_ms))
        ],
    }
