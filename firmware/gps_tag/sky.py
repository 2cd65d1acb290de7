"""How strongly the receiver hears each satellite: the GSV sentences of one epoch, gathered into one view.

GSV tells no time, so a view is what came between the ends of two epochs. One that lacks a sentence is no view: what
is missing from it would look like satellites that have been lost.
"""

from nmea_fields import decimal

# Four constellations in two bands: no receiver shows more that count. Bounds the memory whatever a line says.
MOST = 64
STRENGTH_MASK = 0xFF


class Sky:
    """The newest whole view, as ``{satellite: strength | elevation << 8}``: dB-Hz (0 not heard), degrees.

    Nothing is read until :meth:`want` asks for a view; ``taken`` counts the views there have been. A satellite's key
    is made of talker, signal and number.
    """

    def __init__(self) -> None:
        self.view: dict[int, int] = {}
        self.taken = 0
        self._gathered: dict[int, int] = {}
        self._wanted = False
        self._gathering = False
        self._last = 0  # number of the last sentence of a group, and how many it has
        self._of = 0
        self._whole = True

    def want(self) -> None:
        """Gather the next view."""
        self._wanted = True

    def take_gsv(self, body: bytes) -> None:
        """Take a GSV from its address on; what it can not mean spoils the view, and nothing else."""
        if not self._gathering:
            return
        f = body.split(b",")
        of, number = (decimal(f[1], 0), decimal(f[2], 0)) if len(f) > 3 else (None, None)
        if of is None or number is None:
            self._whole = False
            return
        if number != (self._last + 1 if self._last < self._of else 1):
            self._whole = False
        self._last, self._of = number, of
        signal = 0
        if (
            len(f) % 4 == 1 and len(f[-1]) == 1
        ):  # since NMEA 4.10 a signal's number stands behind the satellites
            signal = f[-1][0]
        for at in range(4, len(f) - 3, 4):
            satellite = decimal(f[at], 0)
            if satellite is not None and len(self._gathered) < MOST:
                elevation, strength = decimal(f[at + 1], 0), decimal(f[at + 3], 0)
                key = (body[1] << 20) | (signal << 12) | (satellite & 0xFFF)
                self._gathered[key] = min(strength or 0, 99) | (min(elevation or 0, 90) << 8)

    def epoch_ends(self) -> None:
        """All sentences of an epoch have come."""
        if self._gathering and self._of:
            if self._whole and self._last == self._of:
                self.view = self._gathered
                self.taken += 1
                self._gathering = False
            self._begin()
        if self._wanted:
            self._wanted = False
            self._gathering = True
            self._begin()

    def _begin(self) -> None:
        self._gathered = {}
        self._last = self._of = 0
        self._whole = True
