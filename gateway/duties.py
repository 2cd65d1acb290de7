"""Keeps every GPS tag told when and where it may not keep a position waiting (`gateway.at_once`).

What a tag knows is what it acknowledged last; where that is not what its wearer's order asks for any more, or runs
out, a command ``settings`` takes the place of the one before. All of it is made from the store: nothing is lost with
the process, and nothing is said twice. Once the tag is taken off it is told to forget.

What a person set for a tag by hand holds until the tag is next fitted or taken off, or its provisioned value is given
back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.activation import Activation
from core.readings import Outcome
from core.rules import DEFAULT_RULES
from gateway import at_once
from gateway.at_once import Spot, Wanted
from gateway.commands import EXPIRES_MS
from gateway.orders import Orders
from gateway.store import Store, commands, devices, orders, state
from gateway.store.commands import GATEWAY, CommandRow
from gateway.trail import positions_of

log = structlog.get_logger(__name__)

TIMES, PLACES = "at_once_times", "at_once_places"
LOOK_MS = 15 * 60_000
"""How often it is seen whether a tag knows what it should; a change of an order or an activation is seen at once."""
AGAIN_MS: Mapping[int, int] = {Outcome.FAILED: 3_600_000}
"""How long after a tag could not do it, by outcome, it is asked again."""
NEVER_UNDERSTOOD_MS = 86_400_000
"""And after any other outcome: it may have other firmware by then."""
MOST_LOOKS = 100
"""Tags that are seen to at a time, so that nothing else waits for a caseload."""
_LAST_SEEN_MS = 86_400_000


class Duties:
    """Queues what GPS tags are to be told. Used by one thread; ``compiled`` may be shared with others in it.

    ``look`` raises ``sqlalchemy.exc.DBAPIError`` where the store fails; the call can be made again.
    """

    def __init__(
        self,
        store: Store,
        near_m: float,
        timezone: str = DEFAULT_RULES.timezone,
        compiled: Orders | None = None,
    ) -> None:
        self._store = store
        self._near_m = near_m
        self._timezone = timezone
        self._orders = Orders() if compiled is None else compiled
        self._changes = -1
        self._worn: dict[str, tuple[Activation, ...]] = {}
        self._looked_ms: dict[str, int] = {}

    def look(self, now_ms: int, within_s: float = math.inf) -> int:
        """See what tags are to be told at ``now_ms`` (gateway time), and queue it; returns how many commands.

        After ``within_s`` no further tag is looked at: it is the next time's.
        """
        self._refresh()
        due = [
            device
            for device in self._worn
            if device not in self._looked_ms or abs(now_ms - self._looked_ms[device]) >= LOOK_MS
        ]
        due.sort(key=lambda device: self._looked_ms.get(device, -1))
        queued: dict[str, dict[str, Any]] = {}
        seen: list[str] = []
        until_s = time.monotonic() + within_s
        for device in due[:MOST_LOOKS]:
            try:
                change = self._see_to(device, now_ms)
            except DBAPIError:
                raise
            except Exception:
                # one order that this can not deal with must not keep the others from being told
                log.exception("a tag can not be told when to send at once", device=device)
                change = {}
            if change:
                queued[device] = change
            seen.append(device)
            if time.monotonic() > until_s:
                break
        if queued:
            # together: each transaction waits for the disk, and a commit waits for all of them
            with self._store.write() as connection:
                for device, change in queued.items():
                    commands.expire(connection, device, "settings", now_ms, GATEWAY)
                    until_ms = now_ms + EXPIRES_MS["settings"]
                    commands.add(connection, device, "settings", change, now_ms, until_ms)
        self._looked_ms |= dict.fromkeys(seen, now_ms)
        return len(queued)

    def _refresh(self) -> None:
        with self._store.read() as connection:
            changes = state.changes(connection)
            if changes == self._changes:
                return
            kinds = devices.kinds(connection, in_use=True)
            rows = orders.activations(connection)
            readable = {activation.id: activation for activation in self._orders.activations(connection)}
            worn: dict[str, list[Activation]] = {}
            unreadable = set()
            for row in rows:
                if row.id not in readable:
                    unreadable.add(row.device)  # what its tag was told stays
                elif kinds.get(row.device) == "gps_tag":
                    worn.setdefault(row.device, []).append(readable[row.id])
            gone = devices.revoked(connection) | unreadable
            worn = {device: mine for device, mine in worn.items() if device not in gone}
        for device in self._looked_ms.keys() | worn.keys():
            if device not in worn or self._worn.get(device) != tuple(worn[device]):
                self._looked_ms.pop(device, None)
        self._worn = {device: tuple(mine) for device, mine in worn.items()}
        self._changes = changes

    def _see_to(self, device: str, now_ms: int) -> dict[str, Any]:
        """The command that a tag is to be told, {} where there is none."""
        mine = self._worn[device]
        running = [one for one in mine if one.removed_ms is None or one.removed_ms > now_ms]
        with self._store.read() as connection:
            rows = commands.settings_of(connection, device)
            last = self._last_spot(connection, device, running, now_ms)
        wish = at_once.wanted(running, now_ms, self._near_m, self._timezone, last)
        marks = [mark for one in mine for mark in (one.fitted_ms, one.removed_ms) if mark is not None]
        since_ms = max((mark for mark in marks if mark <= now_ms), default=0)
        return _change(rows, wish, since_ms, now_ms)

    def _last_spot(
        self, connection: Connection, device: str, running: Sequence[Activation], now_ms: int
    ) -> Spot | None:
        """Where the tag was last, where that matters."""
        if not at_once.ambiguous(at_once.exclusion_zones(running, now_ms), self._near_m):
            return None
        found = positions_of(
            connection, device, now_ms - _LAST_SEEN_MS, now_ms, unreadable=lambda _stored, _error: None
        )
        if not len(found):
            return None
        at = int(found.t_ms.argmax())
        return float(found.lat[at]), float(found.lon[at])


def _change(rows: Sequence[CommandRow], wish: Wanted, since_ms: int, now_ms: int) -> dict[str, Any]:
    """The command that makes a tag know what it should, {} where it does; ``rows`` are its settings, newest first.

    ``since_ms`` is when it was last fitted or taken off.
    """
    values: dict[str, Any] = {TIMES: wish.times or None, PLACES: wish.places or None}
    same = True
    for key in (TIMES, PLACES):
        row = next((row for row in rows if key in row.arguments and stands(row, now_ms)), None)
        told = tuple(tuple(part) for part in row.arguments[key] or ()) if row is not None else ()
        if row is not None and told and row.given_by != GATEWAY and row.made_at_ms >= since_ms:
            del values[key]
        elif key == TIMES:
            same = same and wish.still_told(told, now_ms) and bool(told) == bool(wish.times)
        else:
            same = same and told == wish.places
    return {} if same or tried_lately(rows, now_ms) else values


def stands(row: CommandRow, now_ms: int) -> bool:
    """Whether a device goes by this command, or will: it is done, or still said."""
    if row.outcome is None:
        return row.expires_at_ms > now_ms
    return row.outcome == Outcome.DONE and not row.lost


def tried_lately(rows: Sequence[CommandRow], now_ms: int) -> bool:
    """Whether a device has lately told that it can not do what the gateway asked last; ``rows``, newest first."""
    last = next((row for row in rows if row.given_by == GATEWAY), None)
    if last is None or last.outcome in (None, Outcome.DONE):
        return False
    return abs(now_ms - last.made_at_ms) < AGAIN_MS.get(last.outcome, NEVER_UNDERSTOOD_MS)
