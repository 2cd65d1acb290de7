"""What a body gives off at an alcohol tag's sensors: a curve or a life, played to the pins of the virtual board.

Between two points of a curve each channel runs straight; levels are set in whole millivolts (of 0.0002 g/dl, 1 mV and
0.1 °C), anew whenever one changes, once a minute at most.
"""

from __future__ import annotations

import csv
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from core.readings import F64, I64
from sim import skin
from sim.bench.tag import FIRMWARE, VirtualTag
from sim.life import Life

CLEAN_AIR_MV, FULL_MV_G_DL = 400, 5000
"""The fuel cell's amplifier: its level without alcohol, and what 1 g/dl would add."""
CALIBRATION = {"fuel_cell": [CLEAN_AIR_MV * 1000, FULL_MV_G_DL * 10]}
"""The same as an alcohol tag is provisioned with it: settings of its ``/config.json``."""
ZERO_DEGREES_MV, DEGREE_MV = 500, 10
UNPLUGGED_MV = 0
_WIRING: dict[str, int] = runpy.run_path(str(FIRMWARE / "boards" / "esp32_pins.py"))["PINS"]
FUEL_CELL = _WIRING["fuel_cell_adc"]
INFRARED = _WIRING["infrared_adc"]
TEMPERATURE = _WIRING["skin_temperature_adc"]
_STEP_MS = 60_000


@dataclass(frozen=True)
class Curve:
    """``t_ms`` (UTC, ascending) and, of the same shape ``(n,)``, alcohol in g/dl, infrared in V, temperature in °C.

    NaN is a channel that is unplugged, from the point before to the point after.
    """

    t_ms: I64
    tac_g_dl: F64
    ir_v: F64
    temp_c: F64

    def levels(self, from_ms: int, to_ms: int) -> Iterator[tuple[int, int, int]]:
        """``(instant, pin, millivolts)`` of each change in ``[from_ms, to_ms)``, and each channel's level at the begin.

        Before its first point and after its last a curve is as there.
        """
        t_ms = np.arange(from_ms, to_ms, _STEP_MS)
        tac, ir, temp = (
            np.interp(t_ms, self.t_ms, channel) for channel in (self.tac_g_dl, self.ir_v, self.temp_c)
        )
        return _changes(t_ms, tac, ir, temp)

    def play(self, tag: VirtualTag, from_ms: int, to_ms: int) -> None:
        """Let a tag feel the curve in ``[from_ms, to_ms)``."""
        for at_ms, pin, level_mv in self.levels(from_ms, to_ms):
            tag.set_pin(at_ms, pin, level_mv)


def _changes(t_ms: I64, tac_g_dl: F64, ir_v: F64, temp_c: F64) -> Iterator[tuple[int, int, int]]:
    """``(instant, pin, millivolts)`` of each change of a channel, and of each at the first instant."""
    channels = (
        (FUEL_CELL, CLEAN_AIR_MV + tac_g_dl * FULL_MV_G_DL),
        (INFRARED, ir_v * 1000),
        (TEMPERATURE, ZERO_DEGREES_MV + temp_c * DEGREE_MV),
    )
    played = []
    for pin, mv in channels:
        whole = np.where(np.isnan(mv), UNPLUGGED_MV, np.rint(np.clip(mv, 0, 3300))).astype(int)
        changed = np.flatnonzero(np.diff(whole, prepend=-1))
        played += [(int(t_ms[i]), pin, int(whole[i])) for i in changed]
    return iter(sorted(played))


def levels_of(life: Life, from_ms: int, to_ms: int) -> Iterator[tuple[int, int, int]]:
    """What a wearer's skin sets the pins to, as `Curve.levels` gives it: each minute what `skin.feel` says."""
    minutes = np.arange(from_ms // _STEP_MS + 1, -(-to_ms // _STEP_MS)) * _STEP_MS
    t_ms = np.append(from_ms, minutes)
    felt = skin.feel(life, t_ms)
    return _changes(t_ms, felt.tac_g_dl, felt.ir_v, felt.temp_c)


def play(life: Life, tag: VirtualTag, from_ms: int, to_ms: int) -> None:
    """Let a tag feel a wearer's skin in ``[from_ms, to_ms)``."""
    for at_ms, pin, level_mv in levels_of(life, from_ms, to_ms):
        tag.set_pin(at_ms, pin, level_mv)


def bracelet(path: Path, zone: ZoneInfo) -> Curve:
    """A recording of an ankle bracelet: CSV of ``local_time``, ``tac_g_dl``, ``ir_voltage``, ``temperature_f``.

    The local clock is read as civil time of ``zone``.
    """
    with path.open() as file:
        rows = list(csv.DictReader(file))
    clock = [datetime.fromisoformat(row["local_time"]).replace(tzinfo=zone) for row in rows]
    return Curve(
        np.array([int(at.timestamp()) * 1000 for at in clock]),
        np.array([float(row["tac_g_dl"]) for row in rows]),
        np.array([float(row["ir_voltage"]) for row in rows]),
        (np.array([float(row["temperature_f"]) for row in rows]) - 32) / 1.8,
    )
