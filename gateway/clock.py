"""The gateway's clock: one injected object, so that the simulator can own time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ClockError(ValueError):
    """Time can not be set so; the text says why and what to do."""


class Clock(Protocol):
    """Gateway time, UTC milliseconds since 1970. Never mixed with a tag's."""

    def now_ms(self) -> int | None:
        """The present instant; None while nobody has told it."""
        ...

    def stamp(self) -> int:
        """Now, in a form that stays right when time is put right: for `at`."""
        ...

    def at(self, stamp: int) -> int:
        """The instant of a stamp, as known now; 0 where nobody had told the time."""
        ...

    @property
    def certain(self) -> bool:
        """Is it the present, so that others may set their clocks by it?"""
        ...


class SteppedClock:
    """A clock that stands until it is told the time; it never goes back."""

    def __init__(self, now_ms: int | None = None) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int | None:
        """The instant it was told last."""
        return self._now_ms

    def stamp(self) -> int:
        """The instant itself: it never proves wrong."""
        return self._now_ms or 0

    def at(self, stamp: int) -> int:
        """The same."""
        return stamp

    @property
    def certain(self) -> bool:
        """Between its steps it stands behind the tags' clocks."""
        return False

    def advance(self, t_ms: int) -> None:
        """It is ``t_ms`` now. Raises ClockError where that lies before the present."""
        if self._now_ms is not None and t_ms < self._now_ms:
            raise ClockError(
                f"time can not go back from {utc_text(self._now_ms)} to {utc_text(t_ms)}: advance to a later instant"
            )
        self._now_ms = t_ms


def utc_text(t_ms: int) -> str:
    """An instant as people read it: ``2026-01-01T00:00:00Z``, fractions of a second cut off."""
    instant = _EPOCH + timedelta(milliseconds=t_ms)
    return instant.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def utc_ms(instant: datetime) -> int:
    """Milliseconds since 1970; an instant without a zone is UTC."""
    aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
