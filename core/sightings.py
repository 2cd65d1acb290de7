"""Sightings at an address: positions and a home unit's contacts in order of tag time, each weighed against the other.

A healthy home unit and positions that contradict each other, both within the time that a reading vouches, show nothing
from the first contradiction on; when it lasts for `RuleSet.disagree_s` it is an episode, for an equipment alert: either
the unit, the tag's radio or the positions are wrong, and nobody can tell from afar which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from core.episodes import EPISODE, NEVER_MS, Episodes, Limits, emit
from core.family import Batch
from core.geometry import metres_at
from core.presence import BY_POSITION, BY_UNIT, HOME, NOT_HOME, SIGHTING, UNKNOWN, Place, Sightings
from core.readings import I64, EventCode, UnitFlag
from core.rows import Rows, first_at
from core.zones import SCALE_TERMS

DISAGREE = 2
"""Kind of an episode; `core.absences` has the others."""

SENSE = np.dtype(
    [
        ("shown", np.int8, (2,)),  # by each source, last
        ("shown_ms", np.int64, (2,)),
        ("shown_key", np.uint64, (2,)),
        ("shown_by", np.int16, (2,)),
        ("heard_ms", np.int64),  # end of the home unit's last interval, whatever it showed
        ("moved", np.int64),  # bit by unit: it was moved, and no officer has seen it since
        ("checked_ms", np.int64),  # when an officer last saw a unit in its place
        ("at", np.int32),  # which of the wordings of the addresses this is about
        ("open", np.int8),  # the contradiction has lasted long enough to be told
        ("since_ms", np.int64),  # when it began; NEVER_MS: there is none
        ("last_ms", np.int64),  # the last reading that contradicted
    ]
)
_MAINS, _MOVED, _CASE_OPEN = int(UnitFlag.MAINS), int(UnitFlag.MOVED), int(UnitFlag.CASE_OPEN)
_DOUBTFUL = int(UnitFlag.DOUBTFUL)
_UNIT_MOVED, _UNIT_CHECKED = int(EventCode.UNIT_MOVED), int(EventCode.UNIT_CHECKED)


def blank_sense() -> Rows:
    """One row of `SENSE`: nothing known."""
    sense = np.zeros(1, SENSE)
    for name in ("shown_ms", "heard_ms", "since_ms", "last_ms", "checked_ms"):
        sense[name] = NEVER_MS
    return sense


@njit(cache=True)
def _contact_shows(contact: Any, moved: int, alone: bool, limits: Limits) -> Any:
    """What one interval of a home unit shows; and whether it can be trusted."""
    flags = contact["unit_ok"]
    if flags & _MAINS == 0 or flags & (_MOVED | _CASE_OPEN) != 0 or moved != 0 or contact["worn"] == 0:
        return UNKNOWN, False
    if flags & _DOUBTFUL != 0:
        return UNKNOWN, True
    if contact["count"] == 0:
        # a moment's listening is no silence, and one unit's silence says nothing of another address
        return (NOT_HOME if alone and contact["span_ms"] >= limits.apart_ms else UNKNOWN), True
    if contact["count"] >= limits.fewest and contact["strongest_dbm"] > limits.weak_dbm:
        return HOME, True
    return UNKNOWN, True


@njit(cache=True)
def _agrees(
    sense: Any,
    draft: Any,
    t_ms: int,
    source: int,
    presence: int,
    key: int,
    by: int,
    limits: Limits,
    out: Any,
    count: int,
) -> Any:
    """Note what ``source`` shows; False when the other source vouches for the contrary. And episodes."""
    other = 1 - source
    against = (
        sense["shown"][other] != UNKNOWN
        and sense["shown"][other] != presence
        and t_ms - sense["shown_ms"][other] <= limits.vouch_ms
    )
    ended_ms = min(t_ms, sense["last_ms"] + limits.vouch_ms)
    if sense["since_ms"] != NEVER_MS and (not against or ended_ms < t_ms):
        if sense["open"] == 1:
            draft["end_ms"] = ended_ms
            draft["end_key"], draft["end_by"] = key, by
            out = emit(out, count, draft)
            count += 1
        sense["since_ms"] = NEVER_MS
        sense["open"] = 0
    if against:
        if sense["since_ms"] == NEVER_MS:
            sense["since_ms"] = t_ms
            draft["kind"] = DISAGREE
            draft["start_ms"] = t_ms
            draft["period_ms"] = t_ms
            draft["first_key"], draft["first_by"] = sense["shown_key"][other], sense["shown_by"][other]
            draft["extreme_key"], draft["extreme_by"] = key, by
            draft["confirm_key"] = 0
            draft["fixes"] = 0
            draft["contacts"] = 0
            draft["end_key"] = 0
        sense["last_ms"] = t_ms
        draft["last_key"], draft["last_by"] = key, by
        if source == BY_POSITION:
            draft["fixes"] += 1
        else:
            draft["contacts"] += 1
        if sense["open"] == 0 and t_ms - sense["since_ms"] >= limits.disagree_ms:
            sense["open"] = 1
            draft["confirm_key"], draft["confirm_by"] = key, by
    sense["shown"][source] = presence
    sense["shown_ms"][source] = t_ms
    sense["shown_key"][source] = key
    sense["shown_by"][source] = by
    return not against, out, count


@njit(cache=True)
def _fix_shows(fix: Any, first: int, last: int, spots: Any, scales: Any) -> Any:
    """What a position shows of places ``first`` to ``last``, and how far it is from the nearest (m)."""
    nearest_m = np.inf
    presence = NOT_HOME
    for s in range(first, last):
        kx, ky = metres_at(scales[s], fix["lat"])
        dx, dy = (fix["lon"] - spots[s, 0]) * kx, (fix["lat"] - spots[s, 1]) * ky
        away_m = np.sqrt(dx * dx + dy * dy)
        nearest_m = min(nearest_m, away_m)
        if away_m + fix["radius_m"] < spots[s, 2]:
            presence = HOME
        elif not away_m - fix["radius_m"] > spots[s, 2] and presence == NOT_HOME:
            presence = UNKNOWN
    return presence, nearest_m


@njit(cache=True)
def _note(sense: Any, event: Any, first_unit: int, last_unit: int) -> None:
    """An event of a home unit."""
    moved = event["code"] == _UNIT_MOVED
    if not moved and event["code"] != _UNIT_CHECKED:
        return
    for unit in range(first_unit, last_unit + 1):
        if event["value"] == unit:
            if moved:
                sense["moved"] |= 1 << unit
                sense["shown"][BY_UNIT] = UNKNOWN
            else:
                sense["moved"] &= ~(1 << unit)
                sense["checked_ms"] = event["t_ms"]


@njit(cache=True)
def _sight(
    fixes: Any,
    contacts: Any,
    events: Any,
    ranges: Any,
    about: Any,
    spots: Any,
    scales: Any,
    units: Any,
    senses: Any,
    drafts: Any,
    limits: Limits,
) -> Any:
    """Sightings of every range, where each begins, and the contradictions that ended.

    ``ranges`` and ``about`` are as in `_stays`: ``about`` says of each: slot, wording, and its places in ``spots``.
    """
    offsets = np.zeros(len(ranges) + 1, np.int64)
    total = 0
    for r in range(len(ranges)):
        total += ranges[r, 1] - ranges[r, 0] + ranges[r, 3] - ranges[r, 2]
    seen = np.empty(total, SIGHTING)
    found = 0
    out = np.empty(4, EPISODE)
    count = 0
    for r in range(len(ranges)):
        slot, wording, first, last = about[r, 0], about[r, 1], about[r, 2], about[r, 3]
        sense, draft = senses[slot], drafts[slot]
        if sense["at"] != wording:
            # other addresses: what was shown, and what was moved, was of the old ones
            sense["at"] = wording
            sense["shown"][BY_POSITION] = UNKNOWN
            sense["shown"][BY_UNIT] = UNKNOWN
            sense["moved"] = 0
        i, last_fix, c, last_contact = ranges[r, 0], ranges[r, 1], ranges[r, 2], ranges[r, 3]
        e, last_event = ranges[r, 4], ranges[r, 5]
        while i < last_fix or c < last_contact:
            by_unit = i == last_fix or (c < last_contact and contacts[c]["t_ms"] <= fixes[i]["t_ms"])
            t_ms = contacts[c]["t_ms"] if by_unit else fixes[i]["t_ms"]
            while e < last_event and events[e]["t_ms"] <= t_ms:
                _note(sense, events[e], units[first], units[last - 1])
                e += 1
            away_m, span_ms, trusted = 0.0, 0, True
            if by_unit:
                contact = contacts[c]
                c += 1
                mine = False
                for s in range(first, last):
                    mine = mine or contact["unit"] == units[s]
                if not mine:
                    continue
                key, source, by = contact["key"], BY_UNIT, contact["unit"] + 1
                if contact["unit_ok"] & _MOVED != 0:
                    sense["moved"] |= 1 << contact["unit"]
                span_ms = min(contact["span_ms"], t_ms - sense["heard_ms"])
                sense["heard_ms"] = t_ms
                moved = sense["moved"] >> contact["unit"] & 1
                if t_ms - contact["span_ms"] < sense["checked_ms"]:
                    moved = 1  # part of it is from before the unit stood where it should
                presence, trusted = _contact_shows(contact, moved, last - first == 1, limits)
                if not trusted:
                    sense["shown"][BY_UNIT] = UNKNOWN
            else:
                key, source, by = fixes[i]["key"], BY_POSITION, 0
                presence, away_m = _fix_shows(fixes[i], first, last, spots, scales)
                i += 1
            if presence == UNKNOWN:
                if by_unit and trusted and (contact["count"] > 0 or contact["unit_ok"] & _DOUBTFUL != 0):
                    # too faint to show anything, or one of two, but the tag is, or may be, within reach: what silence
                    # showed is no longer so
                    if sense["shown"][BY_UNIT] == NOT_HOME:
                        sense["shown"][BY_UNIT] = UNKNOWN
                    seen[found]["t_ms"] = t_ms
                    seen[found]["presence"] = UNKNOWN
                    seen[found]["source"] = BY_UNIT
                    seen[found]["span_ms"] = span_ms
                    seen[found]["away_m"] = 0.0
                    seen[found]["key"] = key
                    seen[found]["by"] = by
                    found += 1
                continue
            agrees = True
            other = sense["shown"][1 - source]
            if sense["since_ms"] == NEVER_MS and other in (UNKNOWN, presence):
                # the other source says nothing, or the same: most wearers, most of the time
                sense["shown"][source] = presence
                sense["shown_ms"][source] = t_ms
                sense["shown_key"][source] = key
                sense["shown_by"][source] = by
            else:
                agrees, out, count = _agrees(
                    sense, draft, t_ms, source, presence, key, by, limits, out, count
                )
            if agrees:
                seen[found]["t_ms"] = t_ms
                seen[found]["presence"] = presence
                seen[found]["source"] = source
                seen[found]["span_ms"] = span_ms
                seen[found]["away_m"] = away_m
                seen[found]["key"] = key
                seen[found]["by"] = by
                found += 1
        while e < last_event:
            _note(sense, events[e], units[first], units[last - 1])
            e += 1
        offsets[r + 1] = found
    return seen[:found], offsets, out[:count]


PLACE = np.dtype([("spot", np.float64, (3,)), ("scale", np.float64, (3, SCALE_TERMS)), ("unit", np.int64)])
"""A `Place` as a row of a table."""
STAY = np.dtype(  # from when to when, what is known in ``slot`` is about places first to last of the table
    [(name, np.int64) for name in ("from_ms", "to_ms", "slot", "wording", "first", "last")]
)


def place_rows(places: Sequence[Place]) -> Rows:
    """``places`` as rows of `PLACE`."""
    rows = np.zeros(len(places), PLACE)
    for row, place in zip(rows, places, strict=True):
        row["spot"], row["scale"], row["unit"] = place.spot, place.scale, place.unit
    return rows


@njit(cache=True)
def _stays(fixes_ms: Any, contacts_ms: Any, events_ms: Any, parts: Any, stays: Any) -> Any:
    """Of each part its stays that any reading falls into: six numbers where its readings lie, and what it is about.

    ``parts`` are first and last+1 of: stays, positions, contacts, events.
    """
    total = 0
    for p in range(len(parts)):
        total += parts[p, 1] - parts[p, 0]
    ranges = np.empty((total, 6), np.int64)
    about = np.empty((total, 4), np.int64)
    found = 0
    for p in range(len(parts)):
        for s in range(parts[p, 0], parts[p, 1]):
            stay = stays[s]
            start_ms, end_ms = stay["from_ms"], stay["to_ms"]
            for k in range(2):
                at_ms = end_ms if k else start_ms
                ranges[found, k] = first_at(fixes_ms, parts[p, 2], parts[p, 3], at_ms)
                ranges[found, 2 + k] = first_at(contacts_ms, parts[p, 4], parts[p, 5], at_ms)
                ranges[found, 4 + k] = first_at(events_ms, parts[p, 6], parts[p, 7], at_ms)
            one = ranges[found]
            if one[0] < one[1] or one[2] < one[3] or one[4] < one[5]:
                about[found, 0], about[found, 1] = stay["slot"], stay["wording"]
                about[found, 2], about[found, 3] = stay["first"], stay["last"]
                found += 1
    return ranges[:found], about[:found]


def sight(
    batch: Batch, parts: I64, stays: Rows, places: Rows, senses: Rows, drafts: Episodes, limits: Limits
) -> tuple[Sightings, I64, I64, Episodes]:
    """Carry ``senses`` on through ``parts``: sightings, where those of each slot begin, the slots, and contradictions
    that ended.

    ``parts`` are int64 ``(n, 8)``: first and last+1 of stays (rows of `STAY`, about rows of `PLACE`), positions,
    contacts, events.
    """
    fixes, contacts, events = batch.positions, batch.contacts, batch.events
    ranges, about = _stays(fixes["t_ms"], contacts["t_ms"], events["t_ms"], parts, stays)
    found, offsets, told = _sight(
        fixes,
        contacts,
        events,
        ranges,
        about,
        places["spot"],
        places["scale"],
        places["unit"],
        senses,
        drafts,
        limits,
    )
    return found, offsets, about[:, 0], told
