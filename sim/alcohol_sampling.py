"""When an alcohol tag takes its samples, without running it (firmware/alcohol_tag: rhythm, skin).

Every 30 min; every 5 min from when something was seen (alcohol, a sensor that is away from the skin, strap or case, a
new baseline) until an hour in which nothing was. The baseline is taken when the tag is fitted: with the first sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from core.readings import F64, I64
from sim.life import Life
from sim.skin import Sensors, Skin, feel_at, sensors_of
from sim.way import Bool

SLOW_MS, FAST_MS, CALM_MS, LOOK_MS = 1_800_000, 300_000, 3_600_000, 2_000
ALCOHOL_E5, BAND_MV = 1000, 250
FALL_E2, COLDER_E2, COLDEST_E2, WARMEST_E2 = 500, 1000, 1000, 4500


def sampled(life: Life, contacts_ms: Sequence[int]) -> tuple[Skin, Bool, Bool, Bool]:
    """The samples, and of each whether it was fast, a baseline, and not to wait.

    ``contacts_ms``: when strap or case were seen to open or close, ascending.
    """
    marks = [mark for mark in contacts_ms if life.start_ms < mark < life.end_ms]
    with np.errstate(over="ignore"):
        t_ms, said, fast = _sample(
            sensors_of(life), life.start_ms, life.end_ms, np.array([*marks, life.end_ms], np.int64)
        )
    felt = Skin(t_ms, *said)
    baseline = np.arange(len(t_ms)) == 0
    urgent = (np.rint(felt.tac_g_dl * 1e5) >= ALCOHOL_E5) | baseline
    return felt, fast, baseline, urgent


@njit(cache=True)
def _sample(sensors: Sensors, t_ms: int, end_ms: int, marks: I64) -> tuple[I64, F64, Bool]:
    """Instants, what the sensors say then (shape ``(3, n)``), and which samples are fast.

    The tag reckons in 1e-5 g/dl, mV and 0.01 °C. Samples lie on a grid of 5 min until strap or case change.
    """
    most = (end_ms - t_ms) // FAST_MS + 1 + 2 * len(marks)
    at, said, fast = np.empty(most, np.int64), np.empty((3, most)), np.empty(most, np.bool_)
    calm_ms, before_e2 = t_ms + CALM_MS, -(1 << 30)
    base_mv = base_e2 = 0
    n = mark = 0
    while t_ms < end_ms:
        while mark + 1 < len(marks) and marks[mark] <= t_ms:
            mark += 1
        until_ms = marks[mark]
        while t_ms < until_ms:
            tac_g_dl, ir_v, temp_c = feel_at(sensors, t_ms)
            tac_e5, ir_mv = int(np.rint(tac_g_dl * 1e5)), int(np.rint(ir_v * 1e3))
            temp_e2 = int(np.rint(temp_c * 1e2))
            if n == 0:
                base_mv, base_e2 = ir_mv, temp_e2
            away = (
                abs(ir_mv - base_mv) > BAND_MV
                or before_e2 - temp_e2 >= FALL_E2
                or base_e2 - temp_e2 >= COLDER_E2
                or not COLDEST_E2 <= temp_e2 <= WARMEST_E2
            )
            if tac_e5 >= ALCOHOL_E5 or away:
                calm_ms = t_ms + CALM_MS
            at[n], fast[n] = t_ms, t_ms < calm_ms
            said[0, n], said[1, n], said[2, n] = tac_g_dl, ir_v, temp_c
            n += 1
            before_e2 = temp_e2
            t_ms += FAST_MS if t_ms + FAST_MS < calm_ms else SLOW_MS
        if until_ms < end_ms:
            # strap or case: fast from then on
            calm_ms = max(calm_ms, until_ms + CALM_MS)
            t_ms = min(t_ms, max(until_ms, at[n - 1] + FAST_MS))
    return at[:n], said[:, :n], fast[:n]
