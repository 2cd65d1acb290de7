"""Gateway time: the ingest keeps it (`BoxClock`), every other process reads it from the store (`present`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from core import wire
from core.readings import TIME_QUALITY_MASK, Kind, PositionFlag, TimeQuality
from gateway import kernel_clock, trust
from gateway.clock import utc_text
from gateway.store import Store, state
from gateway.store import clock as clock_book
from gateway.trust import Basis, Line, Look, Verdict

log = structlog.get_logger(__name__)

Trust = Literal["auto", "synchronised", "box"]

BUILT_MS = 1_780_272_000_000
"""2026-06-01: a clock before it is certainly wrong, for this program is younger."""
FLOOR_EVERY_MS = 600_000
"""How often it is written down that time went on, where nothing else that is stored says so."""
_SLEW_MS = 50
_FORGET_MS = 900_000
_MOST_TAGS = 256
_SAMPLE = 16
_BELIEVE_FOR_MS = 120_000


@dataclass(frozen=True, slots=True)
class Present:
    """What time it is. ``known`` is False while it is only known not to be earlier."""

    ms: int
    known: bool


def present(connection: Connection, clock: str) -> Present:
    """Gateway time as any process may read it; ``clock`` is the setting.

    Where no gateway has ever run on this store it is what the machine's clock shows.
    """
    if clock == "stepped":
        return Present(state.number(connection, state.JUDGED_MS), True)
    line = clock_book.load(connection)
    if line is None:
        return Present(kernel_clock.wall_ms(), True)
    if line.boot == kernel_clock.boot():
        return Present(line.at(kernel_clock.steady_ms()), line.known)
    return Present(clock_book.newest_ms(connection) + 1 + kernel_clock.steady_ms(), False)


def now(store: Store, clock: str) -> Present:
    """`present`, in a transaction of its own."""
    with store.read() as connection:
        return present(connection, clock)


def unsure_from_ms(connection: Connection, clock: str) -> int | None:
    """From which stamp on it is only known that it was not earlier: nobody has told the time since. None: from none."""
    line = None if clock == "stepped" else clock_book.load(connection)
    if line is None:
        return None
    if not line.known:
        return line.from_ms
    return None if line.boot == kernel_clock.boot() else clock_book.newest_ms(connection) + 1


class Reader:
    """Gateway time for a process that asks again and again; where the store can not be read it goes on by itself."""

    def __init__(self, store: Store, clock: str) -> None:
        self._store = store
        self._clock = clock
        self._read = Present(0, False)
        self._at_ms = kernel_clock.steady_ms()

    def __call__(self) -> Present:
        """What time it is."""
        steady_ms = kernel_clock.steady_ms()
        try:
            self._read = now(self._store, self._clock)
        except SQLAlchemyError:
            passed_ms = 0 if self._clock == "stepped" else steady_ms - self._at_ms
            return replace(self._read, ms=self._read.ms + passed_ms)
        self._at_ms = steady_ms
        return self._read

    def now_ms(self) -> int:
        """The same, UTC ms."""
        return self().ms

    def known(self) -> bool:
        """Is that the time, rather than only not before it?"""
        return self().known


class Box(Protocol):
    """The clocks of a machine, and how they are kept."""

    def boot(self) -> int: ...

    def steady_ms(self) -> int: ...

    def look(self) -> Look: ...


class ThisBox:
    """The machine that this runs on."""

    def __init__(self, believed: Trust) -> None:
        self._believed = believed

    def boot(self) -> int:
        """The number of this boot."""
        return kernel_clock.boot()

    def steady_ms(self) -> int:
        """The clock that nobody can set."""
        return kernel_clock.steady_ms()

    def look(self) -> Look:
        """All of it, at one instant."""
        synchronised, _ = kernel_clock.synchronised()
        kept = self._believed == "box" or (self._believed == "auto" and kernel_clock.hardware_clock())
        return Look(kernel_clock.steady_ms(), kernel_clock.wall_ms(), bool(synchronised), kept)


class BoxClock:
    """Gateway time by the clocks of the box (`gateway.clock.Clock`). ``look`` about once a second, on one thread.

    ``now_ms``, ``stamp`` and ``at`` may be called from any. Making one and looking raise DBAPIError where the store
    can not be read or written.
    """

    def __init__(self, store: Store, box: Box, settled_ms: int = trust.SETTLE_MS) -> None:
        self._store = store
        self._box = box
        self._settled_ms = settled_ms
        self._leads: dict[str, tuple[int, int]] = {}
        self._claim: tuple[int, Basis, int] | None = None
        with store.read() as connection:
            line = clock_book.load(connection)
        if line is None or line.boot != box.boot():
            with store.write() as connection:
                line = clock_book.begin(connection, box.boot(), box.steady_ms(), BUILT_MS)
        self._line = line
        self._noted_ms = box.steady_ms()
        self._last_ms = 0
        self._raised_ms = -_FORGET_MS
        self._seen = box.look()
        self.doubt = "" if self._line.known else "the box's clock has not been looked at yet"

    @property
    def line(self) -> Line:
        """What time is taken from."""
        return self._line

    @property
    def certain(self) -> bool:
        """May others set their clocks by this one?"""
        return self._line.basis >= Basis.BOX and not self.doubt

    @property
    def off_ms(self) -> int:
        """How far the box's own clock was ahead of gateway time when it was looked at last."""
        return self._seen.offset_ms - self._line.offset_ms

    def stamp(self) -> int:
        """Now, by a clock that is never set: for `at`, later."""
        return self._box.steady_ms()

    def at(self, stamp: int) -> int:
        """Gateway time of a stamp, as known now."""
        return self._line.at(stamp)

    def now_ms(self) -> int:
        """The present instant. It stands rather than go back where the clock was only trimmed."""
        now_ms = self._line.at(self._box.steady_ms())
        if now_ms < self._last_ms:
            return self._last_ms
        self._last_ms = now_ms
        return now_ms

    def hear(self, device: str, ups: Sequence[wire.Up], received_ms: int) -> None:
        """What a device said in fresh messages, the newest of which came at ``received_ms`` (gateway time)."""
        told = [t_ms for up in ups if (t_ms := receiver_ms(up)) is not None]
        if told:
            stamp = received_ms - self._line.offset_ms
            self.sight(device, max(told) - stamp, stamp)

    def sight(self, device: str, lead_ms: int, stamp: int) -> None:
        """The receiver of a device was so far ahead of the steady clock when that showed ``stamp``."""
        known = self._leads.pop(device, None)
        if known is not None and stamp - known[1] < _FORGET_MS and known[0] > lead_ms:
            lead_ms, stamp = known
        self._leads[device] = lead_ms, stamp
        while len(self._leads) > _MOST_TAGS:
            del self._leads[next(iter(self._leads))]

    def look(self, before_long: Callable[[], object] = lambda: None) -> int | None:
        """See whether time is what it was taken for; where not, put it and what is stored right.

        ``before_long`` is called before something that may take long. Returns by how much time has changed, ms; None
        where it has not.
        """
        seen = self._box.look()
        steady_ms = seen.steady_ms
        believed = self._believed()
        if believed:
            seen = replace(seen, forced=True)
        self._seen = seen
        self._leads = {name: lead for name, lead in self._leads.items() if steady_ms - lead[1] < _FORGET_MS}
        verdict = self._weigh(seen)
        if verdict.doubt != self.doubt:
            self._tell(verdict)
        self.doubt = verdict.doubt
        old, new = self._line, verdict.line
        by_ms = new.offset_ms - old.offset_ms
        if new.basis == old.basis and abs(by_ms) < _SLEW_MS and not believed:
            self._line = replace(old, agreed_ms=new.agreed_ms, fresh=new.fresh)
            self._go_on(steady_ms)
            return None
        if new.basis == Basis.TAGS:
            if old.basis == Basis.TAGS and steady_ms - self._raised_ms < trust.SETTLE_MS:
                return None
            self._raised_ms = steady_ms
        before_long()
        self._correct(old, new, steady_ms)
        return by_ms if abs(by_ms) >= trust.STEP_MS else None

    def _weigh(self, seen: Look) -> Verdict:
        claim = self._claim
        if claim is None or claim[1] != seen.basis or abs(claim[0] - seen.offset_ms) > trust.STEP_MS:
            claim = self._claim = seen.offset_ms, seen.basis, seen.steady_ms
        leads = [lead for lead, _ in self._leads.values()]
        return trust.weigh(self._line, seen, leads, seen.steady_ms - claim[2], self._settled_ms)

    def _correct(self, old: Line, new: Line, steady_ms: int) -> None:
        by_ms = new.offset_ms - old.offset_ms
        now_ms = new.at(steady_ms)
        if self._seen.forced and old.basis == Basis.SYNCHRONISED:
            # a time server agreed until then
            old = replace(old, from_ms=max(old.from_ms, old.at(old.agreed_ms)))
        # a trimmed clock leaves its stamps as they are
        trimmed = abs(by_ms) < trust.STEP_MS
        with self._store.write() as connection:
            if trimmed:
                clock_book.save(connection, new)
            else:
                new = clock_book.correct(connection, old, new, now_ms)
            state.set_number(connection, clock_book.BELIEVE, 0)
        self._line = new
        if not trimmed:
            self._last_ms = 0
        if not trimmed and not old.fresh:
            log.warning(
                "gateway time is put right, and what was stamped since with it",
                by_s=round(by_ms / 1000, 1),
                now=utc_text(now_ms),
                basis=new.basis.name.lower(),
            )
        elif new.basis != old.basis:
            log.info("gateway time is known", now=utc_text(now_ms), basis=new.basis.name.lower())

    def _tell(self, verdict: Verdict) -> None:
        if verdict.doubt:
            log.warning("gateway time is in doubt", problem=verdict.doubt)
        else:
            log.info("gateway time is not in doubt any more")

    def _go_on(self, steady_ms: int) -> None:
        """The line stands: what a tag's receiver has confirmed needs no correction any more, whatever comes."""
        proven_ms = trust.proven_ms(self._line, list(self._leads.values())) if self.certain else None
        if proven_ms is not None:
            self._line = replace(self._line, from_ms=max(self._line.from_ms, proven_ms))
        if self._line.known and steady_ms - self._noted_ms >= FLOOR_EVERY_MS:
            with self._store.write() as connection:
                clock_book.go_on(
                    connection, self._line, self._line.at(steady_ms), proven=proven_ms is not None
                )
            self._noted_ms = steady_ms

    def _believed(self) -> bool:
        """Has the operator said that the box's clock is right? That holds for this boot and two minutes."""
        with self._store.read() as connection:
            said = state.number(connection, clock_book.BELIEVE)
        return said > 0 and 0 <= self._box.steady_ms() - said < _BELIEVE_FOR_MS


def believe(store: Store) -> None:
    """The operator says that the box's clock is right now; the ingest takes it over within a second."""
    with store.write() as connection:
        state.set_number(connection, clock_book.BELIEVE, kernel_clock.steady_ms())


def receiver_ms(up: wire.Up) -> int | None:
    """The newest instant in a message that a satellite receiver told, date and all; None where there is none."""
    for block in reversed(up.blocks):
        if block.kind == Kind.POSITION and block.dated and block.records is not None:
            flags = int(block.records["flags"][-1])
            if flags & TIME_QUALITY_MASK == TimeQuality.GNSS and not flags & (
                PositionFlag.DATE_SUSPECT | PositionFlag.NOT_SATELLITE
            ):
                return int(block.t_ms()[-1])
    return None


def witnesses(
    understood: Mapping[str, Sequence[tuple[wire.Up, object]]], heard: Mapping[str, int], clock: BoxClock
) -> None:
    """Let some of the devices of a group that was committed witness what time it is; all would cost too much."""
    for device in list(understood)[:_SAMPLE]:
        if device in heard:
            clock.hear(device, [up for up, _ in understood[device]], heard[device])
