"""One activation under watch: its readings, how far they have been judged, and what has been told."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Sequence
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
    """The state after all readings dated up to and with ``upto_ms``; ``packed`` where ``saved`` is bytes."""

    upto_ms: int
    settled: int
    saved: Any
    packed: bool

    def of_families(self) -> tuple[Any, ...]:
        """What each family saved."""
        saved: tuple[Any, ...] = pickle.loads(zlib.decompress(self.saved)) if self.packed else self.saved
        return saved


@dataclass(slots=True, eq=False)
class Case:
    """One activation under watch. ``handles`` are what the families gave for it; None: nothing to watch.

    There are many: what most of them have not is None or shared.
    """

    activation: Activation
    handles: tuple[Any, ...]
    number: int = 0
    """Of this case among all."""
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
    checkpoints: tuple[Checkpoint, ...] = ()
    settled: tuple[Alert, ...] = ()
    """Alerts that only a late reading can change, without the first ``forgotten`` ones."""
    told: int = 0
    """So many of all settled have been told."""
    forgotten: int = 0
    """So many of all settled are no longer kept."""
    amnesia: bool = False
    """What was told has to be asked for: it may come out otherwise, and is forgotten."""
    shown: dict[str, Alert] | None = None
    """What was told last of the alerts that are not settled."""
    contact: Contact | None = None
    """None: nobody listens for the device."""

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

    def remember(self, told: Iterable[Alert]) -> None:
        """Take back what was told of alerts that were forgotten; of those still known, what is known here holds."""
        self.shown = {alert.id: alert for alert in told} | (self.shown or {})
        self.amnesia = False

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

    def settle(self, alerts: Iterable[Alert]) -> None:
        """Only a late reading can change ``alerts`` from now on."""
        self.settled = (*self.settled, *alerts)

    def checkpoint(self, families: Sequence[Family], pack: bool) -> None:
        """Remember the state as it is, to come back to; ``pack`` it where memory counts more than a little time."""
        saved = tuple(
            None if handle is None else family.save(handle)
            for family, handle in zip(families, self.handles, strict=True)
        )
        kept = zlib.compress(pickle.dumps(saved, pickle.HIGHEST_PROTOCOL), 1) if pack else saved
        settled = self.forgotten + len(self.settled)
        self.checkpoints = (*self.checkpoints, Checkpoint(self.upto_ms, settled, kept, pack))
        self.since_checkpoint = 0

    def forget(self, horizon_ms: int) -> None:
        """Let go of what is older than ``horizon_ms`` before the last reading: checkpoints but the last of them, and
        alerts that had been settled and told by then."""
        back = self.checkpoints
        older = sum(1 for one in back if one.upto_ms <= self.upto_ms - horizon_ms)
        if older > 1:
            self.checkpoints = back[older - 1 :]
        if older and (gone := min(self.checkpoints[0].settled, self.told) - self.forgotten) > 0:
            self.settled = self.settled[gone:]
            self.forgotten += gone

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
            at = self._dispensable()
            self.checkpoints = self.checkpoints[:at] + self.checkpoints[at + 1 :]

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
            self.checkpoints = self.checkpoints[:-1]
        back = self.checkpoints[-1] if self.checkpoints else None
        saved = None if back is None else back.of_families()
        for number, (family, handle) in enumerate(zip(families, self.handles, strict=True)):
            if handle is not None and saved is not None:
                family.restore(handle, saved[number])
            elif handle is not None:
                family.reset(handle)
        self.upto_ms, settled = (back.upto_ms, back.settled) if back else (-ALWAYS_MS, 0)
        self.ends, self.since_checkpoint = self.timeline.ends(self.upto_ms), 0
        if settled < self.forgotten:
            self.amnesia, settled = True, self.forgotten
        # what was told and is no longer settled may come out otherwise
        kept = settled - self.forgotten
        again = {alert.id: alert for alert in self.settled[kept : self.told - self.forgotten]}
        if again:
            self.shown = (self.shown or {}) | again
        self.settled = self.settled[:kept]
        if self.amnesia:
            settled = self.forgotten = 0
        self.told = min(self.told, settled)

    def tell(self, standing: Sequence[Alert]) -> list[Alert]:
        """What changed since it was told last; ``standing`` are the alerts that are not settled."""
        settled = self.forgotten + len(self.settled)
        if not standing and not self.shown and self.told == settled:
            return []
        before = self.shown or {}
        self.shown = {alert.id: alert for alert in standing} or None
        fresh = (*self.settled[self.told - self.forgotten :], *standing)
        told = [alert for alert in fresh if before.pop(alert.id, None) != alert]
        self.told = settled
        return told + [replace(alert, state="withdrawn") for alert in before.values()]

    def standing(self) -> list[Alert]:
        """All alerts as last told, without those withdrawn, and those forgotten."""
        silence = [] if self.contact is None or self.contact.told is None else [self.contact.told]
        return [*self.settled[: self.told - self.forgotten], *(self.shown or {}).values(), *silence]

    def _see_strap(self) -> None:
        """Work out when the tag proves nothing, from what is known of it before ``floor_ms`` and the events since."""
        spans = unworn(self.timeline.rows(EVENT), self.activation.fitted_ms, self.unworn, self.floor_ms)
        self.unworn = spans if len(spans) else None
