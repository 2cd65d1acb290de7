"""Keeps every home unit told which tags it is to hear: those of the wearers for whom it is installed.

What a unit hears is what it acknowledged last of each tag; where that is not what the installations ask for, a command
``hear`` or ``unhear`` is queued. Tags that it was provisioned with, and that no installation was ever about, are left
alone. All of it is made from the store, as `gateway.duties` does it for GPS tags: nothing is lost with the process.

What a person commands holds until the unit is next installed for the wearer of that tag, or taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from gateway.commands import EXPIRES_MS, HEAR, UNHEAR
from gateway.duties import LOOK_MS, stands, tried_lately
from gateway.installations import HOME_UNIT
from gateway.register import WITHOUT_LINK
from gateway.store import Store, commands, device_keys, devices, installations, orders, state
from gateway.store.commands import GATEWAY, CommandRow


@dataclass(frozen=True, slots=True)
class _Spell:
    """From when to when a unit is to hear a tag: installed, and the tag worn."""

    tag: str
    from_ms: int
    until_ms: int | None

    def wanted(self, now_ms: int) -> bool:
        """From when it is known, so that the unit hears it from the first moment."""
        return self.until_ms is None or now_ms < self.until_ms


class Ears:
    """Queues which tags home units are to hear. Used by one thread.

    ``look`` raises ``sqlalchemy.exc.DBAPIError`` where the store fails; the call can be made again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes = -1
        self._units: dict[str, tuple[_Spell, ...]] = {}
        self._looked_ms: dict[str, int] = {}

    def look(self, now_ms: int) -> int:
        """See what units are to be told at ``now_ms`` (gateway time), and queue it; returns how many commands."""
        self._refresh()
        queued = 0
        for unit, spells in self._units.items():
            if unit in self._looked_ms and abs(now_ms - self._looked_ms[unit]) < LOOK_MS:
                continue
            queued += self._see_to(unit, spells, now_ms)
            self._looked_ms[unit] = now_ms
        return queued

    def _refresh(self) -> None:
        with self._store.read() as connection:
            changes = state.changes(connection)
            if changes == self._changes:
                return
            kinds = devices.kinds(connection, in_use=True)
            gone = devices.revoked(connection)
            worn = {row.id: row for row in orders.activations(connection)}
            units: dict[str, list[_Spell]] = {}
            for one in installations.every(connection):
                activation = worn.get(one.activation)
                if activation is None or kinds.get(activation.device) != WITHOUT_LINK:
                    continue
                if kinds.get(one.unit) != HOME_UNIT or one.unit in gone:
                    continue
                ends = [end for end in (one.removed_ms, activation.removed_ms) if end is not None]
                if activation.device in gone:
                    ends.append(0)
                spell = _Spell(activation.device, one.installed_ms, min(ends, default=None))
                units.setdefault(one.unit, []).append(spell)
        for unit in list(self._looked_ms):
            if self._units.get(unit) != tuple(units.get(unit, ())):
                del self._looked_ms[unit]
        self._units = {unit: tuple(spells) for unit, spells in units.items()}
        self._changes = changes

    def _see_to(self, unit: str, spells: Sequence[_Spell], now_ms: int) -> int:
        with self._store.read() as connection:
            rows = commands.hearing_of(connection, unit)
            changed_ms = device_keys.changed_ms(connection)
        changes = [
            change
            for tag in sorted({spell.tag for spell in spells})
            if (
                change := _change(
                    tag,
                    [spell for spell in spells if spell.tag == tag],
                    rows,
                    changed_ms.get(tag, 0),
                    now_ms,
                )
            )
        ]
        if not changes:
            return 0
        # first those that make room
        changes.sort(key=lambda change: change[0] == HEAR)
        with self._store.write() as connection:
            for name, tag in changes:
                _queue(connection, unit, name, tag, rows, now_ms)
        return len(changes)


def _change(
    tag: str, spells: Sequence[_Spell], rows: Sequence[CommandRow], changed_ms: int, now_ms: int
) -> tuple[str, str] | None:
    """The command that makes a unit hear a tag, or hear it no longer; None where it does as it should.

    What it was told before ``changed_ms`` was about another key of that tag.
    """
    mine = [
        row
        for row in rows
        if row.arguments["tag"] == tag and (row.name != HEAR or row.made_at_ms >= changed_ms)
    ]
    wanted = any(spell.wanted(now_ms) for spell in spells)
    marks = [mark for spell in spells for mark in (spell.from_ms, spell.until_ms) if mark is not None]
    since_ms = max((mark for mark in marks if mark <= now_ms), default=0)
    told = next((row for row in mine if stands(row, now_ms)), None)
    if told is not None:
        if (told.name == HEAR) == wanted:
            return None
        if told.given_by != GATEWAY and told.made_at_ms >= since_ms:
            return None
    if tried_lately(mine, now_ms):
        return None
    return (HEAR if wanted else UNHEAR), tag


def _queue(
    connection: Connection, unit: str, name: str, tag: str, rows: Sequence[CommandRow], now_ms: int
) -> None:
    unanswered = [row for row in rows if row.arguments["tag"] == tag and row.outcome is None]
    for row in unanswered:
        if row.expires_at_ms > now_ms:
            commands.say_no_more(connection, row, now_ms)
    commands.add(connection, unit, name, {"tag": tag}, now_ms, now_ms + EXPIRES_MS[name])
    for row in unanswered:
        # a unit that lies in a cupboard is told week after week
        if row.expires_at_ms <= now_ms and row.given_by == GATEWAY:
            commands.drop(connection, row)
