"""Every look is logged: who saw what about whom, and when (law 10).

This is the seam for sign-in and audit. Routes that show a person's data take a `Viewer` by ``Depends(viewer)`` and tell
`audit` what they are about to show, before they show it: a look that can not be recorded is not given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request

from gateway.web.book import AlertRecord


@dataclass(frozen=True)
class Viewer:
    """Who looks. ``name`` is what the audit keeps."""

    name: str


@dataclass(frozen=True)
class Look:
    """What was shown: ``view`` names the page or call, ``shown`` the alerts as (number, revision), which says word for
    word what was seen; ``activations`` about whom.
    """

    view: str
    shown: Sequence[tuple[int, int]]
    activations: Sequence[str]


class LookNotRecordedError(Exception):
    """The look could not be written down, so it must not happen."""


class Looks(Protocol):
    """Where looks are written."""

    def record(self, viewer: Viewer, look: Look) -> None:
        """Write one look with the present time. Raises LookNotRecordedError if it can not be kept."""
        ...


def viewer(request: Request) -> Viewer:
    """Who makes this request. Without sign-in that is somebody on this machine: the page is loopback only."""
    return Viewer("local")


def audit(request: Request, who: Viewer, view: str, alerts: Iterable[AlertRecord]) -> None:
    """Record that ``who`` is shown ``alerts``; nothing is written when there is nobody on the page."""
    all_shown = list(alerts)
    if not all_shown:
        return
    looks: Looks = request.app.state.looks
    shown = [(alert.number, alert.revision) for alert in all_shown]
    activations = sorted({alert.activation for alert in all_shown if alert.activation is not None})
    looks.record(who, Look(view, shown, activations))


ViewerNow = Annotated[Viewer, Depends(viewer)]
