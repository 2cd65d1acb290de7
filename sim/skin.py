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

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from numba import njit

from core.kernel import BORROWS
from core.readings import F64, I64
from sim import noise
from sim.life import Life, Span
from sim.way import Bool, Surroundings

Keys = npt.NDArray[np.uint64]
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
    t_ms = np.ascontiguousarray(t_ms, np.int64)
    said = np.empty((3, len(t_ms)))
    with np.errstate(over="ignore"):
        _feel(sensors_of(life), t_ms, said)
    return Skin(t_ms, *said)


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


class Sensors(NamedTuple):
    """What of a life its sensors' figures follow from, as kernels take it. Made once for a life and asked often.

    ``keys`` are those of `_STREAMS`, ``kept`` what is known of the three that wander (`noise.kept`). ``at_skin`` is
    what the skin gives off minute by minute from ``sip_ms`` on. ``puffs`` has a row for each exposure: begin (UTC ms),
    peak, and milliseconds of rise, duration and fall. ``off`` and ``covered`` are spans, ``off_v`` and ``covered_v``
    how far each moves the infrared. ``warmth`` is the temperature on a grid of five minutes from ``grid_ms`` on.
    """

    keys: Keys
    kept: F64
    sip_ms: int
    at_skin: F64
    puffs: F64
    longest_ms: float
    off: I64
    off_v: F64
    covered: I64
    covered_v: F64
    fitted_v: float
    grid_ms: int
    warmth: F64


_STREAMS = (_GAIN, _DRIFT, _SCATTER, _IR_SLOW, _IR_FAST, _IR_SHIFT, _SHIFTED, _REFIT, _TEMP)
_GAINS, _DRIFTS, _SCATTERS, _SLOWS, _FASTS, _SHIFTS_V, _SLIPS, _REFITS, _TEMPS = range(len(_STREAMS))
_WANDERS = (2700.0, 2 * 86_400.0, 7200.0)
_GAIN_KEPT, _DRIFT_KEPT, _SLOW_KEPT = range(len(_WANDERS))


def sensors_of(life: Life) -> Sensors:
    """The sensors that a wearer's alcohol tag has at the skin."""
    grid_ms, _, at_skin = _bouts(life)
    puffs = _puffs(life)
    first_ms, warmth = _warmth(life)
    base = float(noise.normal(life.seed, _IR_BASE, np.zeros(1, np.int64))[0])
    return Sensors(
        np.array([noise.key_of(life.seed, stream) for stream in _STREAMS], np.uint64),
        noise.kept(_WANDERS),
        int(grid_ms[0]) if len(grid_ms) else 0,
        at_skin,
        puffs,
        float(puffs[:, 3].max() + 12 * puffs[:, 4].max()) if len(puffs) else 0.0,
        np.array(life.off_ankle, np.int64).reshape(-1, 2),
        _which(life.off_ankle, life.seed + 1, 0.55, 0.95),
        np.array(life.covered_sensor, np.int64).reshape(-1, 2),
        _which(life.covered_sensor, life.seed, 0.45, 0.8),
        _IR_V + _IR_BETWEEN_V * base,
        first_ms,
        warmth,
    )


@njit(cache=True)
def _feel(sensors: Sensors, t_ms: I64, said: F64) -> None:
    for i in range(len(t_ms)):
        said[0, i], said[1, i], said[2, i] = feel_at(sensors, t_ms[i])


@njit(**BORROWS)
def feel_at(sensors: Sensors, t_ms: int) -> tuple[float, float, float]:
    """As `feel`, at one instant: g/dl, V, °C."""
    minute = t_ms // MINUTE_MS
    at_ms = minute * MINUTE_MS
    off, covered = _span_of(sensors.off, at_ms), _span_of(sensors.covered, at_ms)
    return (
        _in_steps(_alcohol(sensors, at_ms, minute, off >= 0, covered >= 0), TAC_STEP_G_DL),
        _in_steps(_infrared(sensors, at_ms, minute, off, covered), IR_STEP_V),
        _in_steps(_temperature(sensors, at_ms, minute), TEMP_STEP_C),
    )


@njit(**BORROWS)
def _in_steps(value: float, step: float) -> float:
    per_unit = round(1 / step)
    return float(np.rint(value * per_unit) / per_unit)


@njit(**BORROWS)
def _span_of(spans: I64, t_ms: int) -> int:
    """Which of some ascending spans holds an instant; -1: none."""
    for i in range(len(spans)):
        if t_ms < spans[i, 1]:
            return i if spans[i, 0] <= t_ms else -1
    return -1


@njit(**BORROWS)
def _alcohol(sensors: Sensors, at_ms: int, minute: int, off: bool, covered: bool) -> float:
    """What the fuel cell says: the skin through whatever covers it, the air about it, its own errors."""
    keys, kept = sensors.keys, sensors.kept
    scatter = noise.normal_at(keys[_SCATTERS], minute)
    drunk = 0.0
    since = (at_ms - sensors.sip_ms) // MINUTE_MS
    if not off and 0 <= since < len(sensors.at_skin):
        drunk = sensors.at_skin[since]
        if drunk != 0.0:
            gain = noise.wander_kept(keys[_GAINS], kept, _GAIN_KEPT, at_ms)
            drunk *= 1 + GAIN_SHARE * gain + _SCATTER_SHARE * scatter
    through = _COVERED_SHARE if covered and not off else 1.0
    drift = noise.wander_kept(keys[_DRIFTS], kept, _DRIFT_KEPT, at_ms)
    return float((drunk + _air(sensors, at_ms)) * through + _DRIFT_G_DL * drift + SCATTER_G_DL * scatter)


@njit(**BORROWS)
def _air(sensors: Sensors, at_ms: int) -> float:
    """Alcohol at the sensor that was not drunk, in g/dl: the sum of all puffs."""
    puffs = sensors.puffs
    found = 0.0
    j, above = 0, len(puffs)
    while j < above:  # the first that begins later
        middle = (j + above) // 2
        if puffs[middle, 0] <= at_ms:
            j = middle + 1
        else:
            above = middle
    j -= 1
    while j >= 0 and at_ms - puffs[j, 0] < sensors.longest_ms:
        since, peak, rise_ms, lasts_ms, fall_ms = (
            at_ms - puffs[j, 0],
            puffs[j, 1],
            puffs[j, 2],
            puffs[j, 3],
            puffs[j, 4],
        )
        height = 1 - math.exp(-min(since, lasts_ms) / rise_ms)
        found += peak * height * math.exp(-max(since - lasts_ms, 0.0) / fall_ms)
        j -= 1
    return found


def _puffs(life: Life) -> F64:
    if not life.exposures:
        return np.zeros((0, 5))
    begin_ms = np.array([exposure.at_ms for exposure in life.exposures], np.int64)
    uneven = np.exp(0.5 * noise.normal(life.seed, _PUFF, begin_ms // 1000))
    rows = [(PUFFS[one.kind], one) for one in life.exposures]
    found = np.array(
        [
            (one.at_ms, puff.peak_g_dl * one.strength, puff.rise_min, puff.lasts_min, puff.fall_min)
            for puff, one in rows
        ],
        np.float64,
    )
    found[:, 1] *= uneven
    found[:, 2:] *= MINUTE_MS
    return found


# --------------------------------------------------------------------------------------- infrared and temperature


@njit(**BORROWS)
def _infrared(sensors: Sensors, at_ms: int, minute: int, off: int, covered: int) -> float:
    """The light that the skin throws back: as at the last fitting, but for small movements, unless it is not there.

    ``off`` and ``covered`` are the numbers of the spans that hold the instant.
    """
    keys = sensors.keys
    fitting = 0
    while fitting < len(sensors.off) and sensors.off[fitting, 1] <= at_ms:
        fitting += 1
    volts = sensors.fitted_v
    if fitting:
        volts += _IR_REFIT_V * noise.normal_at(keys[_REFITS], fitting)
    volts += _IR_SLOW_V * noise.wander_kept(keys[_SLOWS], sensors.kept, _SLOW_KEPT, at_ms)
    volts += _IR_FAST_V * noise.normal_at(keys[_FASTS], minute)
    # the tag slips for five minutes and sits again: one reading among 31 in the data. In a quarter of an hour once at
    # most, for what stays slipped is an obstruction
    if off < 0 and covered < 0:
        cell = at_ms // _SHIFT_MS
        drawn = noise.uniform_at(keys[_SLIPS], cell // _SHIFTS)
        if drawn < _SHIFT_SHARE and int(drawn / _SHIFT_SHARE * _SHIFTS) == cell % _SHIFTS:
            volts += _SHIFT_V * noise.normal_at(keys[_SHIFTS_V], cell)
    if covered >= 0:
        volts += sensors.covered_v[covered]
    if off >= 0:
        volts += sensors.off_v[off]
    return float(min(max(volts, 0.15), 2.85))  # what the amplifier can give without a fault


def _which(spans: Sequence[Span], seed: int, least_v: float, most_v: float) -> F64:
    """How far each of ``spans`` moves the infrared, up for even and down for odd draws; drawn once for each."""
    drawn = noise.uniform(seed, _COVER, np.array([span.start_ms for span in spans], np.int64) // 1000)
    sign = np.where(drawn < 0.3, -1.0, 1.0)
    shift: F64 = sign * (least_v + (most_v - least_v) * ((drawn * 10) % 1))
    return shift


@njit(**BORROWS)
def _temperature(sensors: Sensors, at_ms: int, minute: int) -> float:
    """Of the sensor at the skin, on its way to what its surroundings would make of it."""
    warmth = sensors.warmth
    step = (at_ms - sensors.grid_ms) // _TEMP_STEP_MS
    if step < 0:
        felt = warmth[0]
    elif step + 1 >= len(warmth):
        felt = warmth[-1]
    else:
        slope = (warmth[step + 1] - warmth[step]) / _TEMP_STEP_MS
        felt = slope * (at_ms - (sensors.grid_ms + step * _TEMP_STEP_MS)) + warmth[step]
    return float(felt + _TEMP_SCATTER_C * noise.normal_at(sensors.keys[_TEMPS], minute))


def _warmth(life: Life) -> tuple[int, F64]:
    """The temperature of the sensor but for its scatter, every `_TEMP_STEP_MS`, and from when on."""
    way, seed = life.way, life.seed
    first_ms = life.start_ms // _TEMP_STEP_MS * _TEMP_STEP_MS
    offset = datetime.fromtimestamp(life.start_ms / 1000, UTC).astimezone(_LONDON).utcoffset()
    assert offset is not None
    drawn = noise.normal(seed, _WARM, np.arange(4))
    stays = (way.lat == way.to_lat) & (way.lon == way.to_lon)
    outdoors = ((way.surroundings == Surroundings.OPEN) | (way.surroundings == Surroundings.STREET)) & ~stays
    ends_ms = way.ends_ms
    with np.errstate(over="ignore"):
        warmth: F64 = _follow(
            (noise.key_of(seed, _WARMTH), noise.kept([2700.0])),
            # the grid goes on until the first step after the end
            (first_ms, -(-(max(life.end_ms, first_ms) + _TEMP_STEP_MS - first_ms) // _TEMP_STEP_MS)),
            offset.total_seconds() / 3600,
            drawn,
            way.start_ms,
            stays & (ends_ms - way.start_ms >= _NAP_MS),
            outdoors,
            np.array(life.covered_sensor, np.int64).reshape(-1, 2),
            np.array(life.off_ankle, np.int64).reshape(-1, 2),
        )
    return first_ms, warmth


@njit(cache=True)
def _follow(
    wandering: tuple[np.uint64, F64],
    grid: tuple[int, int],
    offset_h: float,
    drawn: F64,
    starts: I64,
    long_stays: Bool,
    outdoors: Bool,
    covered: I64,
    off: I64,
) -> F64:
    """Follow what the sensor would come to if everything stayed as it is. ``grid``: first instant, number of steps."""
    key, kept = wandering
    followed = np.empty(grid[1])
    to_bed, up = 23.0 + 0.7 * drawn[0], 7.0 + 0.7 * drawn[1]
    passed = 1 - math.exp(-(_TEMP_STEP_MS / _FOLLOW_MS))
    now = 0.0
    leg = 0
    for i in range(grid[1]):
        t_ms = grid[0] + i * _TEMP_STEP_MS
        while leg + 1 < len(starts) and starts[leg + 1] <= t_ms:
            leg += 1
        hour = (t_ms / 3_600_000 + offset_h) % 24
        if long_stays[leg] and (hour - to_bed) % 24 < (up - to_bed) % 24:
            aim = BED_C + drawn[2]
        else:
            aim = (OUT_C if outdoors[leg] else DAY_C) + drawn[3]
        aim += _WARMTH_C * noise.wander_kept(key, kept, 0, t_ms)
        if _span_of(covered, t_ms) >= 0:
            aim = COVERED_C
        if _span_of(off, t_ms) >= 0:
            aim = ROOM_C
        if i == 0:
            now = min(aim, _FITTED_C)
        followed[i] = now
        now += (aim - now) * passed
    return followed
