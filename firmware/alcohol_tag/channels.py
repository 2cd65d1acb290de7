"""From volts to figures: what the three channels at the skin say, in integers. Pure.

| channel | makes | at | works within |
|---|---|---|---|
| fuel cell | 1e-5 g/dl | as calibrated: its level in clean air, and what 0.01 g/dl adds | 0.1 to 2.9 V |
| infrared (light that the skin throws back) | mV | as it is | 0.1 to 2.9 V |
| temperature (TMP235) | 0.01 degrees C | 500 mV at 0 degrees, 10 mV a degree | 0.1 to 1.75 V |

A level that the channel's electronics can not give (a wire is off, a part is broken) is a fault: there is no figure.
"""

import json

from records import UNKNOWN_I16, UNKNOWN_U16

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

# 0.1 V from either rail: no amplifier that works comes nearer, none whose input hangs in the air stays away.
LOW_UV, HIGH_UV = 100000, 2900000
HOTTEST_UV = 1750000  # 125 degrees C (TI, TMP235 data sheet, SBOS857)
ZERO_DEGREES_UV, DEGREE_UV = 500000, 10000
_LARGEST = 32767  # that a record can hold, either side of 0


class Calibration:
    """Of one tag's fuel cell: ``offset_uv`` in clean air; ``slope_uv`` is what 0.01 g/dl adds to it."""

    def __init__(self, offset_uv: int, slope_uv: int) -> None:
        self.offset_uv = offset_uv
        self.slope_uv = slope_uv


def load(path: str) -> Calibration:
    """Read ``fuel_cell`` (``[offset_uv, slope_uv]``, measured when the tag was made) of a JSON file.

    Raises ValueError that names the file and what is wrong: there is no default for what makes evidence.
    """
    with open(path) as file:
        given = json.load(file).get("fuel_cell")
    if not isinstance(given, list) or len(given) != 2 or not all(type(number) is int for number in given):
        raise ValueError(
            "%s: 'fuel_cell' is %r, not [microvolts in clean air, microvolts per 0.01 g/dl]" % (path, given)
        )
    if not LOW_UV < given[0] < HIGH_UV or not 1000 <= given[1] <= 1000000:
        raise ValueError("%s: 'fuel_cell' %r is no calibration of a fuel cell that works" % (path, given))
    return Calibration(given[0], given[1])


def tac_e5(uv: int, calibration: Calibration) -> int:
    """The fuel cell's level in 1e-5 g/dl, to the nearest; UNKNOWN_I16 where it can not be one."""
    if not LOW_UV <= uv <= HIGH_UV:
        return UNKNOWN_I16
    return _held(_ratio((uv - calibration.offset_uv) * 1000, calibration.slope_uv))


def infrared_mv(uv: int) -> int:
    """The light's level in mV, to the nearest; UNKNOWN_U16 where it can not be one."""
    return _ratio(uv, 1000) if LOW_UV <= uv <= HIGH_UV else UNKNOWN_U16


def temperature_e2(uv: int) -> int:
    """The temperature in 0.01 degrees C, to the nearest; UNKNOWN_I16 where the level can not be one."""
    if not LOW_UV <= uv <= HOTTEST_UV:
        return UNKNOWN_I16
    return _ratio((uv - ZERO_DEGREES_UV) * 100, DEGREE_UV)


def _ratio(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)


def _held(value: int) -> int:
    # one below the least is what says unknown
    return max(-_LARGEST, min(_LARGEST, value))
