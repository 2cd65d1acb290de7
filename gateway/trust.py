"""What time it is, weighed: the box's clock, how it is kept, and what tags say (docs/decisions/0017).

Pure: what was seen in, what to believe out. A gateway's time is a *line*: an offset to what the steady clock of this
boot shows. Between two looks, and whatever anybody sets the box's clock to, time goes on along the line; it becomes
another only by a verdict of `weigh`. All that was stamped along a line that proves wrong is wrong by as much, so it can
be put right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

STEP_MS = 2_000
"""Clocks that differ by less are the same: time servers step by up to half a second without anything being wrong."""
DRIFT = 500e-6
"""A quartz that nobody trims is at most so wrong; Linux's own limit for trimming one."""
LATE_MS = 300_000
"""A reading waits up to 120 s for company, and a message may be sent again."""
AHEAD_MS = 60_000
"""And a receiver without a leap second's table, or a tag's crystal, is at most so far ahead."""
QUORUM = 3
"""So many tags must say the same before they are believed without the box's clock: one may have a liar's receiver."""
SETTLE_MS = 60_000
"""After a start the box's clock is believed when it has been the same for so long and no tag says otherwise."""
PATIENCE_MS = 900_000
"""And so long where some do: a tag that comes back hands over old readings first."""
RAISE_MS = 30_000
"""Tags' word for a later time is worth a correction from so much on."""


class Basis(IntEnum):
    """Upon what a line rests; the higher, the better."""

    FLOOR = 0
    """It is not before what was stamped last. Nobody has told the time since the box was switched on."""
    TAGS = 1
    """It is not before what several tags' receivers have told."""
    BOX = 2
    """The box's clock, which has a battery, or which the operator believes."""
    SYNCHRONISED = 3
    """The box's clock, kept by a time server."""


@dataclass(frozen=True, slots=True)
class Line:
    """Gateway time of one boot: ``steady + offset_ms``.

    ``from_ms`` is the first stamp that may have been made along it: all later ones share its error. No offset below
    ``least_ms`` is believed without tags, for what was stamped before this boot came before. ``agreed_ms`` is when, by
    the steady clock, the box's clock agreed last. ``fresh``: nothing was ever stamped before it.
    """

    boot: int
    offset_ms: int
    basis: Basis
    from_ms: int
    least_ms: int
    agreed_ms: int = 0
    fresh: bool = False

    @property
    def known(self) -> bool:
        """Is it the time, as far as is known, rather than only not before it?"""
        return self.basis >= Basis.TAGS

    def at(self, steady_ms: int) -> int:
        """Gateway time, UTC ms, when the steady clock shows ``steady_ms``."""
        return steady_ms + self.offset_ms


@dataclass(frozen=True, slots=True)
class Look:
    """What the box shows at one instant; ``kept`` by a battery or the operator's word, ``forced``: believe it now."""

    steady_ms: int
    wall_ms: int
    synchronised: bool
    kept: bool = False
    forced: bool = False

    @property
    def offset_ms(self) -> int:
        """The line that the box's clock claims."""
        return self.wall_ms - self.steady_ms

    @property
    def basis(self) -> Basis:
        """What a line of this clock would rest upon."""
        return Basis.SYNCHRONISED if self.synchronised else Basis.BOX if self.kept else Basis.FLOOR


@dataclass(frozen=True, slots=True)
class Verdict:
    """The line to go on along, and what speaks against it: "" where nothing does."""

    line: Line
    doubt: str = ""


def weigh(line: Line, look: Look, leads: Sequence[int], held_ms: int, settled_ms: int = SETTLE_MS) -> Verdict:
    """What to believe.

    ``leads`` has one number for each tag that was heard lately: by how much its receiver's time was ahead of the steady
    clock when its message came. A message can be late but not early, so it is the least that the offset can be.
    ``held_ms`` is for how long the box's clock has claimed the same, ``settled_ms`` for how long it must where nobody
    speaks against it.
    """
    claim = look.offset_ms
    if look.forced:
        return Verdict(_moved(line, claim, max(look.basis, Basis.BOX), look))
    if look.basis and _near(line, look):
        if look.basis < line.basis:
            return Verdict(line)
        return Verdict(_moved(line, claim, look.basis, look))
    doubt = ""
    if look.basis >= max(line.basis, Basis.BOX):
        if _believed(line, look, leads, held_ms, 0 if line.fresh else settled_ms):
            return Verdict(_moved(line, claim, look.basis, look))
        doubt = _against(line, look, leads)
    return _by_tags(line, leads, doubt)


def proven_ms(line: Line, leads: Sequence[tuple[int, int]]) -> int | None:
    """Until when tags have proven the line right, UTC ms; None where they do not. ``leads`` with the stamp of each."""
    agree, _, later = _split([lead for lead, _ in leads], line.offset_ms)
    if not agree or later:
        return None
    return max(line.at(stamp) for lead, stamp in leads if _split([lead], line.offset_ms)[0])


def _near(line: Line, look: Look) -> bool:
    """Do line and box's clock say the same?"""
    off_ms = look.offset_ms - line.offset_ms
    if line.basis == Basis.FLOOR:
        return False
    if line.basis == Basis.TAGS:
        return -AHEAD_MS <= off_ms <= LATE_MS
    return abs(off_ms) <= STEP_MS + DRIFT * max(0, look.steady_ms - line.agreed_ms)


def _believed(line: Line, look: Look, leads: Sequence[int], held_ms: int, settled_ms: int) -> bool:
    """Is the box's clock to be believed although the line says otherwise?"""
    claim = look.offset_ms
    for_claim, earlier, later = _split(leads, claim)
    if later >= QUORUM:
        return False
    for_line = _split(leads, line.offset_ms)[0] if line.known else 0
    if look.basis == line.basis:
        # one of two equals is wrong: tags decide, else a person
        return held_ms >= settled_ms and for_claim > 2 * for_line
    if for_claim:
        return for_claim >= for_line
    if for_line or claim < line.least_ms - STEP_MS:
        return False
    if held_ms < settled_ms:
        return False
    return not leads or (held_ms >= PATIENCE_MS and earlier + later < QUORUM)


def _split(leads: Sequence[int], offset_ms: int) -> tuple[int, int, int]:
    """How many tags agree with a line, how many say that it is earlier (or sent old readings), how many later."""
    agree = sum(offset_ms - LATE_MS <= lead <= offset_ms + AHEAD_MS for lead in leads)
    later = sum(lead > offset_ms + AHEAD_MS for lead in leads)
    return agree, len(leads) - agree - later, later


def _against(line: Line, look: Look, leads: Sequence[int]) -> str:
    off_s = (look.offset_ms - line.offset_ms) / 1000
    where = (
        f"the box's clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the gateway's time"
    )
    if not line.known:
        return "the box's clock has not been confirmed yet"
    return f"{where}; tags heard lately that agree with it: {_split(leads, look.offset_ms)[0]}"


def _by_tags(line: Line, leads: Sequence[int], doubt: str) -> Verdict:
    """Tags can tell that it is later than the line says; never that it is earlier, for messages come late."""
    told = sorted(leads)[-QUORUM] if len(leads) >= QUORUM else None
    if line.basis > Basis.TAGS:
        if told is not None and told > line.offset_ms + AHEAD_MS:
            doubt = (
                doubt or f"{QUORUM} tags or more say that it is {(told - line.offset_ms) / 1000:.0f} s later"
            )
        return Verdict(line, doubt)
    if told is not None and told > line.offset_ms + RAISE_MS:
        return Verdict(replace(line, offset_ms=told, basis=Basis.TAGS, fresh=False), doubt)
    if told is not None and line.basis == Basis.FLOOR and told >= line.offset_ms - LATE_MS:
        return Verdict(replace(line, basis=Basis.TAGS, fresh=False), doubt)
    return Verdict(
        line, doubt or ("" if line.known else "nothing has told the time since the box was switched on")
    )


def _moved(line: Line, offset_ms: int, basis: Basis, look: Look) -> Line:
    return replace(line, offset_ms=offset_ms, basis=basis, agreed_ms=look.steady_ms, fresh=False)
