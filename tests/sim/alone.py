"""One tag on the bench with a broker of its own, behind which a stand-in hears what it says."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from core import wire
from core.readings import Kind
from sim.bench.tag import VirtualTag
from sim.sentences import fix
from tests.sim.stand_in import StandIn

START_MS = 1_793_600_000_000  # a minute begins 40 s later
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


class Alone:
    """A tag that is worn from `START_MS`. All times are milliseconds after that."""

    def __init__(
        self,
        folder: Path,
        device: str,
        config: Mapping[str, object],
        *,
        kind: str = "gps_tag",
        patience_s: float = 1.0,
    ) -> None:
        self.gateway = StandIn(folder / "gateway")
        self.gateway.start()
        self.device = device
        self.tag = VirtualTag(
            folder / "tag",
            self.gateway.credentials(device),
            start_ms=START_MS,
            config=config,
            patience_s=patience_s,
            clock_set=True,
            kind=kind,
        )
        self.tag.start()

    def end(self) -> None:
        self.tag.stop()
        self.gateway.stop()

    def tell(self, n: int, name: str, arguments: list[object]) -> None:
        """Command with the next answer."""
        self.gateway.commands[self.device] = wire.Command(n, name, arguments)

    def pin(self, at_ms: int, pin: int, level: int) -> None:
        self.tag.set_pin(START_MS + at_ms, pin, level)

    def of_kind(self, kind: int) -> list[tuple[int, bytes]]:
        """When and what the gateway has heard of a kind, in the order made."""
        readings = self.gateway.readings[self.device]
        heard = [readings[number] for number in sorted(readings)]
        return [((t_ms or 0) - START_MS, record) for made, t_ms, record in heard if made == kind]

    def tampers(self) -> list[tuple[int, int, int]]:
        """When, code, detail."""
        return [(t_ms, *struct.unpack("<BH", record[:3])) for t_ms, record in self.of_kind(Kind.TAMPER)]


class Duty(Alone):
    """A tag that is fed a fix each second from the start on, as far as it is run."""

    def __init__(self, folder: Path, **config: object) -> None:
        super().__init__(folder, "tag00001", config)
        self.fed_ms = START_MS

    def run(self, t_ms: int, step_ms: int = 1000) -> None:
        """Live until ``t_ms`` after the start."""
        t_ms += START_MS
        for at_ms in range(self.fed_ms + 200, t_ms, step_ms):
            self.tag.feed(at_ms, self.says(at_ms - 200))
        self.fed_ms = t_ms
        self.tag.run_until(t_ms)

    def says(self, t_ms: int) -> bytes:
        """What the receiver says of an instant."""
        return fix(t_ms, 52.1, 4.9)

    def positions(self, from_ms: int = 0, to_ms: int = 1 << 60) -> list[int]:
        return [t_ms for t_ms, _ in self.of_kind(Kind.POSITION) if from_ms <= t_ms < to_ms]
