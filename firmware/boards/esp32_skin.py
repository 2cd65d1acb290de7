"""ESP32 devices that are worn against the skin: the alcohol tag."""

import time

import machine

from boards.esp32 import Worn
from boards.esp32_pins import PINS

# The infrared light and the amplifiers settle within 10 ms; the fuel cell itself is never switched.
SETTLE_MS = 20
READINGS = 5  # of each channel, of which the middle one counts: the modem's bursts reach the supply


class AlcoholBoard(Worn):
    """An alcohol tag."""

    def __init__(self) -> None:
        super().__init__()
        self._power = machine.Pin(PINS["skin_power"], machine.Pin.OUT, value=0)
        self._channels = [
            machine.ADC(machine.Pin(PINS[name]), atten=machine.ADC.ATTN_11DB)
            for name in ("fuel_cell_adc", "infrared_adc", "skin_temperature_adc")
        ]

    def skin_uv(self) -> tuple[int, int, int]:
        """Levels of fuel cell, infrared and temperature in microvolts."""
        self._power.value(1)
        time.sleep_ms(SETTLE_MS)
        fuel_cell, infrared, temperature = [self._level(channel) for channel in self._channels]
        self._power.value(0)
        return fuel_cell, infrared, temperature

    def _level(self, channel: machine.ADC) -> int:
        return sorted([channel.read_uv() for _ in range(READINGS)])[READINGS // 2]
