"""What is kept of an alcohol sensor between two samples, what is found, and the thresholds its kernel needs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.episodes import NEVER_MS
from core.rules import RuleSet
from core.sobriety_curve import Rates, rates

CURVE = 256
"""Readings of one event that its curve is judged by: the last so many. Five days of a tag that samples every 30 min."""
LEARN = 16
"""Most readings that a baseline can be made of."""
ABSURD_G_DL = 1.0
"""No skin gives off so much: such a reading, or so far below nothing, is no figure."""

DRINKING, OBSTRUCTED = 0, 1
SUSPECTED, CONFIRMED, ENVIRONMENTAL = 0, 1, 2
PROVES, NO_READING, COVERED, NOT_WORN = 1, 0, 2, 3
"""What a reading is worth. Only one that proves can make a day sober."""

Findings = npt.NDArray[np.void]
FINDING = np.dtype(
    [
        ("watch", np.int64),
        ("kind", np.int64),  # DRINKING or OBSTRUCTED
        ("status", np.int64),
        ("start_ms", np.int64),
        ("end_ms", np.int64),  # OPEN_MS while it goes on
        ("seen_to_ms", np.int64),  # its last reading
        ("since_ms", np.int64),  # the reading before, if it shows the contrary; else NEVER_MS
        ("end_seen", np.int64),  # 0: readings ceased
        ("readings", np.int64),
        ("beyond", np.int64),  # readings that no body can have made
        ("peak", np.float64),  # g/dl, or V from the baseline
        ("peak_ms", np.int64),
        ("body", np.float64),  # g/dl: peak of the body curve
        ("cold", np.int64),  # readings as cold as off the skin
        ("confirm_ms", np.int64),
        ("level", np.float64),
        ("first_key", np.uint64),
        ("confirm_key", np.uint64),
        ("peak_key", np.uint64),
        ("last_key", np.uint64),
        ("end_key", np.uint64),
    ]
)
SENSOR = np.dtype(
    [
        ("learnt", np.int64),
        ("learn_n", np.int64),
        ("learn_ms", np.int64),
        ("learn_ir", np.float64, (LEARN,)),
        ("learn_c", np.float64, (LEARN,)),
        ("base_ir", np.float64),
        ("base_c", np.float64),
        ("last_ms", np.int64),  # the last reading that counts
        ("last_tac", np.int64),
        ("last_key", np.uint64),
        ("run_n", np.int64),  # consecutive readings at or above the level
        ("drinking", np.int64),
        ("below_n", np.int64),
        ("below_ms", np.int64),
        ("below_key", np.uint64),
        ("curve_n", np.int64),
        ("curve_first", np.int64),  # where the event begins in its curve
        ("curve_ms", np.int64, (CURVE,)),
        ("curve_tac", np.int64, (CURVE,)),  # scaled, as `core.sobriety_curve` has them
        ("cover_n", np.int64),  # consecutive readings of an obstructed sensor
        ("covered", np.int64),
        ("clear_ms", np.int64),  # the last reading that shows it free
    ]
)


class Bounds(NamedTuple):
    """The thresholds that the kernel needs, beside those of the curve."""

    join_ms: int
    gap_ms: int
    below_ms: int
    band_v: float
    learn_readings: int
    learn_ms: int
    suspect_ms: int
    skin_fall_c: float
    coldest_c: float
    warmest_c: float


def bounds(rules: RuleSet) -> tuple[Bounds, Rates]:
    """Thresholds of ``rules`` for `watch_samples`."""
    return Bounds(
        rules.tac_join_s * 1000,
        rules.tac_gap_s * 1000,
        rules.tac_below_s * 1000,
        rules.ir_band_v,
        min(rules.ir_baseline_readings, LEARN),
        rules.ir_baseline_s * 1000,
        rules.ir_suspect_s * 1000,
        rules.skin_fall_c,
        rules.skin_coldest_c,
        rules.skin_warmest_c,
    ), rates(rules)


def blank() -> tuple[npt.NDArray[np.void], Findings]:
    """State and drafts of a sensor of which nothing is known, one row each: draft 0 drinking, draft 1 obstruction."""
    sensor = np.zeros(1, SENSOR)
    sensor["learn_ms"] = sensor["last_ms"] = sensor["clear_ms"] = NEVER_MS
    sensor["base_ir"] = sensor["base_c"] = np.nan
    return sensor, np.zeros(1, DRAFTS)


DRAFTS = np.dtype([("drinking", FINDING), ("obstructed", FINDING)])
