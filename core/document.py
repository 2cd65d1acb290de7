"""Values taken out of a document that a person or another program wrote, with every problem remembered by its path."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from core.problems import Problem

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Instants of an order lie between these, as those of an activation do."""


class Reader:
    """Takes values out of a document and remembers every problem by its path.

    A value that can not be used is a problem, and comes back as something harmless of its type, so that the rest of
    the document is read too. Nothing that was read may be used once there are ``problems``.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(self, path: str, fact: str, remedy: str) -> None:
        """Remember a problem."""
        self.problems.append(Problem(path, fact, remedy))

    def keys(self, mapping: Mapping[str, object], path: str, *known: str) -> None:
        """Nothing is ignored: a key that is not ``known`` is a problem."""
        for key in mapping:
            if key not in known:
                self.refuse(join(path, str(key)), "this key is not known", f"Known here: {', '.join(known)}.")

    def mapping(self, value: object, path: str) -> Mapping[str, Any] | None:
        """An object."""
        if isinstance(value, Mapping):
            return value
        self.refuse(path, "missing" if value is None else f"{value!r} is not an object", "Give an object.")
        return None

    def text(self, parent: Mapping[str, Any], key: str, path: str) -> str:
        """A text that is not empty."""
        value = parent.get(key)
        if isinstance(value, str) and value.strip():
            return value
        self.refuse(join(path, key), fact(value, "a text"), "Give a text that is not empty.")
        return ""

    def flag(self, parent: Mapping[str, Any], key: str, path: str) -> bool:
        """True or false; false where it is left out."""
        value = parent.get(key, False)
        if isinstance(value, bool):
            return value
        self.refuse(join(path, key), fact(value, "true or false"), "Give true or false.")
        return False

    def number(self, parent: Mapping[str, Any], key: str, path: str, low: float, high: float) -> float:
        """A finite number within bounds."""
        value = parent.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            if low <= value <= high:
                return float(value)
            wrong = f"{value} is out of range"
        else:
            wrong = fact(value, "a number")
        self.refuse(join(path, key), wrong, f"Give a number from {low:g} to {high:g}.")
        return low

    def whole(self, parent: Mapping[str, Any], key: str, path: str, remedy: str, low: int = 1) -> int:
        """A whole number of at least ``low``."""
        value = parent.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value < 1 << 53:
            return value
        self.refuse(join(path, key), fact(value, f"a whole number from {low}"), remedy)
        return low

    def items(self, parent: Mapping[str, Any], key: str, path: str) -> list[Any]:
        """A list with at least one entry."""
        value = parent.get(key)
        if isinstance(value, list | tuple) and value:
            return list(value)
        self.refuse(join(path, key), "missing or empty", "Give a list with at least one entry.")
        return []

    def instant(self, parent: Mapping[str, Any], key: str, path: str) -> int:
        """An instant with its offset from UTC, in UTC ms."""
        value = parent.get(key)
        try:
            when = datetime.fromisoformat(value) if isinstance(value, str) else None
            if when is not None and when.tzinfo is not None and _FIRST <= when.astimezone(UTC) < _LAST:
                return (when.astimezone(UTC) - _FIRST) // timedelta(milliseconds=1)
        except (ValueError, OverflowError):  # year 1 in an eastern zone lies before all dates
            pass
        remedy = "Give an instant with its offset, such as 2026-01-01T00:00:00Z, between 1970 and 2100."
        self.refuse(join(path, key), fact(value, "an instant"), remedy)
        return 0

    def day(self, parent: Mapping[str, Any], key: str, path: str) -> date:
        """A civil date."""
        value = parent.get(key)
        try:
            if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
                return date.fromisoformat(value)
        except ValueError:
            pass
        self.refuse(join(path, key), fact(value, "a date"), "Give a date, such as 2022-06-28.")
        return date(1970, 1, 1)

    def span(
        self, parent: Mapping[str, Any], path: str, first: str, last: str, open_from: int, open_to: int
    ) -> tuple[int, int]:
        """Two instants, the first before the second, in UTC ms; each may be left out for an open end."""
        found = len(self.problems)
        from_ms = self.instant(parent, first, path) if first in parent else open_from
        to_ms = self.instant(parent, last, path) if last in parent else open_to
        if len(self.problems) == found and from_ms >= to_ms:
            self.refuse(
                join(path, last), f"ends at {parent.get(last)}, not after it begins", "Give a later instant."
            )
        return from_ms, to_ms


def join(path: str, key: str) -> str:
    """The path of ``key`` in what stands at ``path``."""
    return f"{path}.{key}" if path else key


def fact(value: object, wanted: str) -> str:
    """What is the matter with a value that is not what was wanted."""
    return "missing" if value is None else f"{value!r} is not {wanted}"
