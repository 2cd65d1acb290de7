"""The kernel that carries the state of alcohol sensors through their samples: drinking events and obstructions.

**A drinking event begins at the first of three consecutive readings at or above the level, the last at least 50 min
after the first and none more than 75 min after the one before; it ends at the first of readings that stay below it for
2 h, three at least.**
A reading counts unless the tag was not worn, the sensor was obstructed, or there is no figure; such a reading neither
makes nor breaks a series. A silence of more than 2 h ends an event unseen, at its last reading.

**A sensor is obstructed when three consecutive readings, the last at least 30 min after the first, show an infrared
voltage further than 0.25 V from the baseline of fitting, or a temperature that no skin has; it is so until the first
reading that shows neither.** It is confirmed when it lasts for 2 h or the sensor also turned as cold as off the skin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from core.episodes import NEVER_MS, OPEN_MS
from core.readings import TIME_QUALITY_MASK, TimeQuality
from core.sobriety_curve import MICRO, SCALE, Rates, drunk
from core.sobriety_state import (
    ABSURD_G_DL,
    CONFIRMED,
    COVERED,
    CURVE,
    DRINKING,
    ENVIRONMENTAL,
    NO_READING,
    NOT_WORN,
    OBSTRUCTED,
    PROVES,
    SUSPECTED,
    Bounds,
)

_UNSET = int(TimeQuality.UNSET)


@njit(cache=True)
def watch_samples(
    rows: Any,
    pieces: Any,
    sensors: Any,
    learn_ir: Any,
    learn_c: Any,
    curve_ms: Any,
    curve_tac: Any,
    drinks: Any,
    covers: Any,
    limit: Bounds,
    rate: Rates,
    worth: Any,
    out: Any,
) -> Any:
    """Judge samples, piece by piece: ``(findings that are over, their count)``.

    ``rows`` are samples as the rules see them; a piece is (slot, level and sure level in g/dl, first, last, anew):
    samples ``first`` to ``last`` of one sensor at one level, ``anew`` 1 where an officer's check begins a new baseline.
    ``sensors``, the buffers, ``drinks`` and ``covers`` are the state by slot; ``worth`` takes what each is worth.
    """
    count = 0
    body = np.empty(CURVE, np.int64)
    for p in range(len(pieces)):
        slot, level, sure = pieces[p]["slot"], pieces[p]["level"], pieces[p]["sure"]
        if pieces[p]["anew"]:
            sensors[slot]["learnt"] = sensors[slot]["learn_n"] = 0
            sensors[slot]["learn_ms"] = NEVER_MS
        for i in range(pieces[p]["first"], pieces[p]["last"]):
            if count + 2 >= len(out):
                grown = np.empty(2 * len(out) + 4, out.dtype)
                grown[:count] = out[:count]
                out = grown
            s = sensors[slot]
            t, tac = rows[i]["t_ms"], rows[i]["tac_g_dl"]
            if rows[i]["flags"] & TIME_QUALITY_MASK == _UNSET:
                worth[i] = NO_READING
                continue
            if s["drinking"] and t - s["last_ms"] > limit.gap_ms:
                out[count] = unseen_end(drinks[slot])
                count += 1
                s["drinking"] = s["run_n"] = s["curve_n"] = 0
            if rows[i]["worn"] == 0:
                worth[i] = NOT_WORN
                continue
            _settle(t, s, learn_ir[slot], learn_c[slot], limit)
            away, cold = _away(rows[i]["ir_v"], rows[i]["temp_c"], s, limit)
            if away:
                worth[i] = COVERED
                _cover(rows[i], cold, s, covers[slot], limit, rate)
                continue
            _learn(rows[i]["ir_v"], rows[i]["temp_c"], t, s, learn_ir[slot], learn_c[slot], limit)
            figure = abs(tac) <= ABSURD_G_DL  # not so if NaN
            worth[i] = PROVES if figure and np.isfinite(rows[i]["ir_v"]) else NO_READING
            if np.isfinite(rows[i]["ir_v"]) or np.isfinite(rows[i]["temp_c"]):
                if s["covered"]:
                    covers[slot]["end_ms"] = t
                    covers[slot]["end_seen"] = 1
                    covers[slot]["end_key"] = rows[i]["key"]
                    out[count] = covers[slot]
                    count += 1
                s["cover_n"] = s["covered"] = 0
                s["clear_ms"] = t
            if figure and _drink(
                rows[i], level, sure, s, curve_ms[slot], curve_tac[slot], drinks[slot], limit, rate, body
            ):
                out[count] = drinks[slot]
                count += 1
    return out, count


@njit(cache=True)
def unseen_end(drink: Any) -> Any:
    """An event whose readings ceased ends at the last of them; as far as it is known it stays as it was."""
    drink["end_ms"] = drink["seen_to_ms"]
    drink["end_seen"] = 0
    return drink


@njit(cache=True)
def _away(ir_v: float, temp_c: float, s: Any, limit: Bounds) -> Any:
    """Is the sensor away from the skin, and as cold as off it?"""
    off = np.isfinite(ir_v) and s["learnt"] == 1 and abs(ir_v - s["base_ir"]) > limit.band_v
    absurd = np.isfinite(temp_c) and (temp_c < limit.coldest_c or temp_c > limit.warmest_c)
    cold = absurd or (np.isfinite(temp_c) and s["learnt"] == 1 and temp_c <= s["base_c"] - limit.skin_fall_c)
    return off or absurd, cold


@njit(cache=True)
def _learn(ir_v: float, temp_c: float, t: int, s: Any, learn_ir: Any, learn_c: Any, limit: Bounds) -> None:
    """Gather the baseline of fitting; it holds from the next reading on."""
    if s["learnt"] == 1 or not np.isfinite(ir_v):
        return
    n = s["learn_n"]
    if n == 0:
        s["learn_ms"] = t
    learn_ir[n], learn_c[n] = ir_v, temp_c
    s["learn_n"] = n + 1
    if n + 1 >= limit.learn_readings:
        _settle(t, s, learn_ir, learn_c, limit)


@njit(cache=True)
def _settle(t: int, s: Any, learn_ir: Any, learn_c: Any, limit: Bounds) -> None:
    """The baseline stands once there are readings enough, or three and the time is over."""
    n = s["learn_n"]
    if s["learnt"] == 0 and (n >= limit.learn_readings or (n >= 3 and t - s["learn_ms"] > limit.learn_ms)):
        s["base_ir"] = _median(learn_ir[:n])
        s["base_c"] = _median(learn_c[:n])
        s["learnt"] = 1


@njit(cache=True)
def _median(values: Any) -> float:
    """Of the finite ones; NaN if there are none."""
    finite = np.sort(values[np.isfinite(values)])
    n = len(finite)
    if n == 0:
        return np.nan
    return float((finite[(n - 1) // 2] + finite[n // 2]) / 2.0)


@njit(cache=True)
def _cover(row: Any, cold: bool, s: Any, cover: Any, limit: Bounds, rate: Rates) -> None:
    """One more reading of a sensor that is not at the skin."""
    t, key = row["t_ms"], row["key"]
    off = abs(row["ir_v"] - s["base_ir"]) if np.isfinite(row["ir_v"]) and s["learnt"] == 1 else 0.0
    if s["covered"] == 0 and s["cover_n"] > 0 and t - cover["seen_to_ms"] > limit.join_ms:
        s["cover_n"] = 0
    if s["cover_n"] == 0:
        cover["kind"], cover["status"] = OBSTRUCTED, SUSPECTED
        cover["start_ms"], cover["end_ms"], cover["end_seen"] = t, OPEN_MS, 0
        cover["since_ms"] = s["clear_ms"]
        cover["readings"] = cover["cold"] = 0
        cover["peak"] = -1.0
        cover["confirm_ms"], cover["first_key"], cover["end_key"] = 0, key, 0
        cover["confirm_key"] = 0
    s["cover_n"] += 1
    cover["readings"] += 1
    cover["cold"] += cold
    cover["seen_to_ms"], cover["last_key"] = t, key
    if off > cover["peak"]:
        cover["peak"], cover["peak_ms"], cover["peak_key"] = off, t, key
    span = t - cover["start_ms"]
    if s["cover_n"] >= rate.readings and span >= limit.suspect_ms:
        s["covered"] = 1
        if cover["status"] == SUSPECTED and (cover["cold"] >= rate.readings or span >= limit.gap_ms):
            cover["status"], cover["confirm_ms"], cover["confirm_key"] = CONFIRMED, t, key


@njit(cache=True)
def _drink(
    row: Any,
    level: float,
    sure: float,
    s: Any,
    curve_ms: Any,
    curve_tac: Any,
    drink: Any,
    limit: Bounds,
    rate: Rates,
    body: Any,
) -> bool:
    """One more reading of the skin; True if it ends an event."""
    t, key = row["t_ms"], row["key"]
    tac, bar = _scaled(row["tac_g_dl"]), _scaled(level)
    high = tac >= bar
    near = t - s["last_ms"] <= limit.join_ms
    if not s["drinking"] and (not high or not near):
        s["run_n"] = 0
    if not s["drinking"] and not near:
        s["curve_n"] = 0
    if high and not s["drinking"] and s["run_n"] == 0:
        s["curve_first"] = _lead(curve_ms, curve_tac, s["curve_n"], t - limit.below_ms)
        s["curve_n"] = s["curve_first"]
        drink["kind"], drink["status"], drink["start_ms"], drink["end_ms"] = DRINKING, SUSPECTED, t, OPEN_MS
        drink["since_ms"] = s["last_ms"] if s["last_tac"] < bar else NEVER_MS
        drink["readings"] = drink["beyond"] = drink["end_seen"] = drink["cold"] = 0
        drink["peak"], drink["body"], drink["level"] = -1.0, 0.0, level
        drink["confirm_ms"], drink["first_key"], drink["confirm_key"], drink["end_key"] = 0, key, 0, 0
    if high and not s["drinking"]:
        s["run_n"] += 1
    if s["curve_n"] == CURVE:
        s["curve_n"] = _lead(curve_ms, curve_tac, CURVE, curve_ms[CURVE // 2])
        s["curve_first"] = max(0, s["curve_first"] - (CURVE - s["curve_n"]))
    curve_ms[s["curve_n"]], curve_tac[s["curve_n"]] = t, tac
    s["curve_n"] += 1
    if high:
        drink["readings"] += 1
        drink["seen_to_ms"], drink["last_key"] = t, key
        if row["tac_g_dl"] > drink["peak"]:
            drink["peak"], drink["peak_ms"], drink["peak_key"] = row["tac_g_dl"], t, key
        if s["run_n"] >= rate.readings and t - drink["start_ms"] >= rate.span_ms and not s["drinking"]:
            s["drinking"], s["below_n"] = 1, 0
    s["last_ms"], s["last_tac"], s["last_key"] = t, tac, key
    if not s["drinking"]:
        return False
    drink["seen_to_ms"], drink["last_key"] = t, key
    found, drink["beyond"], peak = drunk(
        curve_ms, curve_tac, s["curve_first"], s["curve_n"], bar, _scaled(sure), rate, body
    )
    drink["body"] = peak / SCALE / MICRO
    if found and drink["status"] == SUSPECTED:
        drink["status"], drink["confirm_ms"], drink["confirm_key"] = CONFIRMED, t, key
    if high:
        s["below_n"] = 0
        return False
    if s["below_n"] == 0:
        s["below_ms"], s["below_key"] = t, key
    s["below_n"] += 1
    if s["below_n"] < rate.readings or t - s["below_ms"] < limit.below_ms:
        return False
    if drink["status"] == SUSPECTED and 2 * drink["beyond"] > drink["readings"]:
        drink["status"] = ENVIRONMENTAL  # else it stays suspected: a covered sensor hides the rise
    drink["end_ms"], drink["end_key"], drink["end_seen"] = s["below_ms"], s["below_key"], 1
    s["drinking"] = s["run_n"] = 0
    return True


@njit(cache=True)
def _lead(curve_ms: Any, curve_tac: Any, n: int, from_ms: int) -> int:
    """Keep of the first ``n`` readings those from ``from_ms`` on, moved to the front; how many they are."""
    kept = 0
    for j in range(n):
        if curve_ms[j] >= from_ms:
            curve_ms[kept], curve_tac[kept] = curve_ms[j], curve_tac[j]
            kept += 1
    return kept


@njit(cache=True)
def _scaled(g_dl: float) -> int:
    return int(np.rint(g_dl * MICRO)) * SCALE
