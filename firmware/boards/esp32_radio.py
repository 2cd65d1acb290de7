"""ESP32 devices with the short-range radio (Bluetooth Low Energy advertising): the RF tag and the home unit.

A beacon is the manufacturer's data of a non-connectable advertisement.
"""

import asyncio

import bluetooth
import esp32
import machine

from boards.esp32 import Esp32, Online
from boards.esp32_pins import PINS

# Flags (no BR/EDR), then 20 bytes of manufacturer's data under 0xFFFF, which Bluetooth's Assigned Numbers leave to
# tests: a maker with a number of its own writes it here.
HEAD = b"\x02\x01\x04\x17\xff\xff\xff"
BEACON_BYTES = 20
# Said so often within ADVERTISE_MS, each time on three channels: a scanner listens to one of them at a time.
ADVERTISE_US = 100000
ADVERTISE_MS = 350
# The scanner listens all the time; a home unit has mains.
SCAN_US = 30000
# Until the ear is asked again, 2 s later: 30 tags send four beacons in that time, each heard up to four times.
HELD = 96
_SCAN_RESULT = 5
_NOT_CONNECTABLE = 3


def _input(name: str) -> machine.Pin:
    return machine.Pin(PINS[name], machine.Pin.IN, machine.Pin.PULL_UP)


class BeaconBoard(Esp32):
    """An RF tag."""

    def __init__(self) -> None:
        super().__init__()
        self._strap = _input("strap")
        self._case = _input("case")
        self._tool = machine.Pin(PINS["tool"], machine.Pin.IN, machine.Pin.PULL_DOWN)
        self._radio = bluetooth.BLE()

    def strap_closed(self) -> bool:
        """Whether the loop through the strap is whole."""
        return self._strap.value() == 0

    def case_closed(self) -> bool:
        """Whether the case is shut."""
        return self._case.value() == 0

    async def beacon(self, payload: bytes) -> None:
        """Send it a few times; the radio is off before and after."""
        self._radio.active(True)
        self._radio.gap_advertise(ADVERTISE_US, HEAD + payload, connectable=False)
        await asyncio.sleep_ms(ADVERTISE_MS)
        self._radio.gap_advertise(None)  # type: ignore[arg-type]  # the stub's text says that None stops it
        self._radio.active(False)

    async def rest(self, ms: int) -> None:
        """Sleep with the clocks off; RAM stays. With a tool connected only wait: its line would sleep too."""
        if self._tool.value():
            await asyncio.sleep_ms(ms)
            return
        esp32.wake_on_ext1([self._tool], esp32.WAKEUP_ANY_HIGH)
        machine.lightsleep(ms)
        # it belongs to the chip's sleep controller afterwards, until it is taken back
        self._tool.init(machine.Pin.IN, machine.Pin.PULL_DOWN)
        await asyncio.sleep_ms(0)


class UnitBoard(Online):
    """A home unit."""

    def __init__(self) -> None:
        super().__init__()
        self._case = _input("case")
        self._mains = _input("mains")
        self._moved = machine.Pin(PINS["moved"], machine.Pin.IN, machine.Pin.PULL_DOWN)
        self._heard: list[tuple[int, int, bytes]] = []
        self._last = b""
        self.missed = 0  # what came while as much was held as may be
        self._radio = bluetooth.BLE()
        self._radio.active(True)
        self._radio.irq(self._scanned)  # type: ignore[arg-type]  # the stub takes every part of an event for bytes
        self._radio.gap_scan(0, SCAN_US, SCAN_US)

    def case_closed(self) -> bool:
        """Whether the case is shut."""
        return self._case.value() == 0

    def mains(self) -> bool:
        """Whether the mains adapter gives power."""
        return self._mains.value() == 0

    def moved(self) -> bool:
        """Whether the unit was moved within the last seconds."""
        return self._moved.value() == 1

    def heard(self) -> list[tuple[int, int, bytes]]:
        """Beacons since this was asked last, as (ticks in ms, dBm, 20 bytes)."""
        heard, self._heard = self._heard, []
        self._last = b""
        return heard

    def _scanned(self, event: int, data: "tuple[int, memoryview, int, int, memoryview]") -> None:
        """Called by the radio, between any two bytecodes."""
        if event != _SCAN_RESULT:
            return
        _kind, _address, how, dbm, said = data
        if (
            how != _NOT_CONNECTABLE
            or len(said) != len(HEAD) + BEACON_BYTES
            or bytes(said[: len(HEAD)]) != HEAD
        ):
            return
        payload = bytes(said[len(HEAD) :])
        if payload == self._last:  # said again within the same third of a second
            return
        if len(self._heard) >= HELD:
            self.missed += 1
            return
        self._last = payload
        self._heard.append((self.ticks_ms(), dbm, payload))
