"""One activation under watch: its readings, how far they have been judged, and what has been told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.activation import ALWAYS_MS, Activation
from core.alerts import Alert
from core.family import Family
from core.history import Ends, Timeline
from core.readings import I64
from core.rows import DTYPES, EVENT, Rows
from core.strap import unworn

_NONE: Ends = (0,) * len(DTYPES)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after all readings dated up to and with ``upto_ms``, so many of each kind."""

    upto_ms: int
    ends: Ends
    settled: int
    saved: tuple[Any, ...]


@dataclass(slots=True)
class Case:
    """One activation under watch. ``handles`` are what the families gave for it; None: nothing to watch."""

    activation: Activation
    handles: tuple[Any, ...]
    timeline: Timeline = field(default_factory=Timeline)
    ends: Ends = _NONE
    """So many readings of each kind, the first ones, have been judged."""
    upto_ms: int = -ALWAYS_MS
    """The latest of those."""
    unworn: I64 | None = None
    """When the tag proves nothing, as `core.strap.unworn` has it; None: never."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    settled: list[Alert] = field(default_factory=list)
    """Alerts that only a late reading can change."""
    told: int = 0
    """So many of ``settled`` have been told."""
    shown: dict[str, Alert] = field(default_factory=dict)
    """What was told last of the alerts that are not settled."""
    due_ms: int = ALWAYS_MS
    """When time alone will change something."""

    @property
    def fed(self) -> int:
        """How many readings have been judged."""
        return sum(self.ends)

    def take(self, rows: tuple[Rows | None, ...], families: Sequence[Family]) -> bool:
        """Add readings (as `core.rows.rows_from` gives them); False if all were known."""
        first_ms = self.timeline.add(rows)
        if first_ms == ALWAYS_MS:
            return False
        if rows[EVENT] is not None:
            self.see_strap()
        self.rewind(first_ms, families)
        return True

    def see_strap(self) -> None:
        """Work out from the events when the tag proves nothing."""
        spans = unworn(self.timeline.rows(EVENT), self.activation.fitted_ms)
        self.unworn = spans if len(spans) else None

    def checkpoint(self, families: Sequence[Family]) -> None:
        """Remember the state as it is, to come back to."""
        saved = tuple(
            None if handle is None else family.save(handle)
            for family, handle in zip(families, self.handles, strict=True)
        )
        self.checkpoints.append(Checkpoint(self.upto_ms, self.ends, len(self.settled), saved))

    def since_checkpoint(self) -> int:
        """How many readings have been judged since the last checkpoint."""
        return self.fed - (sum(self.checkpoints[-1].ends) if self.checkpoints else 0)

    def rewind(self, before_ms: int, families: Sequence[Family]) -> None:
        """Back to the last checkpoint at which nothing from ``before_ms`` on had been judged."""
        if before_ms > self.upto_ms:
            return
        while self.checkpoints and self.checkpoints[-1].upto_ms >= before_ms:
            self.checkpoints.pop()
        settled = 0
        if self.checkpoints:
            back = self.checkpoints[-1]
            self.upto_ms, self.ends, settled = back.upto_ms, back.ends, back.settled
        else:
            self.upto_ms, self.ends = -ALWAYS_MS, _NONE
        for number, (family, handle) in enumerate(zip(families, self.handles, strict=True)):
            if handle is not None and self.checkpoints:
                family.restore(handle, self.checkpoints[-1].saved[number])
            elif handle is not None:
                family.reset(handle)
        # what was told and is no longer settled may come out otherwise
        self.shown |= {alert.id: alert for alert in self.settled[settled : self.told]}
        self.told = min(self.told, settled)
        del self.settled[settled:]

    def tell(self, standing: Sequence[Alert]) -> list[Alert]:
        """What changed since it was told last; ``standing`` are the alerts that are not settled."""
        before, self.shown = self.shown, {alert.id: alert for alert in standing}
        fresh = (*self.settled[self.told :], *standing)
        told = [alert for alert in fresh if before.pop(alert.id, None) != alert]
        self.told = len(self.settled)
        return told + [replace(alert, state="withdrawn") for alert in before.values()]
