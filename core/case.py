"""One activation under watch: its readings, how far they have been judged, and what has been told."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core.activation import ALWAYS_MS, Activation
from core.alerts import Alert, Evidence, Source
from core.atv import Absence
from core.contact import Contact
from core.equipment_alerts import Latch
from core.family import Family
from core.heard import Spell
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
        """What each family saved. Raises ValueError where that is no state at all."""
        saved: tuple[Any, ...] = _unpacked(self.saved) if self.packed else self.saved
        return saved


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept of a case to go on from in another life of this program: its state after all readings dated up to
    and with ``upto_ms``.

    ``saved`` is what the families saved, packed; ``unworn`` as `core.strap.unworn` has it, as bytes; ``unsettled`` are
    the alerts, by id, that had been told and might still have come out otherwise by later readings. Good only for the
    same activation, orders, rules, program, and readings up to ``upto_ms``: who keeps it has to see to that.
    """

    upto_ms: int
    saved: bytes
    unworn: bytes
    unsettled: tuple[str, ...]


_PARTS = {(one.__module__, one.__qualname__): one for one in (Absence, Evidence, Latch, Source, Spell)}
"""All that saved states are made of, beside numbers, texts, bytes, tuples and dictionaries."""


class _Bytes:
    """Bytes as `pickle.Unpickler` wants to read them."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int, /) -> bytes:
        """The next ``size``, or what is left."""
        begin, self._at = self._at, self._at + size
        return self._data[begin : self._at]

    def readline(self) -> bytes:
        """Up to and with the next end of a line."""
        return self.read((self._data.find(b"\n", self._at) + 1 or len(self._data)) - self._at)


class _States(pickle.Unpickler):
    """Reads saved states, and runs nothing that somebody may have put in their place."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _PARTS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a saved state") from None


def _packed(states: tuple[Any, ...]) -> bytes:
    return zlib.compress(pickle.dumps(states, pickle.HIGHEST_PROTOCOL), 1)


def _unpacked(saved: bytes) -> tuple[Any, ...]:
    try:
        states = _States(_Bytes(zlib.decompress(saved))).load()
    except (zlib.error, pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"not a saved state: {type(error).__name__}") from error
    if not isinstance(states, tuple):
        raise ValueError("not a saved state")
    return states


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
        saved = self._states(families)
        kept = _packed(saved) if pack else saved
        settled = self.forgotten + len(self.settled)
        self.checkpoints = (*self.checkpoints, Checkpoint(self.upto_ms, settled, kept, pack))
        self.since_checkpoint = 0

    def _states(self, families: Sequence[Family]) -> tuple[Any, ...]:
        return tuple(
            None if handle is None else family.save(handle)
            for family, handle in zip(families, self.handles, strict=True)
        )

    def memory(self, families: Sequence[Family]) -> Memory | None:
        """What to go on from in another life; None while something is to be told, or to be judged again."""
        if self.upto_ms == -ALWAYS_MS or self.lacking or self.amnesia:
            return None
        if self.told != self.forgotten + len(self.settled):
            return None
        unsettled = list(self.shown or ())
        if self.contact is not None and self.contact.told is not None and self.contact.silent:
            unsettled.append(self.contact.told.id)
        return Memory(
            self.upto_ms,
            _packed(self._states(families)),
            b"" if self.unworn is None else self.unworn.tobytes(),
            tuple(unsettled),
        )

    def recollect(
        self,
        memory: Memory,
        told: Iterable[Alert],
        rows: tuple[Rows | None, ...],
        families: Sequence[Family],
    ) -> None:
        """Of a case of which nothing is known yet: go on from ``memory`` with the readings after it.

        ``told`` are the alerts told since and those that were unsettled then, as they stand. Raises ValueError where it
        is no state of such a case; then nothing is known.
        """
        back = Checkpoint(memory.upto_ms, 1, memory.saved, True)
        states = back.of_families()
        if [one is None for one in states] != [handle is None for handle in self.handles]:
            raise ValueError("a saved state of other conditions")
        try:
            for family, handle, saved in zip(families, self.handles, states, strict=True):
                if handle is not None:
                    family.restore(handle, saved)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            for family, handle in zip(families, self.handles, strict=True):
                if handle is not None:
                    family.reset(handle)
            raise ValueError(f"not a state of these conditions: {type(error).__name__}") from error
        self.timeline.add(rows)
        self.timeline.drop(memory.upto_ms)
        self.upto_ms = self.floor_ms = memory.upto_ms
        self.checkpoints = (back,)
        # all that was settled by then counts as one, told and forgotten
        self.told = self.forgotten = 1
        self.shown = {alert.id: alert for alert in told} or None
        spans = np.frombuffer(memory.unworn, np.int64).reshape(-1, 2)
        self.unworn = spans if len(spans) else None
        self._see_strap()

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
