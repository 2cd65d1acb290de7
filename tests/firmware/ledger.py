"""Journal and link in one, for tests of what makes readings: nothing is kept on flash, nothing is sent."""

from __future__ import annotations

import records

Reading = tuple[int, int, bytes, bool]
"""Kind, instant (tenths of a second), body, and whether it is urgent."""


class Ledger:
    """What was appended, and whether the link was woken; OSError while ``full``."""

    def __init__(self) -> None:
        self.made: list[Reading] = []
        self.woken: list[bool] = []
        self.hurried = 0
        self.boots = 7
        self.full = False

    def append(self, kind: int, t_ds: int, body: bytes, urgent: bool = False) -> int:
        if self.full:
            raise OSError(28)
        self.made.append((kind, t_ds, body, urgent))
        return len(self.made)

    def wake(self, urgent: bool) -> None:
        self.woken.append(urgent)

    def hurry(self) -> None:
        self.hurried += 1

    def of_kind(self, kind: int) -> list[tuple[int, bytes]]:
        """Instant and body of each."""
        return [(t_ds, body) for made, t_ds, body, _ in self.made if made == kind]

    def positions(self) -> list[tuple[int, int]]:
        """Instant and flags of each position."""
        return [(t_ds, body[-1]) for t_ds, body in self.of_kind(records.POSITION)]
