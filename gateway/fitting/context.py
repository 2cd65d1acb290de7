"""What the steps of a visit share: what was asked for, the order, the gateway's desk, and the device on the line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from core.order import Order
from core.senses import SENSES
from gateway.fitting import ports
from gateway.fitting.console import Console, Identity
from gateway.fitting.desk import Desk, OnRecord, Worn
from gateway.fitting.journal import Facts, Journal
from gateway.fitting.line import Line
from gateway.fitting.stops import Stop

HOME_UNIT = "home_unit"
Purpose = Literal["fit", "check", "remove", "swap"]
"""What an officer comes for."""


class Listener(Protocol):
    """Whoever shows a visit while it goes on."""

    def begun(self, step: str, doing: str) -> None:
        """A step begins; it is written down already."""

    def says(self, text: str) -> None:
        """How a step fares just now; what was said before is out of date."""

    def done(self, step: str, verdict: str, *, good: bool) -> None:
        """A step is over, and written down."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an officer wants. ``device`` is the number on the case, where given; ``ports`` the only ones to look at.

    ``extra`` are settings of the device beside those that every device has (an alcohol tag's calibration). ``ask`` puts
    a question and returns what is typed; None where nobody is there to answer. ``answers`` were given beforehand to the
    questions at the door (`gateway.fitting.answers`). ``lost``: what is to be removed is not here, or says nothing any
    more; ``old`` is the number of the tag that goes, where several are worn. ``leaflet`` is the language of the
    leaflet: en, cy or both; "" for the order's. ``pdf``: draw PDFs, too. Spans of waiting in seconds.
    """

    order_id: str
    by: str
    device: str | None = None
    unit: str | None = None
    address: str | None = None
    ports: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    rooms: tuple[str, ...] = ()
    ask: Callable[[str], str] | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    lost: bool = False
    old: str | None = None
    at_source: bool = False
    """In a prison before the release."""
    release_ms: int | None = None
    """With ``at_source``: when that is, UTC ms; None for the start of the order."""
    leaflet: str = ""
    pdf: bool = True
    sky_s: float = 120.0
    strap_s: float = 180.0
    reading_s: float = 240.0
    room_s: float = 60.0
    boot_s: float = 45.0


@dataclass
class Side:
    """A device on the line: who it is, and what it is said to."""

    path: str
    console: Console
    who: Identity
    device: str = ""
    """Its id; "" while a new one has none."""
    following: bool = False
    """It has the key that it is to change to, and the gateway has not heard anything under it yet."""

    @property
    def kind(self) -> str:
        return self.who.kind

    def again(self) -> Identity:
        """Ask it anew."""
        self.who = self.console.identify()
        return self.who


class Context:
    """One visit under way."""

    def __init__(
        self,
        desk: Desk,
        asked: Asked,
        listener: Listener,
        order: Order,
        journal: Journal | None,
        purpose: Purpose = "fit",
    ) -> None:
        self.purpose = purpose
        self.desk = desk
        self.asked = asked
        self.listener = listener
        self.order = order
        self.journal = journal
        self.side: Side | None = None
        self.replaces: str | None = None
        """The tag that goes, where another takes its place: it may be plugged in, too."""
        self._lines: list[Line] = []
        self.facts: dict[str, Facts] = {}
        """What each step has brought in this visit."""

    # ---------------------------------------------------------------------------------------- devices

    @property
    def on_the_line(self) -> Side:
        assert self.side is not None, "a step that needs a device comes after the one that finds it"
        return self.side

    @property
    def wanted_kinds(self) -> list[str]:
        """The kinds of tag that can tell of something that the order asks for."""
        asked = {type(condition) for condition in self.order.conditions}
        return [kind for kind, senses in SENSES.items() if senses & asked]

    def look(self, kinds: Sequence[str], device: str | None) -> Side:
        """Find the one device of these kinds that is plugged in. Raises Stop."""
        self.let_go()
        paths = list(self.asked.ports) or ports.there()
        found = ports.look(paths)
        old = [one for one in found if one.found and self.replaces and one.found.device == self.replaces]
        found = [one for one in found if one not in old]
        if old and not any(one.found for one in found):
            raise Stop(
                f"what is plugged in is {self.replaces}, the tag that is to go",
                "leave it on the leg, put the plug on the new tag, and type the same command again",
            )
        suited = [one for one in found if one.found and one.found.kind in kinds]
        others = [one for one in found if one.found and one.found.kind not in kinds]
        if others and not suited:
            wanted = " or ".join(kind.replace("_", " ") for kind in kinds) or "nothing that is worn"
            raise Stop(
                f"what is plugged in ({', '.join(map(str, others))}) is not what order {self.order.order_id} "
                f"needs here, which is a {wanted}",
                "plug in the right one, and type the same command again",
            )
        chosen = ports.choose(suited or found, device)
        line = Line(chosen.path)
        self._lines.append(line)
        console = Console(line)
        self.side = Side(chosen.path, console, console.identify())
        return self.side

    def let_go(self) -> None:
        """Close the port, whatever was found there."""
        for line in self._lines:
            line.close()
        self._lines.clear()
        self.side = None

    def entry(self, device: str) -> OnRecord | None:
        """What the gateway has of a device."""
        return self.desk.device(device)

    def sign_as_its_owner(self) -> None:
        """From now on every line to the device on the line goes under its key."""
        side = self.on_the_line
        side.following = False
        side.console.signature = lambda nonce, said: self.desk.signature(
            side.device, nonce, said, following=side.following
        )
        entry = self.entry(side.device)
        side.console.settle = self._see_under_which_key if entry is not None and entry.key_changes else None

    def _see_under_which_key(self) -> None:
        """Find out which of its two keys the device has: it may have the next one, and not have said so yet."""
        side = self.on_the_line
        entry = self.entry(side.device)
        if (
            entry is None or not entry.key_changes
        ):  # the gateway has heard it under the next: that is the one in use
            side.following, side.console.settle = False, None
            return
        for following in (side.following, not side.following):
            if side.console.knows(
                lambda nonce, said, at=following: self.desk.signature(side.device, nonce, said, following=at)  # type: ignore[misc]
            ):
                side.following = following
                return

    def on_this_wearer(self) -> Sequence[Worn]:
        """The activations under this order that have not ended."""
        return self.desk.on_order(self.order.order_id)

    def worn(self, device: str) -> Worn | None:
        """The activation that a device is in now."""
        return self.desk.worn(device)

    # ------------------------------------------------------------------------------------------- time

    def now_ms(self) -> int:
        """Gateway time. Raises Stop where the gateway was not told it."""
        return self.desk.now_ms()

    def patiently(self, span_s: float, every_s: float = 1.0) -> Patience:
        """Ask again and again, for so long."""
        return Patience(time.monotonic() + span_s, every_s)


class Patience:
    """Iterates until time is up, waiting between."""

    def __init__(self, until: float, every_s: float) -> None:
        self._until = until
        self._every_s = every_s
        self._first = True

    def __iter__(self) -> Patience:
        return self

    def __next__(self) -> float:
        """How many seconds are left."""
        if not self._first:
            time.sleep(max(0.0, min(self._every_s, self._until - time.monotonic())))
        left_s = self._until - time.monotonic()
        if left_s <= 0 and not self._first:
            raise StopIteration
        self._first = False
        return max(left_s, 0.0)
