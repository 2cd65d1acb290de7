"""When an alcohol tag takes its samples, without running it (firmware/alcohol_tag: rhythm, skin).

Every 30 min; every 5 min from when something was seen (alcohol, a sensor that is away from the skin, strap or case, a
new baseline) until an hour in which nothing was. The baseline is taken when the tag is fitted: with the first sample.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

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
    found: list[int] = []
    fast: list[bool] = []
    t_ms = grid_ms = life.start_ms
    calm_ms = t_ms + CALM_MS  # a new baseline asks for an hour of fast sampling
    marks = [mark for mark in contacts_ms if mark > t_ms]
    base: tuple[int, int] | None = None
    before_e2 = -(1 << 30)
    grid = _figures(life, np.zeros(0, np.int64))
    while t_ms < life.end_ms:
        at, rest = divmod(t_ms - grid_ms, FAST_MS)
        if rest or at >= len(grid):
            # samples lie on a grid of 5 min from the last change of rhythm on
            grid_ms, at = t_ms, 0
            after = bisect_left(marks, t_ms + 1)
            until = marks[after] + FAST_MS if after < len(marks) else life.end_ms
            grid = _figures(life, np.arange(t_ms, max(until, t_ms + 1), FAST_MS))
        tac_e5, ir_mv, temp_e2 = grid[at]
        if base is None:
            base = ir_mv, temp_e2
        if tac_e5 >= ALCOHOL_E5 or _away(ir_mv, temp_e2, before_e2, base):
            calm_ms = t_ms + CALM_MS
        found.append(t_ms)
        fast.append(t_ms < calm_ms)
        before_e2 = temp_e2
        due_ms = t_ms + (FAST_MS if t_ms + FAST_MS < calm_ms else SLOW_MS)
        mark = bisect_left(marks, t_ms + 1)
        if mark < len(marks) and marks[mark] < due_ms:
            calm_ms = max(calm_ms, marks[mark] + CALM_MS)
            due_ms = min(due_ms, max(marks[mark], t_ms + FAST_MS))
        t_ms = due_ms
    t = np.array(found, np.int64)
    felt = feel(life, t)
    baseline = np.arange(len(t)) == 0
    return felt, np.array(fast, np.bool_), baseline, (np.rint(felt.tac_g_dl * 1e5) >= ALCOHOL_E5) | baseline


def _figures(life: Life, t_ms: I64) -> list[tuple[int, int, int]]:
    """1e-5 g/dl, mV, 0.01 °C, as the tag makes them of its channels."""
    felt = feel(life, t_ms)
    return list(
        zip(
            np.rint(felt.tac_g_dl * 1e5).astype(np.int64).tolist(),
            np.rint(felt.ir_v * 1e3).astype(np.int64).tolist(),
            np.rint(felt.temp_c * 1e2).astype(np.int64).tolist(),
            strict=True,
        )
    )


def _away(ir_mv: int, temp_e2: int, before_e2: int, base: tuple[int, int]) -> bool:
    return (
        abs(ir_mv - base[0]) > BAND_MV
        or before_e2 - temp_e2 >= FALL_E2
        or base[1] - temp_e2 >= COLDER_E2
        or not COLDEST_E2 <= temp_e2 <= WARMEST_E2
    )
