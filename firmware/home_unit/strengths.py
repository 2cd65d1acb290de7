"""How strong the beacons of one interval were, in a hundred bytes whatever their number."""

from records import UNKNOWN_DBM

WEAKEST_DBM = -110  # what is weaker or stronger than the range counts as its end
_STEPS = 96


class Strengths:
    """Counts of each whole dBm."""

    def __init__(self) -> None:
        self._counts = bytearray(_STEPS)
        self._n = 0
        self.strongest = UNKNOWN_DBM

    def add(self, dbm: int) -> None:
        """Count one."""
        at = max(0, min(_STEPS - 1, dbm - WEAKEST_DBM))
        if self._counts[at] == 255:
            return
        self._counts[at] += 1
        self._n += 1
        if self.strongest == UNKNOWN_DBM or dbm > self.strongest:
            self.strongest = dbm

    def median(self) -> int:
        """The lower median in dBm, or unknown."""
        left = (self._n + 1) // 2
        for at in range(_STEPS):
            left -= self._counts[at]
            if self._n and left <= 0:
                return WEAKEST_DBM + at
        return UNKNOWN_DBM

    def clear(self) -> None:
        """Begin anew."""
        for at in range(_STEPS):
            self._counts[at] = 0
        self._n = 0
        self.strongest = UNKNOWN_DBM
