"""What home units make of the beacons of a wearer's RF tag, and of themselves (firmware/home_unit), without running it.

An interval a minute is told with how many beacons were heard; of a silence that goes on every other one, twice as
long. A unit on its back-up battery says so with every interval, and nothing any more after a day; one that was carried
away says so until an officer has put it back. What the tag says of itself (strap, case, battery, start) comes with its
beacons, so no later than once an hour while it is heard, and when it changes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from core.readings import I64, Contacts, EventCode, Events, UnitFlag
from sim import noise, radio
from sim.equipment import battery_mv
from sim.in_force import less, union
from sim.life import Life, Span, Unit, spans_hold
from sim.uplink import connected, handed_over

INTERVAL_MS = 60_000
LOOK_MS = 2_000
SLOT_MS, JITTER_MS = 15_000, 5_000
BACKUP_MS = 24 * 3_600_000
"""So long a unit lives without mains (`sim.life.Unit`)."""
LOW_AFTER_MS = 20 * 3_600_000
"""Its back-up battery is low from then on."""
STATE_MS = 3_600_000
STARTED_MS = 3_600_000
CHANGE_LOOK_MS = 5_000
BATTERY_STEP_MV = 20
"""As a beacon tells the voltage of its tag's cell."""
CHECK_MS = 200
"""So long after the unit stands in its place again the officer's tool has been answered."""
_JITTER = noise.stream_of("beacon/jitter")
_STARTED, _OPEN, _OPENED, _CASE = 16, 1, 2, 4


class Said(NamedTuple):
    """What one unit said, in the order made: readings and when each was made, is to be sent, and arrived."""

    contacts: Contacts
    events: Events
    contacts_arrived_ms: I64
    events_arrived_ms: I64


def beacons(life: Life) -> I64:
    """When the wearer's RF tag speaks: in each slot of 15 s, and five times when its strap or case changes."""
    slots = np.arange((life.end_ms - life.start_ms) // SLOT_MS)
    sent = life.start_ms + slots * SLOT_MS + np.int64(JITTER_MS * noise.uniform(life.seed, _JITTER, slots))
    extra = [
        np.arange(5) * 2000 + mark + CHANGE_LOOK_MS // 2
        for span in (*life.off_ankle, *life.case_open)
        for mark in span
        if life.start_ms < mark < life.end_ms
    ]
    if extra:
        sent = np.sort(np.concatenate([sent, *extra]))
    return sent


def place_of(life: Life, unit: Unit) -> int:
    """Which address of the curfew a unit stands at, from 0."""
    for condition in life.order["conditions"]:
        if condition["type"] == "curfew":
            places = [condition, *condition.get("also", ())]
            names = [place["address"]["name"] for place in places]
            if unit.address in names:
                return names.index(unit.address)
    return 0


def listen(life: Life, unit: Unit, number: int) -> Said:
    """All that one unit says; ``number`` tells its journal from those of the wearer's other units."""
    sent_ms = beacons(life)
    dbm = radio.heard(life, unit, sent_ms)
    pieces = _pieces(life, unit)
    alive = [(start, end) for start, end, _, _ in pieces]
    heard = np.flatnonzero(~np.isnan(dbm) & spans_hold(alive, sent_ms))
    heard_ms, dbm = sent_ms[heard], np.rint(dbm[heard])
    whole, parts = _intervals(np.array(pieces, np.int64).reshape(-1, 4), heard_ms, dbm)
    place = place_of(life, unit)
    events = _unit_events(life, unit, place)
    states = _states(life, heard_ms)
    made = [whole[0], *(np.array([one[0] for one in some], np.int64) for some in (events, states))]
    urgent = np.concatenate(
        [np.zeros(len(whole[0]), np.bool_), np.ones(len(events), np.bool_), [s[2] for s in states]]
    ).astype(np.bool_)
    links = connected(
        life.seed + number,
        np.array([[life.start_ms, life.end_ms + 86_400_000]], np.int64),
        life.offline,
        less([Span(life.start_ms, life.end_ms)], alive),
    )
    seq, arrived = handed_over(made, urgent, links)
    epoch = np.uint32(100 + number)
    n, m = len(whole[0]), len(events)
    contacts = Contacts(
        whole[0],
        np.floor((whole[1] + 500) / 1000),
        whole[2],
        parts[0],
        parts[1],
        np.full(n, place, np.int64),
        whole[3].astype(np.uint8),
        np.full(n, epoch, np.uint32),
        seq[:n],
    )
    told = [
        (t, int(code), float(place), int(seq[n + i]), int(arrived[n + i]))
        for i, (t, code) in enumerate(events)
    ]
    for i, (t_ms, state, _, age_ms) in enumerate(states):
        who = int(seq[n + m + i]), int(arrived[n + m + i])
        told += [(at, code, value, *who) for at, code, value in _of_state(life, t_ms, state, age_ms)]
    told.sort()
    columns: list[Any] = list(zip(*told, strict=True)) or [()] * 5
    return Said(
        contacts,
        Events(
            np.array(columns[0], np.int64),
            np.array(columns[1], np.int64),
            np.array(columns[2], np.float64),
            np.full(len(told), epoch, np.uint32),
            np.array(columns[3], np.uint32),
        ),
        arrived[:n],
        np.array(columns[4], np.int64),
    )


def _pieces(life: Life, unit: Unit) -> list[tuple[int, int, int, int]]:
    """``(from, to, flags, booted)``: what the unit says of itself, while it lives."""
    dead = [*unit.off, *((cut.start_ms + BACKUP_MS, cut.end_ms) for cut in unit.no_mains)]
    alive = less([Span(life.start_ms, life.end_ms)], [span for span in dead if span[1] > span[0]])
    low = [(cut.start_ms + LOW_AFTER_MS, cut.end_ms) for cut in unit.no_mains]
    changes = {mark for span in (*unit.no_mains, *unit.moved, *low) for mark in span}
    found = []
    for start_ms, end_ms in alive:
        marks = [start_ms, *sorted(mark for mark in changes if start_ms < mark < end_ms), end_ms]
        for begin, end in itertools.pairwise(marks):
            flags = 0 if _within(unit.no_mains, begin) else UnitFlag.MAINS
            flags |= UnitFlag.MOVED if _within(unit.moved, begin) else 0
            flags |= (
                UnitFlag.BATTERY_LOW if _within([span for span in low if span[1] > span[0]], begin) else 0
            )
            found.append((begin, end, int(flags), int(begin == start_ms)))
    return found


def _within(spans: Any, t_ms: int) -> bool:
    return any(start_ms <= t_ms < end_ms for start_ms, end_ms in spans)


def _unit_events(life: Life, unit: Unit, place: int) -> list[tuple[int, EventCode]]:
    alive = [(start, end) for start, end, _, _ in _pieces(life, unit)]
    pairs = [
        (unit.no_mains, EventCode.MAINS_LOST, EventCode.MAINS_BACK),
        (unit.moved, EventCode.UNIT_MOVED, EventCode.UNIT_CHECKED),
        (
            [Span(cut.start_ms + LOW_AFTER_MS, cut.end_ms) for cut in unit.no_mains],
            EventCode.UNIT_BATTERY_LOW,
            EventCode.UNIT_BATTERY_WELL,
        ),
    ]
    found = []
    for spans, began, over in pairs:
        for span in spans:
            for mark, code in zip(span, (began, over), strict=True):
                if span[0] < span[1] and _within(alive, mark) and mark > life.start_ms:
                    checked_ms = CHECK_MS if code == EventCode.UNIT_CHECKED else 0
                    found.append((_look(life, mark) + checked_ms, code))
    return sorted(found)


def _look(life: Life, t_ms: int) -> int:
    """The first look, every `LOOK_MS` from the start, that sees what happens at an instant."""
    return life.start_ms - (life.start_ms - t_ms) // LOOK_MS * LOOK_MS


def _states(life: Life, heard_ms: I64) -> list[tuple[int, int, bool, int | None]]:
    """``(t_ms, state, urgent, age_ms)`` of each state that is told of the tag."""
    open_spans, cases = union(life.off_ankle), union(life.case_open)
    marks = [mark for span in (*open_spans, *cases) for mark in span if mark > life.start_ms]
    edges = sorted({life.start_ms + STARTED_MS, *(mark + CHANGE_LOOK_MS // 2 for mark in marks)})
    found: list[tuple[int, int, bool, int | None]] = []
    told: int | None = None
    for i in _told_at(heard_ms, np.array(edges, np.int64)).tolist():
        t_ms = int(heard_ms[i])
        at_ms = t_ms - CHANGE_LOOK_MS // 2
        state = _STARTED if t_ms < life.start_ms + STARTED_MS else 0
        state |= _OPEN | _OPENED if _within(open_spans, at_ms) else 0
        state |= _CASE if _within(cases, at_ms) else 0
        changed = [mark for mark in marks if mark <= at_ms]
        age_ms = t_ms - max(changed) if changed else None
        urgent = (state & ~_STARTED) != ((told or 0) & ~_STARTED)
        found.append((t_ms, state, urgent, age_ms))
        told = state
    return found


@njit(cache=True)
def _told_at(heard_ms: Any, edges: Any) -> Any:
    """Which beacons are told of: the first, one an hour, and the first after each change."""
    found = np.empty(len(heard_ms), np.int64)
    n = edge = 0
    told_ms = -STATE_MS
    for i in range(len(heard_ms)):
        t_ms = heard_ms[i]
        changed = False
        while edge < len(edges) and edges[edge] <= t_ms:
            changed = True
            edge += 1
        if n == 0 or changed or t_ms - told_ms >= STATE_MS:
            found[n] = i
            n += 1
            told_ms = t_ms
    return found[:n]


def _of_state(life: Life, t_ms: int, state: int, age_ms: int | None) -> Iterator[tuple[int, int, float]]:
    """The events that a tag state is: `core.decoding.tag_states_from_wire`."""
    age_ms = 0 if age_ms is None else age_ms // 10_000 * 10_000
    if state & (_OPEN | _OPENED):
        yield t_ms - age_ms, int(EventCode.STRAP_OPEN), np.nan
    else:
        yield t_ms + 1, int(EventCode.STRAP_CHECKED), np.nan
    if state & _CASE:
        yield t_ms - age_ms + 2, int(EventCode.CASE_OPEN), np.nan
    if state & _STARTED:
        yield t_ms + 3, int(EventCode.BOOT), np.nan
    told_mv = battery_mv(life, np.array([t_ms], np.int64), "rf_tag")[0] // BATTERY_STEP_MV * BATTERY_STEP_MV
    yield t_ms + 4, int(EventCode.BATTERY), float(told_mv)


_MOST = 64
"""Beacons in one interval at most: one in 15 s, and five for each change of strap or case."""


@njit(cache=True)
def _intervals(pieces: Any, heard_ms: Any, dbm: Any) -> Any:
    """Contact records: firmware/home_unit/ear.py, `Ear.turn` and `Ear.cut`.

    Columns: end, span in s, count, strongest and median dBm (NaN: none), flags of the unit.
    """
    most = 0
    for p in range(len(pieces)):
        most += (pieces[p, 1] - pieces[p, 0]) // INTERVAL_MS + 3
    whole, parts = np.empty((4, most), np.int64), np.empty((2, most))
    n = i = 0
    since = end = begin = 0
    silent = False
    some = np.empty(_MOST)
    for p in range(len(pieces)):
        from_ms, to_ms, flags, booted = pieces[p]
        if booted:
            since, begin, end, silent = from_ms, from_ms, from_ms + INTERVAL_MS, False
        goes_on = p + 1 < len(pieces) and not pieces[p + 1, 3]
        while True:
            cut = end > to_ms
            if cut and not goes_on:
                break
            now = to_ms if cut else end
            first = i
            while i < len(heard_ms) and heard_ms[i] <= now:
                i += 1
            count = min(i - first, _MOST)
            going_on = silent and count == 0
            if cut or not going_on or now - since >= 2 * INTERVAL_MS:
                if count and silent and since < begin:
                    whole[0, n], whole[1, n], whole[2, n], whole[3, n] = begin, begin - since, 0, flags
                    parts[0, n] = parts[1, n] = np.nan
                    n += 1
                    since = begin
                if now - since >= 500:
                    whole[0, n], whole[1, n], whole[2, n], whole[3, n] = now, now - since, count, flags
                    parts[0, n] = parts[1, n] = np.nan
                    for k in range(count):
                        one = dbm[first + k]
                        at = k
                        while at and some[at - 1] > one:
                            some[at] = some[at - 1]
                            at -= 1
                        some[at] = one
                    if count:
                        parts[0, n], parts[1, n] = some[count - 1], some[(count - 1) // 2]
                    n += 1
                since, silent = now, count == 0
            if cut:
                break
            begin = now
            end += INTERVAL_MS
        if not goes_on:  # what is heard after the last interval is never told
            while i < len(heard_ms) and heard_ms[i] < to_ms:
                i += 1
    return whole[:, :n], parts[:, :n]
