"""A problem with something a person wrote: where it is, what is the matter, what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in a document.

    ``path`` leads to it (``conditions[0].zone.coordinates[0][3]``), ``fact`` says what is there, ``remedy`` what
    would be right.
    """

    path: str
    fact: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.fact}. {self.remedy}"


class Problems(ValueError):  # noqa: N818 -- read as "these problems"; the errors derived from it say Error
    """A document refused, with every problem found in it (``problems``), not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))
