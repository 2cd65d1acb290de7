"""When an alcohol tag takes its samples, without running it (firmware/alcohol_tag: rhythm, skin).

Every 30 min; every 5 min from when something was seen (alcohol, a sensor that is away from the skin, strap or case, a
new baseline) until an hour in which nothing was. The baseline is taken when the tag is fitted: with the first sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from core.readings import I64
from sim.life import Life
from sim.skin import Skin, feel
from sim.way import Bool

SLOW_MS, FAST_MS, CALM_MS, LOOK_MS = 1_800_000, 300_000, 3_600_000, 2_000
ALCOHOL_E5, BAND_MV = 1000, 250
FALL_E2, COLDER_E2, COLDEST_E2, WARMEST_E2 = 500, 1000, 1000, 4500


def sampled(life: Life, contacts_ms: Sequence[int]) -> tuple[Skin, Bool, Bool, Bool]:
    """The samples, and of each whether it was fast, a baseline, and not to wait.

    ``contacts_ms``: when strap or case were seen to open or close, ascending.
    """
    marks = [mark for mark in contacts_ms if life.start_ms < mark < life.end_ms]
    parts: list[Skin] = []
    fasts: list[Bool] = []
    t_ms, calm_ms, before_e2 = life.start_ms, life.start_ms + CALM_MS, -(1 << 30)
    base = np.zeros(2, np.int64)
    while t_ms < life.end_ms:
        # samples lie on a grid of 5 min until strap or case change
        until_ms = next((mark for mark in marks if mark > t_ms), life.end_ms)
        felt = feel(life, np.arange(t_ms, until_ms, FAST_MS))
        figures = _figures(felt)
        if not parts:
            base = figures[1:, 0]
        chosen, fast, t_ms, calm_ms = _choose(figures, t_ms, calm_ms, before_e2, base)
        parts.append(_rows(felt, chosen))
        fasts.append(fast)
        before_e2 = int(figures[2, chosen[-1]])
        if until_ms < life.end_ms:
            # strap or case: fast from then on
            calm_ms = max(calm_ms, until_ms + CALM_MS)
            last_ms = int(parts[-1].t_ms[-1])
            t_ms = min(t_ms, max(until_ms, last_ms + FAST_MS))
    felt = Skin(*(np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS))
    baseline = np.arange(len(felt.t_ms)) == 0
    urgent = (np.rint(felt.tac_g_dl * 1e5) >= ALCOHOL_E5) | baseline
    return felt, np.concatenate(fasts), baseline, urgent


_COLUMNS = ("t_ms", "tac_g_dl", "ir_v", "temp_c")


def _rows(felt: Skin, at: I64) -> Skin:
    return Skin(*(getattr(felt, name)[at] for name in _COLUMNS))


def _figures(felt: Skin) -> I64:
    """1e-5 g/dl, mV, 0.01 °C, as the tag makes them of its channels; shape ``(3, n)``."""
    rows = np.stack([felt.tac_g_dl * 1e5, felt.ir_v * 1e3, felt.temp_c * 1e2])
    whole: I64 = np.rint(rows).astype(np.int64)
    return whole


@njit(cache=True)
def _choose(figures: Any, t_ms: int, calm_ms: int, before_e2: int, base: Any) -> Any:
    """Which of a grid of 5 min are sampled, whether fast; when the next is due, and until when sampling is fast."""
    n = figures.shape[1]
    chosen = np.empty(n, np.int64)
    fast = np.empty(n, np.bool_)
    count = at = 0
    while at < n:
        tac_e5, ir_mv, temp_e2 = figures[0, at], figures[1, at], figures[2, at]
        away = (
            abs(ir_mv - base[0]) > BAND_MV
            or before_e2 - temp_e2 >= FALL_E2
            or base[1] - temp_e2 >= COLDER_E2
            or not COLDEST_E2 <= temp_e2 <= WARMEST_E2
        )
        now_ms = t_ms + at * FAST_MS
        if tac_e5 >= ALCOHOL_E5 or away:
            calm_ms = now_ms + CALM_MS
        chosen[count], fast[count] = at, now_ms < calm_ms
        count += 1
        before_e2 = temp_e2
        at += 1 if now_ms + FAST_MS < calm_ms else SLOW_MS // FAST_MS
    return chosen[:count], fast[:count], t_ms + at * FAST_MS, calm_ms
