"""The short-range radio: what is advertised goes to the host, what the host says is heard, and nothing in between.

The air itself (who hears whom, how strongly) is the host's, see sim/radio.py.
"""

import sys

SCAN_RESULT = 5
RANDOM_ADDRESS = 1
NOT_CONNECTABLE = 3
ADDRESS = bytes(6)


class BLE:
    """The one radio of the board."""

    def __new__(cls):
        world = sys.modules["world"].world
        if world.radio is None:
            world.radio = object.__new__(cls)
            world.radio.off()
        return world.radio

    def off(self) -> None:
        self._active = self._scanning = False
        self._handler = None

    def active(self, on=None):
        if on is not None:
            self._active = bool(on)
            if not on:
                self._scanning = False
        return self._active

    def irq(self, handler) -> None:
        self._handler = handler

    def gap_advertise(self, interval_us, adv_data=None, *, resp_data=None, connectable: bool = True) -> None:
        self._must_be_active()
        if interval_us is not None and adv_data:
            sys.modules["world"].world.report("A", bytes(adv_data).hex())

    def gap_scan(self, duration_ms, interval_us=1280000, window_us=11250, active: bool = False) -> None:
        self._must_be_active()
        self._scanning = duration_ms is not None

    def arrive(self, dbm: int, data: bytes) -> None:
        """An advertisement comes over the air."""
        if self._active and self._scanning and self._handler:
            told = (RANDOM_ADDRESS, memoryview(ADDRESS), NOT_CONNECTABLE, dbm, memoryview(data))
            self._handler(SCAN_RESULT, told)

    def _must_be_active(self) -> None:
        if not self._active:
            raise OSError(19)  # ENODEV, as the port raises it
