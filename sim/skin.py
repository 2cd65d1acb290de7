"""Alcohol, from the glass to what a tag's sensors at the skin would say.

Three steps, each for any instants: `blood` by Widmark, `given_off` by the skin a good hour later, `feel` what fuel
cell, infrared light and thermometer make of it, with all that disturbs them. Its figures are held against seven real
people in ``docs/sensors.md``.

- **blood**: what was drunk is taken up with a time constant of 20 min, is thinned by ``widmark`` of the body's weight,
  and is burnt evenly until nothing is left (Widmark).
- **skin**: five minutes of nothing, then two stages one after the other, the second three times as slow as the first,
  so slow that half of what passes has passed after ``Body.lag_s``. A SCRAM tag shows alcohol within 30 min of the first
  sip, follows 69 min behind, and is highest up to two hours after the breath (PMC6779481). The peak of each bout is
  ``Body.skin_gain`` times the blood's.
- **sensors**: `feel`. They speak anew at every whole UTC minute, so that a tag and an array see the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numba import njit

from core.readings import F64, I64
from sim import noise
from sim.life import Life, Span, spans_hold
from sim.way import Bool, Surroundings

MINUTE_MS = 60_000
TAC_STEP_G_DL, IR_STEP_V, TEMP_STEP_C = 0.0002, 0.001, 0.1
"""What a whole millivolt is worth at the pins of a tag (`sim.alcohol_feed`)."""

UPTAKE_MIN = 20.0  # a drink with or after some food; 10 to 30 min in the literature (M)
_PLASMA_DL_PER_KG = 10.0  # Widmark's figure is per kilogram of body: 1 kg is taken as 1 l
DELAY_MIN = 5
_GONE_G_DL = 2e-5
_LAST_MIN = 36 * 60  # nobody is followed for longer after the last drink

# The fuel cell. On seven real curves in bed (docs/sensors.md) readings lie some 8 % about a smooth curve.
GAIN_SHARE, _SCATTER_SHARE = 0.11, 0.02
SCATTER_G_DL, _DRIFT_G_DL = 0.0010, 0.0010
_COVERED_SHARE = 0.08  # what comes through foil or cling film, and round its edges

# Infrared light and temperature, of the same seven people.
_IR_V, _IR_BETWEEN_V = 1.06, 0.11
_IR_SLOW_V, _IR_FAST_V = 0.03, 0.045
_IR_REFIT_V = 0.08
_SHIFT_MS, _SHIFTS, _SHIFT_SHARE, _SHIFT_V = 5 * MINUTE_MS, 3, 0.12, 0.45
DAY_C, OUT_C, BED_C = 26.5, 24.0, 34.5
COVERED_C, ROOM_C, _FITTED_C = 20.0, 19.0, 24.0
_WARMTH_C, _TEMP_SCATTER_C = 1.6, 0.3
_TEMP_STEP_MS, _FOLLOW_MS = 5 * MINUTE_MS, 12 * MINUTE_MS
_NAP_MS = 3 * 3_600_000
_LONDON = ZoneInfo("Europe/London")

# Streams of chance.
_GAIN = noise.stream_of("skin/gain")
_DRIFT = noise.stream_of("skin/drift")
_SCATTER = noise.stream_of("skin/scatter")
_PUFF = noise.stream_of("skin/puff")
_IR_BASE = noise.stream_of("skin/ir_base")
_IR_SLOW = noise.stream_of("skin/ir_slow")
_IR_FAST = noise.stream_of("skin/ir_fast")
_IR_SHIFT = noise.stream_of("skin/ir_shift")
_SHIFTED = noise.stream_of("skin/shifted")
_REFIT = noise.stream_of("skin/refit")
_COVER = noise.stream_of("skin/cover")
_WARMTH = noise.stream_of("skin/warmth")
_WARM = noise.stream_of("skin/warm")
_TEMP = noise.stream_of("skin/temp")


class Puff(NamedTuple):
    """How alcohol in the air comes and goes at the sensor: ``peak_g_dl`` in a usual portion, rising with ``rise_min``
    for ``lasts_min``, then falling with ``fall_min`` (time constants)."""

    peak_g_dl: float
    rise_min: float
    lasts_min: float
    fall_min: float


PUFFS = {
    # a palmful of gel on the hands, an arm's length from the ankle; at strength 4 it drips on the tag itself
    "sanitiser": Puff(0.03, 1.5, 4, 12),
    "perfume": Puff(0.05, 1.0, 2, 10),
    # a floor or a bench wiped with spirit: the air of a room is full of it for a while
    "cleaning": Puff(0.09, 4.0, 20, 15),
    # a gust of a bar: breath, vapours and what was spilt; there are several an hour
    "bar": Puff(0.08, 1.5, 6, 6),
}
"""Our figures: faster than a body's 0.05 g/dl an hour up and 0.025 down in every case (core.rules)."""


@dataclass(frozen=True, slots=True)
class Skin:
    """What the sensors say at instants ``t_ms``, all of shape ``(n,)``: g/dl, volts, degrees Celsius."""

    t_ms: I64
    tac_g_dl: F64
    ir_v: F64
    temp_c: F64


def blood(life: Life, t_ms: I64) -> F64:
    """Alcohol in the blood in g/dl (1 g/dl is 1 %) at each instant, shape ``(n,)``."""
    grid_ms, in_blood, _ = _bouts(life)
    return np.interp(t_ms, grid_ms, in_blood) if len(grid_ms) else np.zeros(len(t_ms))


def given_off(life: Life, t_ms: I64) -> F64:
    """What the skin gives off of what was drunk, in g/dl of transdermal alcohol, at each instant."""
    grid_ms, _, at_skin = _bouts(life)
    return np.interp(t_ms, grid_ms, at_skin) if len(grid_ms) else np.zeros(len(t_ms))


def feel(life: Life, t_ms: I64) -> Skin:
    """What the sensors say at each instant, in any order, in steps of a whole millivolt at the pins."""
    t_ms = np.asarray(t_ms, np.int64)
    minute = t_ms // MINUTE_MS
    at_ms = minute * MINUTE_MS
    off, covered = spans_hold(life.off_ankle, at_ms), spans_hold(life.covered_sensor, at_ms)
    return Skin(
        t_ms,
        _steps(_alcohol(life, at_ms, minute, off, covered), TAC_STEP_G_DL),
        _steps(_infrared(life, at_ms, minute, off, covered), IR_STEP_V),
        _steps(_temperature(life, at_ms), TEMP_STEP_C),
    )


def _steps(values: F64, step: float) -> F64:
    per_unit = round(1 / step)
    return np.rint(values * per_unit) / per_unit


# ---------------------------------------------------------------------------------------------------------- alcohol


def _bouts(life: Life) -> tuple[I64, F64, F64]:
    """Blood and skin minute by minute, from the first sip until all is gone: ``(UTC ms, g/dl, g/dl)``."""
    if not life.drinks:
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    drinks = np.array(life.drinks, np.float64).reshape(-1, 3)
    first_ms = int(drinks[0, 0]) // MINUTE_MS * MINUTE_MS
    body = life.body
    in_blood, at_skin = _drink_up(
        (drinks[:, 0] - first_ms) / MINUTE_MS,
        (drinks[:, 1] - first_ms) / MINUTE_MS,
        drinks[:, 2] / (body.weight_kg * body.widmark * _PLASMA_DL_PER_KG),
        body.elimination_g_dl_h / 60,
        _stage_min(body.lag_s / 60),
        body.skin_gain,
    )
    return first_ms + np.arange(len(in_blood)) * MINUTE_MS, in_blood, at_skin


def _stage_min(lag_min: float) -> float:
    # two stages, one three times as slow as the other, have let half through after 3.173 of the quick one's constants
    return max(lag_min - DELAY_MIN, 1.0) / 3.173


@njit(cache=True)
def _drink_up(
    start_min: Any, end_min: Any, g_dl: Any, burnt_g_dl: float, stage_min: float, gain: float
) -> Any:
    """Carry gut, blood and skin from minute to minute: ``(blood, skin)`` in g/dl, from minute 0 on.

    ``g_dl`` is what each drink would make of the blood if it were taken up at once.
    """
    room = int(end_min[-1]) + _LAST_MIN
    swallowed = np.zeros(room)
    for i in range(len(g_dl)):
        first, last = int(start_min[i]), int(end_min[i])
        lasts = end_min[i] - start_min[i]
        for minute in range(first, last + 1):
            share = min(end_min[i], minute + 1.0) - max(start_min[i], float(minute))
            swallowed[minute] += g_dl[i] * (share / lasts if lasts > 0 else 1.0)
    in_blood, at_skin = np.zeros(room), np.zeros(room)
    kept = np.exp(-1 / UPTAKE_MIN)
    quick, slow = 1 - np.exp(-1 / stage_min), 1 - np.exp(-1 / (3 * stage_min))
    gut = blood = outer = skin = most_blood = most_skin = 0.0
    begin = 0
    for minute in range(1, room):
        drunk = swallowed[minute - 1]  # evenly within the minute
        left = gut * kept + drunk * (1 - kept) * UPTAKE_MIN
        blood = max(blood + gut + drunk - left - burnt_g_dl, 0.0)
        gut = left
        if minute > DELAY_MIN:
            outer += (in_blood[minute - DELAY_MIN] - outer) * quick
        skin += (outer - skin) * slow
        in_blood[minute], at_skin[minute] = blood, skin
        most_blood, most_skin = max(most_blood, blood), max(most_skin, skin)
        if most_skin > 0 and (minute == room - 1 or max(gut + blood + drunk, outer, skin) < _GONE_G_DL):
            at_skin[begin : minute + 1] *= gain * most_blood / most_skin
            begin, outer, skin, most_blood, most_skin = minute + 1, 0.0, 0.0, 0.0, 0.0
    at_skin[-1] = 0.0
    return in_blood, at_skin


def _alcohol(life: Life, at_ms: I64, minute: I64, off: Bool, covered: Bool) -> F64:
    """What the fuel cell says: the skin through whatever covers it, the air about it, its own errors."""
    seed = life.seed
    drunk = given_off(life, at_ms)
    scatter = noise.normal(seed, _SCATTER, minute)
    if life.drinks:
        drunk *= 1 + GAIN_SHARE * noise.wander(seed, _GAIN, at_ms, 2700) + _SCATTER_SHARE * scatter
    drunk[off] = 0.0
    air = _air(life, at_ms)
    through = np.where(covered & ~off, _COVERED_SHARE, 1.0)
    return (
        (drunk + air) * through
        + _DRIFT_G_DL * noise.wander(seed, _DRIFT, at_ms, 2 * 86_400)
        + SCATTER_G_DL * scatter
    )


def _air(life: Life, at_ms: I64) -> F64:
    """Alcohol at the sensor that was not drunk, in g/dl."""
    if not life.exposures:
        return np.zeros(len(at_ms))
    begin_ms = np.array([exposure.at_ms for exposure in life.exposures], np.int64)
    puffs = [PUFFS[exposure.kind] for exposure in life.exposures]
    uneven = np.exp(0.5 * noise.normal(life.seed, _PUFF, begin_ms // 1000))
    peak = np.array([puff.peak_g_dl * one.strength for puff, one in zip(puffs, life.exposures, strict=True)])
    return _puffed(  # type: ignore[no-any-return]
        at_ms,
        begin_ms,
        peak * uneven,
        np.array([puff.rise_min for puff in puffs]) * MINUTE_MS,
        np.array([puff.lasts_min for puff in puffs]) * MINUTE_MS,
        np.array([puff.fall_min for puff in puffs]) * MINUTE_MS,
    )


@njit(cache=True)
def _puffed(at_ms: Any, begin_ms: Any, peak: Any, rise_ms: Any, lasts_ms: Any, fall_ms: Any) -> Any:
    """Sum of puffs at ``at_ms``, which begin at ascending ``begin_ms``."""
    found = np.zeros(len(at_ms))
    longest = np.max(lasts_ms) + 12 * np.max(fall_ms)
    for i in range(len(at_ms)):
        j = np.searchsorted(begin_ms, at_ms[i], side="right") - 1
        while j >= 0 and at_ms[i] - begin_ms[j] < longest:
            since = at_ms[i] - begin_ms[j]
            height = 1 - np.exp(-min(since, lasts_ms[j]) / rise_ms[j])
            found[i] += peak[j] * height * np.exp(-max(since - lasts_ms[j], 0) / fall_ms[j])
            j -= 1
    return found


# --------------------------------------------------------------------------------------- infrared and temperature


def _infrared(life: Life, at_ms: I64, minute: I64, off: Bool, covered: Bool) -> F64:
    """The light that the skin throws back: as at the last fitting, but for small movements, unless it is not there."""
    seed = life.seed
    fitting = np.searchsorted(np.array([span.end_ms for span in life.off_ankle], np.int64), at_ms, "right")
    one = np.zeros(1, np.int64)
    volts = (
        _IR_V
        + _IR_BETWEEN_V * float(noise.normal(seed, _IR_BASE, one)[0])
        + _IR_REFIT_V * noise.normal(seed, _REFIT, fitting) * (fitting > 0)
        + _IR_SLOW_V * noise.wander(seed, _IR_SLOW, at_ms, 7200)
        + _IR_FAST_V * noise.normal(seed, _IR_FAST, minute)
    )
    # the tag slips for five minutes and sits again: one reading among 31 in the data. In a quarter of an hour once at
    # most, for what stays slipped is an obstruction
    cell = at_ms // _SHIFT_MS
    block = cell // _SHIFTS
    drawn = noise.uniform(seed, _SHIFTED, block)
    slipped = (drawn < _SHIFT_SHARE) & ((drawn / _SHIFT_SHARE * _SHIFTS).astype(np.int64) == cell % _SHIFTS)
    slipped &= ~off & ~covered
    volts = volts + slipped * (_SHIFT_V * noise.normal(seed, _IR_SHIFT, cell))
    volts = volts + covered * _which(life.covered_sensor, at_ms, seed, 0.45, 0.8)
    volts = np.where(off, volts + _which(life.off_ankle, at_ms, seed + 1, 0.55, 0.95), volts)
    held: F64 = np.clip(volts, 0.15, 2.85)  # what the amplifier can give without a fault
    return held


def _which(spans: Sequence[Span], at_ms: I64, seed: int, least_v: float, most_v: float) -> F64:
    """How far each of ``spans`` moves the infrared, up for even and down for odd draws; drawn once for each."""
    if not spans:
        return np.zeros(len(at_ms))
    begins = np.array([span.start_ms for span in spans], np.int64)
    drawn = noise.uniform(seed, _COVER, begins // 1000)
    sign = np.where(drawn < 0.3, -1.0, 1.0)
    shift = sign * (least_v + (most_v - least_v) * ((drawn * 10) % 1))
    return shift[np.clip(np.searchsorted(begins, at_ms, "right") - 1, 0, None)]


def _temperature(life: Life, at_ms: I64) -> F64:
    """Of the sensor at the skin, on its way to what its surroundings would make of it."""
    first_ms = life.start_ms // _TEMP_STEP_MS * _TEMP_STEP_MS
    grid_ms = np.arange(first_ms, max(life.end_ms, first_ms) + _TEMP_STEP_MS, _TEMP_STEP_MS)
    aim = _aim(life, grid_ms)
    followed = _follow(aim, min(float(aim[0]), _FITTED_C), _TEMP_STEP_MS / _FOLLOW_MS)
    scatter = _TEMP_SCATTER_C * noise.normal(life.seed, _TEMP, at_ms // MINUTE_MS)
    felt: F64 = np.interp(at_ms, grid_ms, followed) + scatter
    return felt


def _aim(life: Life, grid_ms: I64) -> F64:
    """What the sensor would come to if everything stayed as it is."""
    way, seed = life.way, life.seed
    drawn = noise.normal(seed, _WARM, np.arange(4))
    leg = way.leg(grid_ms)
    stays = (way.lat == way.to_lat) & (way.lon == way.to_lon)
    lasts_ms = np.append(way.start_ms[1:], way.end_ms) - way.start_ms
    offset = datetime.fromtimestamp(life.start_ms / 1000, UTC).astimezone(_LONDON).utcoffset()
    assert offset is not None
    hour = (grid_ms / 3_600_000 + offset.total_seconds() / 3600) % 24
    to_bed, up = 23.0 + 0.7 * drawn[0], 7.0 + 0.7 * drawn[1]
    asleep = (stays & (lasts_ms >= _NAP_MS))[leg] & (((hour - to_bed) % 24) < ((up - to_bed) % 24))
    outdoors = np.isin(way.surroundings, (Surroundings.OPEN, Surroundings.STREET)) & ~stays
    aim = np.where(asleep, BED_C + drawn[2], np.where(outdoors[leg], OUT_C, DAY_C) + drawn[3])
    aim = aim + _WARMTH_C * noise.wander(seed, _WARMTH, grid_ms, 2700)
    aim = np.where(spans_hold(life.covered_sensor, grid_ms), COVERED_C, aim)
    return np.where(spans_hold(life.off_ankle, grid_ms), ROOM_C, aim)


@njit(cache=True)
def _follow(aim: Any, begin: float, share: float) -> Any:
    followed = np.empty(len(aim))
    now = begin
    passed = 1 - np.exp(-share)
    for i in range(len(aim)):
        followed[i] = now
        now += (aim[i] - now) * passed
    return followed
