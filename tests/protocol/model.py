"""``docs/protocol.md`` as a program: what a tag and a gateway may conclude, with nothing but sets.

No bytes, no files, no clock: messages are the plain values below. The firmware's link and the gateway's ingest are each
run against these two classes by a hypothesis state machine; whoever differs is wrong, or this page is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Message:
    """An authentic ``up``: ``readings`` maps a number to its content; ``gaps`` are the runs its gap records name."""

    epoch: int
    base: int
    readings: Mapping[int, object] = field(default_factory=dict)
    gaps: tuple[tuple[int, int], ...] = ()
    unread: tuple[int, ...] = ()


@dataclass
class Outcome:
    """What the gateway concluded from one message."""

    commit: int = 0
    fresh: list[int] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)


STORED, GAP, UNREAD, FORGOTTEN = "stored", "gap", "unread", "forgotten"


class GatewayModel:
    """One device as the gateway knows it (section "The gateway")."""

    def __init__(self) -> None:
        self.how: dict[int, dict[int, str]] = {}
        self.content: dict[tuple[int, int], object] = {}

    def known(self, epoch: int) -> set[int]:
        """K: every number that is accounted for."""
        return set(self.how.get(epoch, {}))

    def stored(self, epoch: int) -> set[int]:
        """The numbers whose readings are on disk."""
        return {number for number, how in self.how.get(epoch, {}).items() if how == STORED}

    def contiguous(self, epoch: int) -> int:
        """The highest S with {1 … S} ⊆ K: the commit."""
        known = self.known(epoch)
        upto = 0
        while upto + 1 in known:
            upto += 1
        return upto

    def hear(self, message: Message) -> Outcome:
        """Rules 2 to 6 for one authentic message."""
        how = self.how.setdefault(message.epoch, {})
        outcome = Outcome()
        for number, content in sorted(message.readings.items()):
            if how.get(number) == STORED:
                same = self.content[message.epoch, number] == content
                (outcome.duplicates if same else outcome.conflicts).append(number)
            else:
                how[number] = STORED
                self.content[message.epoch, number] = content
                outcome.fresh.append(number)
        for number in message.unread:
            how.setdefault(number, UNREAD)
        for first, count in message.gaps:
            for number in range(first, first + count):
                how.setdefault(number, GAP)
        for number in range(self.contiguous(message.epoch) + 1, message.base):
            if number not in how:
                how[number] = FORGOTTEN
                outcome.forgotten.append(number)
        outcome.commit = self.contiguous(message.epoch)
        return outcome


class TagModel:
    """One journal epoch of a tag (section "The tag")."""

    def __init__(self) -> None:
        self.next = 1
        self.made: dict[int, object] = {}
        self.dropped: set[int] = set()
        self.gaps: dict[int, tuple[int, int]] = {}
        self.upto = 0
        self.highest_sent = 0

    @property
    def held(self) -> dict[int, object]:
        """Readings not yet known to be committed, and not dropped."""
        return {
            number: content
            for number, content in self.made.items()
            if number > self.upto and number not in self.dropped
        }

    @property
    def base(self) -> int:
        """The lowest number not yet known to be committed; a dropped one counts until its gap record is."""
        return self.upto + 1

    def make(self, content: object) -> int:
        """A reading is flushed to flash."""
        number, self.next = self.next, self.next + 1
        self.made[number] = content
        return number

    def drop(self, numbers: Iterable[int]) -> None:
        """Flash is full: one gap record for each run, before the run goes."""
        runs: list[tuple[int, int]] = []
        for number in sorted(numbers):
            if runs and number == sum(runs[-1]):
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((number, 1))
        for run in runs:
            self.gaps[self.make(("gap", *run))] = run
        self.dropped |= set(numbers)

    def send(self, numbers: Iterable[int]) -> Message:
        """Some held readings, in a message."""
        held = self.held
        readings = {number: held[number] for number in numbers}
        self.highest_sent = max(self.highest_sent, *readings, 0)
        return Message(
            base=self.base,
            epoch=0,
            readings=readings,
            gaps=tuple(self.gaps[number] for number in readings if number in self.gaps),
        )

    def obey(self, upto: int) -> bool:
        """An authentic commit for this epoch; False where it is refused as beyond what was sent."""
        if upto > self.highest_sent and upto >= self.base:
            return False
        self.upto = max(self.upto, upto)
        return True

    def reboot(self) -> None:
        """Power lost: what was sent is no longer known; what was flushed is."""
        self.highest_sent = 0


Pair = tuple[int, int]
"""(generation, n): what names a command."""

EXECUTED, ANSWERED, REPEATED, REPLAYED = "executed", "answered", "repeated", "replayed"


class TagCommands:
    """What a tag does with commands (section "Commands")."""

    def __init__(self) -> None:
        self.last: Pair = (0, 0)
        self.executed: list[Pair] = []

    def hear(self, pair: Pair, *, answer_held: bool) -> str:
        """What comes of an authentic command; ``answer_held``: a record of it made since boot is not yet committed."""
        if pair < self.last:
            return REPLAYED
        if pair == self.last:
            return REPEATED if answer_held else ANSWERED
        self.last = pair
        return EXECUTED


class GatewayCommands:
    """The commands to one device, as the gateway knows them."""

    def __init__(self) -> None:
        self.generation = 1
        self.given: list[Pair] = []
        self.expired: set[Pair] = set()
        self.outcomes: dict[Pair, int] = {}

    def give(self) -> Pair:
        """Somebody commands something."""
        n = 1 + max((n for generation, n in self.given if generation == self.generation), default=0)
        self.given.append((self.generation, n))
        return self.given[-1]

    def next(self) -> Pair | None:
        """The one that is said now: the lowest open one of this generation."""
        open_now = [
            pair
            for pair in self.given
            if pair[0] == self.generation and pair not in self.outcomes and pair not in self.expired
        ]
        return min(open_now, default=None)

    def expire(self) -> None:
        """The one that is said has been said for long enough."""
        pair = self.next()
        if pair is not None:
            self.expired.add(pair)

    def acknowledged(self, pair: Pair, outcome: int) -> None:
        """A command record that was not known before; the first counts."""
        if pair in self.given:
            self.outcomes.setdefault(pair, outcome)

    def restore(self) -> None:
        """A backup is restored: nothing of before is said again."""
        self.generation += 1
