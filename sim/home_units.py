"""What home units make of the beacons of a wearer's RF tag, and of themselves (firmware/home_unit), without running it.

An interval a minute is told with how many beacons were heard, up to the last of them; a silence of `MISSED_MS` at once;
of one that goes on every other interval, twice as long. A unit on its back-up battery says so with every interval, and
nothing any more after a day; one that was carried away says so until an officer has put it back. What the tag says of
itself (strap, case, battery, start) comes with its beacons, so no later than once an hour while it is heard, and when
it changes.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from core.readings import F64, I64, Contacts, EventCode, Events, UnitFlag
from sim import noise, radio
from sim.equipment import battery_mv
from sim.in_force import less, union
from sim.life import Life, Span, Unit
from sim.uplink import NEVER_MS, connected, handed_over
from sim.way import Bool

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
MISSED_MS = 182_000
SILENT_QUARTERS = 5
BATTERY_STEP_MV = 20
"""As a beacon tells the voltage of its tag's cell."""
CHECK_MS = 200
"""So long after the unit stands in its place again the officer's tool has been answered."""
_JITTER = noise.stream_of("beacon/jitter")
_STARTED, _OPEN, _OPENED, _CASE = 16, 1, 2, 4
_STRAP_OPEN, _STRAP_CHECKED = int(EventCode.STRAP_OPEN), int(EventCode.STRAP_CHECKED)
_CASE_OPEN, _BOOT, _BATTERY = int(EventCode.CASE_OPEN), int(EventCode.BOOT), int(EventCode.BATTERY)


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


def listen(life: Life, unit: Unit, number: int, sent_ms: I64) -> Said:
    """All that one unit says; ``number`` tells its journal from those of the wearer's other units.

    ``sent_ms`` are the `beacons` of the wearer's tag.
    """
    pieces = np.array(_pieces(life, unit), np.int64).reshape(-1, 4)
    heard_ms, dbm = _caught(sent_ms, radio.heard(life, unit, sent_ms), pieces)
    whole, parts = _intervals(pieces, heard_ms, dbm)
    place = place_of(life, unit)
    own = _unit_events(life, unit, place)
    own_ms = np.array([t_ms for t_ms, _ in own], np.int64)
    states, urgent = _states(life, heard_ms)
    links = connected(
        life.seed + number,
        np.array([[life.start_ms, life.end_ms + 86_400_000]], np.int64),
        life.offline,
        less([Span(life.start_ms, life.end_ms)], pieces[:, :2].tolist()),
    )
    n, m = len(whole[0]), len(own)
    at_once = np.concatenate([whole[5] == 1, np.ones(m, np.bool_), urgent])
    seq, arrived = handed_over([whole[4], own_ms, states[0]], at_once, links)
    epoch = np.uint32(100 + number)
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
    volts = battery_mv(life, states[0], "rf_tag") // BATTERY_STEP_MV * BATTERY_STEP_MV
    told_ms, codes, values, of = _of_states(states, volts)
    t_ms = np.concatenate([own_ms, told_ms])
    code = np.concatenate([np.array([code for _, code in own], np.int64), codes])
    which = np.concatenate([np.arange(n, n + m), of + n + m])
    order = np.lexsort((seq[which], code, t_ms))
    which = which[order]
    return Said(
        contacts,
        Events(
            t_ms[order],
            code[order],
            np.concatenate([np.full(m, float(place)), values])[order],
            np.full(len(order), epoch, np.uint32),
            seq[which],
        ),
        arrived[:n],
        arrived[which],
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


@njit(cache=True)
def _caught(sent_ms: I64, dbm: F64, pieces: I64) -> tuple[I64, F64]:
    """The beacons that a unit hears while it lives, and how strongly, in whole dBm."""
    at, strength = np.empty(len(sent_ms), np.int64), np.empty(len(sent_ms))
    n = p = 0
    for i in range(len(sent_ms)):
        while p < len(pieces) and pieces[p, 1] <= sent_ms[i]:
            p += 1
        if p < len(pieces) and pieces[p, 0] <= sent_ms[i] and not np.isnan(dbm[i]):
            at[n], strength[n] = sent_ms[i], np.rint(dbm[i])
            n += 1
    return at[:n], strength[:n]


_NO_AGE_MS = -1


def _states(life: Life, heard_ms: I64) -> tuple[I64, Bool]:
    """What is told of the tag: instant, state, age of the last change, shape ``(3, n)``; and which do not wait."""
    open_spans, cases = (
        np.array(union(spans), np.int64).reshape(-1, 2) for spans in (life.off_ankle, life.case_open)
    )
    marks = np.sort(np.concatenate([open_spans, cases]).ravel())
    states: I64
    urgent: Bool
    states, urgent = _told(heard_ms, life.start_ms, open_spans, cases, marks[marks > life.start_ms])
    return states, urgent


@njit(cache=True)
def _told(heard_ms: I64, start_ms: int, open_spans: I64, cases: I64, marks: I64) -> tuple[I64, Bool]:
    """Of the first beacon, one an hour, and the first after each change."""
    found, urgent = np.empty((3, len(heard_ms)), np.int64), np.empty(len(heard_ms), np.bool_)
    n = mark = strap = case = 0
    told_ms, told = -STATE_MS, 0
    over_ms = start_ms + STARTED_MS
    for i in range(len(heard_ms)):
        t_ms = heard_ms[i]
        at_ms = t_ms - CHANGE_LOOK_MS // 2
        changed = False
        while mark < len(marks) and marks[mark] <= at_ms:
            changed = True
            mark += 1
        if over_ms <= t_ms:
            changed, over_ms = True, NEVER_MS
        if n and not changed and t_ms - told_ms < STATE_MS:
            continue
        while strap < len(open_spans) and open_spans[strap, 1] <= at_ms:
            strap += 1
        while case < len(cases) and cases[case, 1] <= at_ms:
            case += 1
        state = _STARTED if t_ms < start_ms + STARTED_MS else 0
        if strap < len(open_spans) and open_spans[strap, 0] <= at_ms:
            state |= _OPEN | _OPENED
        if case < len(cases) and cases[case, 0] <= at_ms:
            state |= _CASE
        found[0, n], found[1, n] = t_ms, state
        found[2, n] = t_ms - marks[mark - 1] if mark else _NO_AGE_MS
        urgent[n] = (state & ~_STARTED) != (told & ~_STARTED)
        told, told_ms = state, t_ms
        n += 1
    return found[:, :n], urgent[:n]


@njit(cache=True)
def _of_states(states: I64, volts: F64) -> tuple[I64, I64, F64, I64]:
    """The events that tag states are (`core.decoding.tag_states_from_wire`): instant, code, value, which state."""
    most = 4 * states.shape[1]
    t_ms, code, value, of = (
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most),
        np.empty(most, np.int64),
    )
    n = 0
    for i in range(states.shape[1]):
        at_ms, state, age_ms = states[0, i], states[1, i], max(states[2, i], 0) // 10_000 * 10_000
        first = n
        if state & (_OPEN | _OPENED):
            t_ms[n], code[n] = at_ms - age_ms, _STRAP_OPEN
        else:
            t_ms[n], code[n] = at_ms + 1, _STRAP_CHECKED
        n += 1
        if state & _CASE:
            t_ms[n], code[n] = at_ms - age_ms + 2, _CASE_OPEN
            n += 1
        if state & _STARTED:
            t_ms[n], code[n] = at_ms + 3, _BOOT
            n += 1
        value[first:n] = np.nan
        t_ms[n], code[n], value[n] = at_ms + 4, _BATTERY, volts[i]
        n += 1
        of[first:n] = i
    return t_ms[:n], code[:n], value[:n], of[:n]


@njit(cache=True)
def _tell(
    whole: Any, parts: Any, n: int, until: int, since: int, flags: int, dbm: Any, made: int, urgent: int
) -> None:
    """Write a contact: its beacons' strengths are ``dbm``."""
    whole[0, n], whole[1, n], whole[2, n], whole[3, n] = until, until - since, len(dbm), flags
    whole[4, n], whole[5, n] = made, urgent
    parts[0, n] = parts[1, n] = np.nan
    if len(dbm):
        ascending = np.sort(dbm)
        parts[0, n], parts[1, n] = ascending[-1], ascending[(len(dbm) - 1) // 2]


@njit(cache=True)
def _intervals(pieces: Any, heard_ms: Any, dbm: Any) -> Any:
    """Contact records: firmware/home_unit/ear.py, `Ear.turn` and `Ear.cut`.

    Rows: end, span in ms, count, flags of the unit, when made, whether told at once; and strongest and median dBm (NaN:
    none).
    """
    most = 0
    for p in range(len(pieces)):
        # of an hour sixty, or as many silences that are told at once as there is time for, and what was heard before
        most += (pieces[p, 1] - pieces[p, 0]) // INTERVAL_MS * 2 + 6
    whole, parts = np.empty((6, most), np.int64), np.empty((2, most))
    n = i = first = 0
    since = end = begin = boot = last = 0
    silent = missed = False
    for p in range(len(pieces)):
        from_ms, to_ms, flags, booted = pieces[p]
        if booted:
            boot, since, begin, end, last = from_ms, from_ms, from_ms, from_ms + INTERVAL_MS, from_ms
            silent = missed = False
            first = i
        goes_on = p + 1 < len(pieces) and not pieces[p + 1, 3]
        while True:
            cut = end > to_ms
            if cut and not goes_on:
                break
            now = to_ms if cut else end
            late = boot - (boot - last - MISSED_MS) // LOOK_MS * LOOK_MS
            while i < len(heard_ms) and heard_ms[i] <= now and (missed or heard_ms[i] <= late):
                last, missed = heard_ms[i], False
                late = boot - (boot - last - MISSED_MS) // LOOK_MS * LOOK_MS
                i += 1
            if not missed and late <= now:
                # not heard for so long: told at once
                missed = True
                if i > first and last - since >= 500:
                    _tell(whole, parts, n, last, since, flags, dbm[first:i], late, 1)
                    since, n, first = last, n + 1, i
                if late - since >= 500:
                    _tell(whole, parts, n, late, since, flags, dbm[first:i], late, 1)
                    since, n, silent, first = late, n + 1, i == first, i
                continue
            count = i - first
            going_on = silent and count == 0
            if cut or not going_on or (now - since) * 4 >= SILENT_QUARTERS * INTERVAL_MS:
                if count and silent and since < begin:
                    _tell(whole, parts, n, begin, since, flags, dbm[:0], now, 0)
                    since, n = begin, n + 1
                until = now if cut or not count else last
                if until - since >= 500:
                    _tell(whole, parts, n, until, since, flags, dbm[first:i], now, 0)
                    since, n, silent, first = until, n + 1, count == 0, i
            if cut:
                break
            begin = now
            end += INTERVAL_MS
        if not goes_on:  # what is heard after the last interval is never told
            while i < len(heard_ms) and heard_ms[i] < to_ms:
                i += 1
    return whole[:, :n], parts[:, :n]
