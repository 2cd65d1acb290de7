"""What goes wrong in one round of the fault suite: a pure function of the round's seed, told in words."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

LENGTH_MIN = 50
"""How long the evening of a round is."""
_MOST_MS = 90
"""A minute of the evening takes about so long of real time, tags and judging together, on an idle machine."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: in minute ``minute`` of the evening, ``after_ms`` of real time after that minute was begun.

    It lasts ``minutes`` of the evening (0: an instant). ``amount`` is what its kind says.
    """

    kind: str
    minute: int
    after_ms: int
    minutes: int = 0
    amount: float = 0.0

    @property
    def end(self) -> int:
        """The minute at whose beginning it is over."""
        return self.minute + self.minutes

    def words(self) -> str:
        """As people read it."""
        what = KINDS[self.kind].words.format(minutes=self.minutes, amount=self.amount)
        return f"minute {self.minute:2} + {self.after_ms:2} ms: {what}"


class Kind(NamedTuple):
    """A kind of fault: how it is told, and how long and how strong it may be."""

    words: str
    minutes: tuple[int, int] = (0, 0)
    amount: Callable[[random.Random], float] = lambda chance: 0.0


def _step_s(chance: random.Random) -> float:
    """Seconds that a tag's clock is wrong by: some, or hours, either way.

    Less than half a day: at more than that a tag says that its date is in doubt until the gateway has told it, and what
    it makes meanwhile proves nothing (firmware/lib/clock.py).
    """
    return chance.choice((-1, 1)) * round(10 ** chance.uniform(1, 4.6))


def _far_s(chance: random.Random) -> float:
    """Seconds that a box's clock is wrong by: some, or a generation, either way."""
    return chance.choice((-1, 1)) * round(10 ** chance.uniform(1, 9))


KINDS: Mapping[str, Kind] = {
    "ingest": Kind("kill -9 of the ingest, which also judges"),
    "broker": Kind("kill -9 of the broker, whose store is wiped"),
    "full": Kind("the disk with the gateway's folder is full for {minutes} min", (1, 4)),
    "tag": Kind("the tag's power is cut"),
    "shuffled": Kind("all that was said arrives again, shuffled"),
    "gateway": Kind("kill -9 of the whole gateway, which is started again after {minutes} min", (0, 6)),
    "fsync": Kind(
        "{amount:.0%} of the ingest's fsyncs fail for {minutes} min",
        (1, 8),
        lambda chance: chance.uniform(0.05, 0.5),
    ),
    "link": Kind("the tag has no network for {minutes} min", (0, 12)),
    "notifier": Kind("kill -9 of the notifier, which also plans who is told"),
    "sick": Kind("every fsync of the ingest fails for {minutes} min", (1, 3)),
    "door": Kind("kill -9 of the doorkeeper"),
    "clock": Kind(
        "the tag's power is cut, and its clock steps by {amount:+.0f} s meanwhile", (0, 0), _step_s
    ),
    "provider": Kind("the receiver of notifications refuses everything for {minutes} min", (1, 12)),
    "twice": Kind("all that was said arrives again"),
    "liar": Kind("somebody who has the tag's key says other things under numbers that are known"),
    "box": Kind(
        "the clock of the gateway's box is wrong by {amount:+.0f} s for {minutes} min", (1, 20), _far_s
    ),
    "readonly": Kind("the file system with the gateway's folder is read-only for {minutes} min", (1, 4)),
    "raised": Kind("kill -9 of the ingest as soon as it has written that an alert begins or changes"),
    "taken": Kind("kill -9 of the notifier as soon as the receiver has a message, before it has said so"),
    "brim": Kind("the disks with the gateway's folder and the broker's are full for {minutes} min", (1, 3)),
    "notes": Kind(
        "{amount:.0%} of the notifier's fsyncs fail for {minutes} min",
        (1, 8),
        lambda chance: chance.uniform(0.05, 0.5),
    ),
}
"""All kinds; the first fault of a plan is of kind number ``seed % len(KINDS)``, so that none is left out."""

FILL, FAIL = frozenset({"full", "brim"}), frozenset({"fsync", "sick", "notes"})
"""Kinds that need a small file system of one's own, and those that need libfiu."""
REFUSE = frozenset({"readonly"})
"""Kinds during which nothing in the gateway's folder can be written, though there is room."""
SLOW = frozenset({"brim"})
"""Kinds that come only as the first of a plan: until a broker that lost its disk is noticed takes up to 45 s."""

INSIDE = frozenset({"door"})
"""Kinds that befall the embedded broker only: the doorkeeper is its own, an outside one reads files."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All faults of a round, by minute."""

    seed: int
    faults: tuple[Fault, ...]

    @property
    def kinds(self) -> list[str]:
        """The kind of each fault."""
        return [fault.kind for fault in self.faults]

    def with_outside_broker(self) -> Plan:
        """The same without the faults that have no meaning where the broker is none of the gateway's."""
        return replace(self, faults=tuple(fault for fault in self.faults if fault.kind not in INSIDE))

    def words(self) -> str:
        """As people read it, one fault a line."""
        return "\n".join([f"round {self.seed}:", *(f"  {fault.words()}" for fault in self.faults)])


def draw(seed: int) -> Plan:
    """The plan of round ``seed``: one to five faults of different kinds, or of one kind several times."""
    chance = random.Random(seed)
    names = list(KINDS)
    others = [name for name in names if name not in SLOW]
    kinds = [names[seed % len(names)], *chance.choices(others, k=chance.choice((0, 1, 1, 2, 2, 3, 4)))]
    faults = [_draw(kind, chance) for kind in kinds]
    return Plan(seed, tuple(sorted(faults, key=lambda fault: (fault.minute, fault.after_ms))))


def _draw(name: str, chance: random.Random) -> Fault:
    kind = KINDS[name]
    minutes = chance.randint(*kind.minutes)
    minute = chance.randint(1, LENGTH_MIN - minutes)
    return Fault(name, minute, chance.randrange(_MOST_MS), minutes, kind.amount(chance))
