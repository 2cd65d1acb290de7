"""Every look is logged: who saw what about whom, and when (law 10).

Routes that show a person's data take a `Viewer` by ``Depends(viewer)`` and tell
`audit` what they are about to show, before they show it: a look that can not be recorded is not given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request

from gateway.users import who_may
from gateway.web.book import AlertRecord
from gateway.web.signed_in import asked, signed_in


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


class Looks(Protocol):
    """Where looks are written."""

    def record(self, viewer: Viewer, look: Look) -> None:
        """Write one look with the present time. Raises LookNotRecordedError if it can not be kept."""
        ...


def viewer(request: Request) -> Viewer:
    """Who makes this request, and may look. Where nobody has to sign in that is somebody on this machine."""
    if asked(request).person is None:
        return Viewer("local")  # the door has let nobody else through
    return Viewer(signed_in(*who_may("look"))(request).name)


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
