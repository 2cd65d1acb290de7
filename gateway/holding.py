"""Legal holds: what must not be deleted, whoever's period is over."""

from __future__ import annotations

from sqlalchemy import select

from gateway.clock import utc_text
from gateway.store import Store, erasures
from gateway.store.erasures import SCOPES
from gateway.store.tables import activation, alert, device, order_version

_NAMES = {
    "order": order_version.c.order_id,
    "activation": activation.c.id,
    "device": device.c.id,
    "alert": alert.c.number,
}


class HoldError(ValueError):
    """A hold that can not be placed or lifted; the text says why and what to do."""


def place(
    store: Store, scope: str, name: str, who: str, why: str, now_ms: int, until_ms: int | None = None
) -> int:
    """Nothing of ``name`` is deleted until ``until_ms``, or until the hold is lifted; returns its number.

    Whatever is being deleted at this moment, the next batch sees it. Raises HoldError where it names nothing that is
    here, nobody or no reason.
    """
    if scope not in SCOPES:
        raise HoldError(f"{scope!r} can not be held: give one of {', '.join(SCOPES)}")
    if not who.strip() or not why.strip():
        raise HoldError("a hold needs --who and --why: somebody has to be asked whether it is still wanted")
    if until_ms is not None and until_ms <= now_ms:
        raise HoldError(f"{utc_text(until_ms)} is over: give a later instant, or none")
    if scope == "alert" and not name.isdecimal():
        raise HoldError(f"{name!r} is no alert's number")
    if scope == "everything" and name:
        raise HoldError("everything has no name: leave it out")
    with store.write() as connection:
        if scope != "everything":
            wanted = int(name) if scope == "alert" else name
            if connection.execute(select(1).where(_NAMES[scope] == wanted).limit(1)).first() is None:
                raise HoldError(f"there is no {scope} {name} here")
        return erasures.add_hold(connection, scope, name, who, why, now_ms, until_ms)


def lift(store: Store, number: int, by: str, now_ms: int) -> None:
    """End a hold. Raises HoldError where there is none of that number, or it was lifted before."""
    with store.write() as connection:
        if not erasures.lift_hold(connection, number, by, now_ms):
            raise HoldError(
                f"there is no hold {number}, or it was lifted before: `tagwatch retention holds` tells"
            )
