"""Who may ask what a visit asks, how fast and how much at a time; each request sits at the gateway's desk.

What is asked is recorded with who asks it before it is answered; what the desk can not do becomes a problem.
"""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from gateway import logs, users
from gateway.sign_in import Person
from gateway.store import Store, looks
from gateway.users import who_may
from gateway.web.book import StoreUnreadableError
from gateway.web.problems import ProblemError
from gateway.web.routes.fitting.messages import Place
from gateway.web.signed_in import address_of, signed_in

if TYPE_CHECKING:
    from gateway.fitting.local_desk import LocalDesk

OPERATOR = "call the gateway's operator"
MOST_BYTES = 1 << 19
"""Of a request; the longest is the record of a visit."""
BURST, EVERY_S = 400, 0.1
"""So many requests an officer may make at once, then ten a second: a visit makes two in each second at the most."""
_AHEAD_MS = 366 * users.DAY_MS
_BACK_MS = 31 * users.DAY_MS
"""How far from now a fitting or removal may be told to have been: a visit that is finished late, a release to come."""


class Pace:
    """How fast each officer may ask. Safe to use from several threads."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._guard = threading.Lock()

    def wait_s(self, who: str, now_s: float) -> float:
        """Count a request: 0.0 where it may be answered, else how long to wait."""
        with self._guard:  # there are as many entries as officers
            full_at = max(self._full_at.get(who, now_s), now_s)
            wait_s = full_at - now_s - (BURST - 1) * EVERY_S
            if wait_s <= 0:
                self._full_at[who] = full_at + EVERY_S
            return max(wait_s, 0.0)


def _officer(request: Request, who: Annotated[Person, Depends(signed_in(*who_may("fit")))]) -> Person:
    pace: Pace = request.app.state.pace
    wait_s = pace.wait_s(who.name, time.monotonic())
    if wait_s > 0:
        raise ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS, "too-fast", "This officer asks too often.", "wait a second"
        )
    return who


Officer = Annotated[Person, Depends(_officer)]


def sized(request: Request) -> None:
    """Refuse what is too large, or does not say how large it is, before it is read."""
    size = request.headers.get("content-length", "")
    if not size.isascii() or not size.isdigit() or int(size[:12]) > MOST_BYTES:
        detail = f"A request says its length, and has at most {MOST_BYTES} bytes."
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-much", detail)


@contextmanager
def sitting(request: Request, who: Person, doing: str, **about: str) -> Iterator[LocalDesk]:
    """The gateway's desk for one request, which is recorded first; what it can not do becomes a problem."""
    from gateway.fitting.local_desk import LocalDesk  # a page that no officer asks starts without all this
    from gateway.fitting.stops import Stop
    from gateway.seal import SealError

    store: Store = request.app.state.store
    try:
        with store.write() as connection:
            looks.add(
                connection,
                users.present_ms(connection),
                who.name,
                f"fitting: {doing}",
                address=address_of(request),
                **about,
            )
        yield LocalDesk(request.app.state.settings, store, who.full_name)
    except Stop as stop:
        raise ProblemError(HTTPStatus.CONFLICT, "visit-stops", stop.fact, stop.remedy) from None
    except (SealError, OSError) as error:
        raise StoreUnreadableError(logs.safe(error)) from error


@contextmanager
def sitting_quietly(request: Request) -> Iterator[LocalDesk]:
    """The same without a note."""
    from gateway.fitting.local_desk import LocalDesk

    yield LocalDesk(request.app.state.settings, request.app.state.store)


def place_of(desk: LocalDesk) -> Place:
    """As it is told."""
    found = desk.place()
    return Place(
        host=found.host,
        port=found.port,
        server_name=found.server_name,
        tls=found.tls,
        authority=b64encode(found.authority).decode(),
        changing=found.changing,
    )


def not_anothers(desk: LocalDesk, device: str, order_id: str) -> None:
    """A device that somebody wears is for visits to that wearer alone."""
    from gateway.fitting.stops import Stop

    found = desk.worn(device)
    if found is not None and found.order_id != order_id:
        raise Stop(f"{device} is on another wearer on record", "take another one")


def about_now(desk: LocalDesk, at_ms: int) -> None:
    """A fitting or removal is told of that day, or of one that is not far from it."""
    from gateway.fitting.stops import Stop

    now_ms = desk.now_ms()
    if not now_ms - _BACK_MS <= at_ms <= now_ms + _AHEAD_MS:
        raise Stop(
            "the time of the fitting or removal lies too far from now",
            "set this computer's clock, or have the gateway's operator record it",
        )
