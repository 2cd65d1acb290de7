"""From the sensors at the skin to readings: samples of alcohol, and the sensors' faults."""

import asyncio

import channels
import records
from commands import DONE, FAILED, NOT_UNDERSTOOD, REFUSED
from equipment import LOOK_MS
from making import make
from rhythm import Rhythm, alcohol, away

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol

    from baseline import Baseline
    from channels import Calibration
    from clock import Clock
    from config import Changeable
    from equipment import Equipment
    from journal import Journal
    from link import Wakes

    class SkinBoard(Protocol):
        """What is needed of the board."""

        def skin_uv(self) -> tuple[int, int, int]:
            """Levels of fuel cell, infrared and temperature in microvolts."""


# In a row, until a sensor that was at fault is said to be well: a loose wire makes contact now and then.
WELL_SAMPLES = 3


class Skin:
    """Makes alcohol samples, and tamper readings of sensors that fail."""

    def __init__(
        self,
        journal: "Journal",
        clock: "Clock",
        link: "Wakes",
        board: "SkinBoard",
        calibration: "Calibration",
        settings: "Changeable",
        baseline: "Baseline",
        equipment: "Equipment",
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._link = link
        self._board = board
        self._calibration = calibration
        self._settings = settings
        self._baseline = baseline
        self._equipment = equipment
        self._rhythm = Rhythm()
        self._changes = 0  # of strap and case, seen so far
        self._before_e2 = records.UNKNOWN_I16
        self._well = 0

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            self.look()
            await asyncio.sleep_ms(LOOK_MS)

    def look(self) -> None:
        """See whether there was tamper, and take a sample if one is due."""
        now_ms = self._clock.uptime_ms()
        if self._equipment.changes != self._changes:
            self._changes = self._equipment.changes
            self._rhythm.see(now_ms)
        if self._rhythm.due(now_ms, self._settings.sample_s):
            self._sample(now_ms, self._measure(), 0)

    def command(self, arguments: "list[object]") -> int:
        """The command ``baseline``."""
        return NOT_UNDERSTOOD if arguments else self.fit()

    def console(self, _wish: "dict[str, object]") -> "dict[str, object]":
        """The same from an officer's tool. Raises ValueError that says why not."""
        outcome = self.fit()
        if outcome != DONE:
            raise ValueError(
                "the strap is open" if outcome == REFUSED else "a sensor is at fault, or flash refuses"
            )
        return {"infrared_mv": self._baseline.infrared_mv, "temperature_e2": self._baseline.temperature_e2}

    def test(self) -> "bool | str":
        """What an officer's tool asks: whether all channels give figures."""
        return not faulty(self._measure()) or "a channel is out of its range"

    def fit(self) -> int:
        """The tag is fitted: what infrared and temperature are now is what they should be. An outcome of a command."""
        if not self._equipment.strap_whole():
            return REFUSED
        values = self._measure()
        if faulty(values):
            return FAILED
        self._baseline.keep(values[1], values[2])
        now_ms = self._clock.uptime_ms()
        self._rhythm.see(now_ms)
        return DONE if self._sample(now_ms, values, records.BASELINE) else FAILED

    def _measure(self) -> tuple[int, int, int]:
        fuel_uv, infrared_uv, temperature_uv = self._board.skin_uv()
        return (
            channels.tac_e5(fuel_uv, self._calibration),
            channels.infrared_mv(infrared_uv),
            channels.temperature_e2(temperature_uv),
        )

    def _sample(self, now_ms: int, values: tuple[int, int, int], flags: int) -> bool:
        """Make a sample of what was measured; whether flash took it. If not, it is due again at the next look."""
        baseline, rhythm = self._baseline, self._rhythm
        fault = faulty(values)
        drunk = alcohol(values)
        if drunk or away(values, self._before_e2, baseline.infrared_mv, baseline.temperature_e2):
            rhythm.see(now_ms)
        t_ds, quality = self._clock.now()
        self._judge_sensor(now_ms, fault, t_ds, quality)
        if fault:
            flags |= records.FAULT
        if rhythm.fast(now_ms):
            flags |= records.FAST
        body = records.sample(values[0], values[1], values[2], flags | quality)
        if not make(
            self._journal, self._link, records.ALCOHOL, t_ds, body, drunk or flags & records.BASELINE != 0
        ):
            return False
        rhythm.take(now_ms)
        self._before_e2 = values[2]
        return True

    def _judge_sensor(self, now_ms: int, fault: bool, t_ds: int, quality: int) -> None:
        """Tell once that a channel has failed, and once that all have worked for a while."""
        self._well = 0 if fault else self._well + 1
        now = 1 if fault else 0
        if now == self._baseline.fault or (not fault and self._well < WELL_SAMPLES):
            return
        self._rhythm.see(now_ms)
        body = records.tamper(records.TAMPER_SENSOR_FAULT, now, quality)
        if make(self._journal, self._link, records.TAMPER, t_ds, body, True):
            self._baseline.told(now)


def faulty(values: tuple[int, int, int]) -> bool:
    """Whether a channel gave no figure."""
    return records.UNKNOWN_I16 in (values[0], values[2]) or values[1] == records.UNKNOWN_U16
