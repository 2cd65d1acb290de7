"""Absences and whereabouts unknown: kernels over sightings and curfew periods. `core.curfew` says what they mean.

`watch_curfews` carries on by sightings alone. What silence means at a given moment is worked out on a copy (`silence`),
so that whatever arrives later, and however late, is judged as if it had been there all along.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.activation import ALWAYS_MS
from core.curfew_periods import periods_within
from core.episodes import EPISODE, NEVER_MS, OPEN_MS, Limits, emit
from core.presence import BY_POSITION, HOME, NOT_HOME, UNKNOWN

ABSENCE, LOST = 0, 1
NOT_YET, BY_ONE, BY_POSITIONS = 0, 1, 2
"""How a run is believed: not, by either source, or whatever the home unit says."""

WATCHED = np.dtype(
    [
        ("open", np.int8),  # an absence goes on
        ("run", np.int8),  # consecutive sightings that agree: HOME or NOT_HOME; UNKNOWN: none yet
        ("run_start_ms", np.int64),
        ("run_start_key", np.uint64),
        ("run_last_ms", np.int64),  # the last sighting of all
        ("run_last_key", np.uint64),
        ("run_sure", np.int8),  # the run is long enough to be believed: NOT_YET, BY_ONE, BY_POSITIONS
        ("run_fix_ms", np.int64),  # its first position; NEVER_MS: none
        ("run_heard_ms", np.int64),  # the first interval in which a home unit heard the tag
        ("run_silent_ms", np.int64),  # for how long a home unit listened in vain
        (
            "faint_ms",
            np.int64,
        ),  # since the last sighting it heard something faint, then first; NEVER_MS: it did not
        # of the run's sightings away within the current period
        ("run_in_ms", np.int64),  # the first of them; NEVER_MS: none yet
        ("run_known_ms", np.int64),
        ("run_fixes", np.int32),
        ("run_contacts", np.int32),
        ("run_far_m", np.float64),
        ("run_far_key", np.uint64),
        # who made those readings, as in `core.episodes`
        ("run_start_by", np.int16),
        ("run_last_by", np.int16),
        ("run_far_by", np.int16),
        ("vouched", np.int8),  # when the current period began, a position away still vouched
        ("home_ms", np.int64),  # the wearer is known to have been at home then, last
    ]
)
TERMS = np.dtype(
    [
        ("calendar", np.int32),  # which one; its periods are cut to from_ms and to_ms
        ("from_ms", np.int64),
        ("to_ms", np.int64),
        ("watch_to_ms", np.int64),  # when the curfew is watched no longer
    ]
)


@njit(cache=True)
def _open(state: Any, draft: Any, start_ms: int, period: Any, confirm_key: int, confirm_by: int) -> None:
    """An absence by the run, which began with its first reading; ``confirm_key`` is the reading that confirms it."""
    state["open"] = 1
    draft["kind"] = ABSENCE
    draft["period_ms"] = period[0]
    draft["period_end_ms"] = period[1]
    draft["start_ms"] = start_ms
    draft["end_ms"] = OPEN_MS
    draft["since_ms"] = max(period[0], state["home_ms"])
    draft["known_ms"] = state["run_known_ms"]
    draft["fixes"] = state["run_fixes"]
    draft["contacts"] = state["run_contacts"]
    draft["extreme_m"] = state["run_far_m"]
    draft["extreme_key"], draft["extreme_by"] = state["run_far_key"], state["run_far_by"]
    draft["first_key"], draft["first_by"] = state["run_start_key"], state["run_start_by"]
    draft["confirm_key"], draft["confirm_by"] = confirm_key, confirm_by
    draft["last_key"], draft["last_by"] = state["run_last_key"], state["run_last_by"]
    draft["end_key"] = 0


@njit(cache=True)
def _none_away(state: Any) -> None:
    """No sighting of the run away within the current period yet."""
    state["run_in_ms"] = NEVER_MS
    state["run_known_ms"] = 0
    state["run_fixes"] = 0
    state["run_contacts"] = 0
    state["run_far_m"] = 0.0
    state["run_far_key"] = 0


@njit(cache=True)
def _broken(state: Any, by_ms: int) -> Any:
    """Had the home unit, by ``by_ms``, heard something faint since the last sighting of a run away?"""
    return state["faint_ms"] != NEVER_MS and state["faint_ms"] <= by_ms


@njit(cache=True)
def _pass_time(
    state: Any,
    draft: Any,
    t_ms: int,
    arriving: int,
    key: int,
    by: int,
    periods: Any,
    p: int,
    end: int,
    limits: Limits,
    out: Any,
    count: int,
) -> Any:
    """From the last sighting to ``t_ms``, when one arrives that shows ``arriving`` (or none: UNKNOWN).

    ``p`` is the first period that ends after the last sighting. Returns the first that ends after ``t_ms``, and the
    episodes with their count.
    """
    seen_ms = state["run_last_ms"]
    by_fix = state["run_fix_ms"] != NEVER_MS
    goes_on = state["run"] == NOT_HOME and (by_fix or not _broken(state, t_ms))
    while p < end and periods[p, 0] <= t_ms:
        begins_ms, ends_ms = periods[p, 0], periods[p, 1]
        broken = _broken(state, begins_ms)
        away = state["run"] == NOT_HOME and (by_fix or not broken)
        sure = away and state["run_sure"] >= (BY_POSITIONS if broken else BY_ONE)
        if begins_ms > seen_ms:
            _none_away(state)
            state["vouched"] = 1 if away and begins_ms < seen_ms + limits.vouch_ms else 0
            if sure and state["vouched"] == 1:
                _open(state, draft, begins_ms, periods[p], state["run_last_key"], state["run_last_by"])
        if arriving == NOT_HOME and goes_on and t_ms - seen_ms <= limits.vouch_ms:
            known_ms = min(t_ms, ends_ms) - max(seen_ms, begins_ms)
            state["run_known_ms"] += known_ms
            draft["known_ms"] += known_ms
        lost_ms = max(begins_ms, seen_ms + limits.vouch_ms)
        found_ms = min(t_ms, ends_ms)
        if found_ms - lost_ms >= limits.unknown_ms:
            gap = np.zeros(1, EPISODE)[0]
            gap["watch"] = draft["watch"]
            gap["kind"] = LOST
            gap["period_ms"] = begins_ms
            gap["period_end_ms"] = ends_ms
            gap["start_ms"] = lost_ms
            gap["end_ms"] = found_ms
            gap["since_ms"] = seen_ms
            gap["first_key"], gap["first_by"] = state["run_last_key"], state["run_last_by"]
            if arriving == UNKNOWN and ends_ms > t_ms:
                gap["end_ms"] = OPEN_MS
            elif ends_ms > t_ms:
                gap["end_key"], gap["end_by"] = key, by
            out = emit(out, count, gap)
            count += 1
        if ends_ms > t_ms:
            break
        if state["open"] == 1:
            draft["end_ms"] = ends_ms
            out = emit(out, count, draft)
            count += 1
            state["open"] = 0
        p += 1
    return p, out, count


@njit(cache=True)
def _follow(state: Any, sighting: Any, limits: Limits) -> Any:
    """Take a sighting into the run, or begin another with it; True if the run is to be believed now.

    Positions must be some seconds apart; a home unit must have heard the tag in two intervals, or have listened in
    vain for minutes in all. Each source confirms itself only. Something faint that it heard breaks a silence, and with
    it the run, unless a position is in it.
    """
    t_ms, key, by, shown = sighting["t_ms"], sighting["key"], sighting["by"], sighting["presence"]
    goes_on = shown == state["run"] and t_ms - state["run_last_ms"] <= limits.within_ms
    if state["faint_ms"] != NEVER_MS:
        goes_on = goes_on and state["run_fix_ms"] != NEVER_MS
        state["faint_ms"] = NEVER_MS
        state["run_silent_ms"] = 0
        if state["run_sure"] == BY_ONE:
            state["run_sure"] = NOT_YET
    if not goes_on:
        state["run"] = shown
        state["run_start_ms"] = t_ms
        state["run_start_key"], state["run_start_by"] = key, by
        state["run_sure"] = NOT_YET
        state["run_fix_ms"] = NEVER_MS
        state["run_heard_ms"] = NEVER_MS
        state["run_silent_ms"] = 0
        _none_away(state)
    state["run_last_ms"] = t_ms
    state["run_last_key"], state["run_last_by"] = key, by
    if sighting["source"] == BY_POSITION:
        if state["run_fix_ms"] == NEVER_MS:
            state["run_fix_ms"] = t_ms
        elif t_ms - state["run_fix_ms"] >= (limits.apart_ms if shown == HOME else limits.accuse_ms):
            state["run_sure"] = BY_POSITIONS
    elif shown == HOME:
        if state["run_heard_ms"] == NEVER_MS:
            state["run_heard_ms"] = t_ms
        elif t_ms - state["run_heard_ms"] >= limits.apart_ms:
            state["run_sure"] = max(state["run_sure"], BY_ONE)
    else:
        state["run_silent_ms"] += sighting["span_ms"]
        if state["run_silent_ms"] >= limits.missed_ms:
            state["run_sure"] = max(state["run_sure"], BY_ONE)
    return state["run_sure"] != NOT_YET


@njit(cache=True)
def _nothing_new(state: Any, sighting: Any, periods: Any, p: int, end: int, limits: Limits) -> Any:
    """Does a sighting only carry on what is believed already, with no absence and no edge of a period to think of?"""
    t_ms, seen_ms = sighting["t_ms"], state["run_last_ms"]
    if (
        sighting["presence"] != state["run"]
        or state["run_sure"] == NOT_YET
        or state["open"] == 1
        or t_ms - seen_ms > limits.vouch_ms
        or state["faint_ms"] != NEVER_MS
    ):
        return False
    if state["run"] == NOT_HOME and state["run_sure"] == BY_ONE and sighting["source"] == BY_POSITION:
        # it may make the run one that nothing faint can break
        return False
    if p == end or periods[p, 0] > t_ms:
        return True
    return sighting["presence"] == HOME and periods[p, 0] <= seen_ms and periods[p, 1] > t_ms


@njit(cache=True)
def watch_curfews(
    sightings: Any,
    offsets: Any,
    slots: Any,
    pool: Any,
    calendars: Any,
    terms: Any,
    states: Any,
    drafts: Any,
    limits: Limits,
) -> Any:
    """Carry every slot on through its sightings; the episodes that are settled.

    Slot j of ``slots`` has sightings ``offsets[j]`` to ``offsets[j + 1]``. Its calendar (``terms``, `TERMS`), of which
    the periods stand in ``pool``, is known as far as its last sighting.
    """
    out = np.empty(16, EPISODE)
    count = 0
    periods = np.empty((16, 2), np.int64)
    for j in range(len(slots)):
        if offsets[j] == offsets[j + 1]:
            continue
        state, draft, term = states[slots[j]], drafts[slots[j]], terms[slots[j]]
        p = 0
        periods, end = periods_within(
            pool, calendars[term["calendar"]], term["from_ms"], term["to_ms"], state["run_last_ms"],
            sightings[offsets[j + 1] - 1]["t_ms"], periods,
        )  # fmt: skip
        for i in range(offsets[j], offsets[j + 1]):
            sighting = sightings[i]
            t_ms, shown = sighting["t_ms"], sighting["presence"]
            key, by = sighting["key"], sighting["by"]
            if shown == UNKNOWN:
                if state["run"] == NOT_HOME and state["faint_ms"] == NEVER_MS:
                    state["faint_ms"] = t_ms
                continue
            if _nothing_new(state, sighting, periods, p, end, limits):
                state["run_last_ms"] = t_ms
                state["run_last_key"], state["run_last_by"] = key, by
                if shown == HOME:
                    state["home_ms"] = max(state["home_ms"], t_ms - sighting["span_ms"])
                continue
            p, out, count = _pass_time(
                state, draft, t_ms, shown, key, by, periods, p, end, limits, out, count
            )
            sure = _follow(state, sighting, limits)
            if shown == HOME:
                # heard at some moment of the interval: no earlier than its beginning is all that is known
                state["home_ms"] = max(state["home_ms"], t_ms - sighting["span_ms"])
                if state["open"] == 1 and sure:
                    draft["end_ms"] = state["run_start_ms"]
                    draft["end_key"], draft["end_by"] = state["run_start_key"], state["run_start_by"]
                    state["open"] = 0
                    # out until the very instant at which the curfew began is not out during it
                    if draft["end_ms"] > draft["start_ms"]:
                        out = emit(out, count, draft)
                        count += 1
            elif p < end and periods[p, 0] <= t_ms:
                by_fix = 1 if sighting["source"] == BY_POSITION else 0
                if state["run_in_ms"] == NEVER_MS:
                    state["run_in_ms"] = t_ms
                state["run_fixes"] += by_fix
                state["run_contacts"] += 1 - by_fix
                if sighting["away_m"] > state["run_far_m"]:
                    state["run_far_m"] = sighting["away_m"]
                    state["run_far_key"], state["run_far_by"] = key, by
                if state["open"] == 1:
                    draft["fixes"] += by_fix
                    draft["contacts"] += 1 - by_fix
                    draft["last_key"], draft["last_by"] = key, by
                    if sighting["away_m"] > draft["extreme_m"]:
                        draft["extreme_m"] = sighting["away_m"]
                        draft["extreme_key"], draft["extreme_by"] = key, by
                elif sure:
                    start_ms = state["run_in_ms"]
                    if state["run_start_ms"] < periods[p, 0] and state["vouched"] == 1:
                        start_ms = periods[p, 0]
                    _open(state, draft, start_ms, periods[p], key, by)
    return out[:count]


@njit(cache=True)
def silence(
    slots: Any, now_ms: int, ahead_ms: int, pool: Any, calendars: Any, terms: Any, states: Any, drafts: Any,
    limits: Limits,
) -> Any:  # fmt: skip
    """What time alone means at ``now_ms``, nothing changed: the episodes, and when each slot has to be asked again.

    Calendars are as for `watch_curfews`, known as far as ``ahead_ms`` beyond now. No period in sight is not the same as
    no period ever: then it has to be asked again when they end.
    """
    out = np.empty(16, EPISODE)
    count = 0
    again = np.empty(len(slots), np.int64)
    state, draft = np.zeros(1, WATCHED), np.zeros(1, EPISODE)
    periods = np.empty((16, 2), np.int64)
    for j in range(len(slots)):
        state[0], draft[0], term = states[slots[j]], drafts[slots[j]], terms[slots[j]]
        p = 0
        periods, end = periods_within(
            pool, calendars[term["calendar"]], term["from_ms"], term["to_ms"], state[0]["run_last_ms"],
            now_ms + ahead_ms, periods,
        )  # fmt: skip
        p, out, count = _pass_time(
            state[0], draft[0], now_ms, UNKNOWN, 0, 0, periods, p, end, limits, out, count
        )
        if state[0]["open"] == 1:
            draft[0]["end_ms"] = OPEN_MS
            out = emit(out, count, draft[0])
            count += 1
        again[j] = now_ms + ahead_ms if term["watch_to_ms"] > now_ms else ALWAYS_MS
        if p < end:
            again[j] = periods[p, 0] if periods[p, 0] > now_ms else periods[p, 1]
            lost_ms = max(periods[p, 0], state[0]["run_last_ms"] + limits.vouch_ms) + limits.unknown_ms
            if lost_ms > now_ms:
                again[j] = min(again[j], lost_ms)
    return out[:count], again
