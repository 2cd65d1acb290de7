"""One activation under watch: its readings, how far they have been judged, and what has been told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.activation import ALWAYS_MS, Activation
from core.alerts import Alert
from core.contact import Contact
from core.family import Family
from core.history import Ends, Timeline
from core.readings import I64
from core.rows import DTYPES, EVENT, Rows
from core.strap import unworn

_NONE: Ends = (0,) * len(DTYPES)
_CHECKPOINTS = 12
"""So many are kept where readings are not: enough that an older one is found for most late readings."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after all readings dated up to and with ``upto_ms``."""

    upto_ms: int
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
    since_checkpoint: int = 0
    """How many readings have been judged since the last checkpoint."""
    floor_ms: int = -ALWAYS_MS
    """Only readings dated after this are kept."""
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
    contact: Contact = field(default_factory=Contact)

    @property
    def fed(self) -> int:
        """How many readings have been judged."""
        return sum(self.ends)

    @property
    def lacking(self) -> bool:
        """Are readings to be judged that are no longer kept?"""
        return self.upto_ms < self.floor_ms

    def take(self, rows: tuple[Rows | None, ...], families: Sequence[Family]) -> bool:
        """Add readings (as `core.rows.rows_from` gives them); False if all were known."""
        first_ms = self.timeline.add(rows)
        if first_ms == ALWAYS_MS:
            return False
        self.rewind(first_ms, families)
        if rows[EVENT] is not None and not self.lacking:
            self._see_strap()
        return True

    def refill(self, rows: tuple[Rows | None, ...]) -> None:
        """Take back the readings dated after ``upto_ms`` that were no longer kept."""
        self.timeline.add(rows)
        self.timeline.drop(self.upto_ms)
        self.floor_ms, self.ends = self.upto_ms, _NONE
        self._see_strap()

    def restart(self, activation: Activation, handles: tuple[Any, ...], families: Sequence[Family]) -> None:
        """Judge everything again from the beginning, as another version of the activation."""
        self.rewind(-ALWAYS_MS, families)
        self.activation, self.handles = activation, handles
        if not self.lacking:
            self._see_strap()

    def feed(self, ends: Ends) -> None:
        """Note that the families have judged so many readings of each kind."""
        self.since_checkpoint += sum(ends) - sum(self.ends)
        self.ends, self.upto_ms = ends, self.timeline.last_ms(ends)

    def checkpoint(self, families: Sequence[Family]) -> None:
        """Remember the state as it is, to come back to."""
        saved = tuple(
            None if handle is None else family.save(handle)
            for family, handle in zip(families, self.handles, strict=True)
        )
        self.checkpoints.append(Checkpoint(self.upto_ms, len(self.settled), saved))
        self.since_checkpoint = 0

    def trim(self, keep: int) -> None:
        """Let go of readings before a checkpoint, so that at least the ``keep`` judged last are kept; thin the rest."""
        for back in reversed(self.checkpoints):
            if back.upto_ms <= self.floor_ms:
                break
            before = self.timeline.ends(back.upto_ms)
            if sum(self.ends) - sum(before) >= keep:
                self.timeline.drop(back.upto_ms)
                self.ends = tuple(end - gone for end, gone in zip(self.ends, before, strict=True))
                self.floor_ms = back.upto_ms
                break
        while len(self.checkpoints) > _CHECKPOINTS:
            del self.checkpoints[self._dispensable()]

    def _dispensable(self) -> int:
        """Which checkpoint is missed least: the older they are, the further apart they may be."""
        at = [back.upto_ms for back in self.checkpoints]
        return min(
            range(1, len(at) - 1), key=lambda i: ((at[i + 1] - at[i - 1]) / (at[-1] - at[i - 1]), -at[i])
        )

    def rewind(self, before_ms: int, families: Sequence[Family]) -> None:
        """Back to the last checkpoint at which nothing from ``before_ms`` on had been judged."""
        if before_ms > self.upto_ms:
            return
        while self.checkpoints and self.checkpoints[-1].upto_ms >= before_ms:
            self.checkpoints.pop()
        back = self.checkpoints[-1] if self.checkpoints else None
        for number, (family, handle) in enumerate(zip(families, self.handles, strict=True)):
            if handle is not None and back is not None:
                family.restore(handle, back.saved[number])
            elif handle is not None:
                family.reset(handle)
        self.upto_ms, settled = (back.upto_ms, back.settled) if back else (-ALWAYS_MS, 0)
        self.ends, self.since_checkpoint = self.timeline.ends(self.upto_ms), 0
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

    def standing(self) -> list[Alert]:
        """All alerts as last told, without those withdrawn."""
        silence = [] if self.contact.told is None else [self.contact.told]
        return [*self.settled[: self.told], *self.shown.values(), *silence]

    def _see_strap(self) -> None:
        """Work out when the tag proves nothing, from what is known of it before ``floor_ms`` and the events since."""
        spans = unworn(self.timeline.rows(EVENT), self.activation.fitted_ms, self.unworn, self.floor_ms)
        self.unworn = spans if len(spans) else None
