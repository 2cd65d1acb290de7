"""What a step of a visit is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.fitting.context import Context
from gateway.fitting.journal import Facts


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``lasting``: once it was done in this visit, and for this device, it is not done again.

    ``changes`` is False where it only looks: then a dry run does it too. ``before_bound``: not done any more once the
    activation is made.
    """

    name: str
    doing: str
    act: Callable[[Context], Facts]
    told: Callable[[Facts], str]
    changes: bool = True
    lasting: bool = False
    before_bound: bool = False
    only_known: bool = False
    """In a dry run: needs a device that has its identity."""
