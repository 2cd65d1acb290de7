"""One device on one wearer, from fitting to removal, and what is in force when."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.atv import Absence
from core.order import Condition, DiscountedTime, DiscountKind, Order
from core.schedule import ALWAYS_MS, Interval, without
from core.senses import EVERYTHING
from core.timetable import joined

__all__ = ["ALWAYS_MS", "LATEST_MS", "Activation", "Stretch", "Watch", "authorised", "in_turn", "watches"]

C = TypeVar("C", bound=Condition)
LATEST_MS = 4_102_444_800_000
"""2100-01-01. A clock beyond it is broken; without the bound it would make centuries of curfews."""


@dataclass(frozen=True, slots=True)
class Activation:
    """A device on a wearer. Devices are reused: everything is keyed by activation.

    ``order`` is the version known last; ``earlier`` are the versions before it, in any order. A position is judged by
    the highest version that is effective at its tag time. Before ``fitted_ms`` and from ``removed_ms`` on the wearer is
    *not monitored*: nothing is judged, nothing raised.

    ``carried`` are the absences of earlier activations of the same order, and of others beside this one
    (`core.monitor.Monitor.absences`; `Monitor.carry` changes them): they count towards its accumulated time violation,
    which is the order's.

    ``senses`` are the types of conditions that the device can tell of (`core.senses.SENSES`); no other is judged.
    """

    id: str
    device: str
    order: Order
    fitted_ms: int
    removed_ms: int | None = None
    earlier: tuple[Order, ...] = ()
    carried: tuple[Absence, ...] = ()
    senses: frozenset[type[Condition]] = EVERYTHING

    def __post_init__(self) -> None:
        if not 0 <= self.fitted_ms < LATEST_MS:
            raise ValueError(
                f"activation {self.id!r}: fitted at {self.fitted_ms} ms; give UTC milliseconds between 1970 and 2100"
            )
        if self.removed_ms is not None and self.removed_ms < self.fitted_ms:
            raise ValueError(
                f"activation {self.id!r}: removed at {self.removed_ms} ms, before it was fitted at {self.fitted_ms}"
            )

    def spans(self) -> list[tuple[int, int, Order]]:
        """``(from_ms, to_ms, order)``: which version is in force when, within the activation, ascending, not empty."""
        last = ALWAYS_MS if self.removed_ms is None else self.removed_ms
        return in_turn((*self.earlier, self.order), self.fitted_ms, last)

    def version_at(self, t_ms: int) -> int:
        """Which version of the order is in force at ``t_ms``; after the removal the last that was."""
        begun = [order.version for from_ms, _, order in self.spans() if from_ms <= t_ms]
        return begun[-1] if begun else self.order.version


def in_turn(orders: Sequence[Order], from_ms: int, to_ms: int) -> list[tuple[int, int, Order]]:
    """``(from_ms, to_ms, order)``: which version is in force when, between two instants, ascending, not empty.

    The highest version that is effective holds; before any is, nothing does.
    """
    marks = sorted({max(from_ms, order.effective_ms) for order in orders} | {to_ms})
    found: list[tuple[int, int, Order]] = []
    for start, end in itertools.pairwise(marks):
        if start < to_ms:
            known = [order for order in orders if order.effective_ms <= start]
            found.append((start, end, max(known, key=lambda order: (order.version, order.effective_ms))))
    return found


def authorised(activation: Activation, condition: str) -> list[Interval]:
    """When an absence from a condition was authorised before the act; ascending, apart.

    What the version known last holds of absences counts, from the instant on at which it stood on record, in this
    version or in one before it. What was recorded later excuses, and takes no time out (docs/decisions/0033).
    """

    def said(order: Order) -> Iterator[DiscountedTime]:
        for one in order.discounts:
            if one.kind == DiscountKind.AUTHORISED_ABSENCE and one.condition in (None, condition):
                yield one

    holds = joined((one.from_ms, one.to_ms) for one in said(activation.order))
    on_record = joined(
        (start_ms, one.to_ms)
        for order in (*activation.earlier, activation.order)
        for one in said(order)
        if (start_ms := one.from_ms if one.recorded_ms is None else max(one.from_ms, one.recorded_ms))
        < one.to_ms
    )
    return without(holds, without(holds, on_record))


@dataclass(frozen=True, slots=True)
class Stretch(Generic[C]):
    """A condition as one version of the order words it, from ``from_ms`` to ``to_ms``."""

    from_ms: int
    to_ms: int
    version: int
    condition: C


@dataclass(frozen=True, slots=True)
class Watch(Generic[C]):
    """A condition watched without a break, through one or more versions of the order.

    What is known of the wearer is carried over from one version to the next, so that editing an order makes no
    transition by itself.
    """

    activation: str
    condition: str
    stretches: tuple[Stretch[C], ...]

    @property
    def from_ms(self) -> int:
        return self.stretches[0].from_ms

    @property
    def to_ms(self) -> int:
        return self.stretches[-1].to_ms

    def at(self, t_ms: int) -> Stretch[C]:
        """The stretch in force at ``t_ms``, which lies within the watch."""
        return next(stretch for stretch in reversed(self.stretches) if stretch.from_ms <= t_ms)


def watches(activation: Activation, kind: type[C]) -> Iterator[Watch[C]]:
    """What is to be watched of the conditions of type ``kind``: nothing where the device does not sense them.

    A condition is watched while the order and its own dates have it in force, and no suspension stands. Suspensions
    are those of the version known last: the list grows with every version, and holds for the past too.
    """
    if kind not in activation.senses:
        return
    running: dict[str, list[Stretch[C]]] = {}
    for start, end, order in activation.spans():
        mine = {condition.id: condition for condition in order.conditions if isinstance(condition, kind)}
        for gone in [condition_id for condition_id in running if condition_id not in mine]:
            yield Watch(activation.id, gone, tuple(running.pop(gone)))
        for condition_id, condition in mine.items():
            for from_ms, to_ms in order.in_force(condition, start, end, activation.order.suspensions):
                if condition_id in running and running[condition_id][-1].to_ms < from_ms:
                    yield Watch(activation.id, condition_id, tuple(running.pop(condition_id)))
                stretch: Stretch[C] = Stretch(from_ms, to_ms, order.version, condition)
                running.setdefault(condition_id, []).append(stretch)
    for condition_id, stretches in running.items():
        yield Watch(activation.id, condition_id, tuple(stretches))
