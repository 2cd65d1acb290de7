"""Commands to devices: what was commanded, until when, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, or_, select, update

from gateway.store import state
from gateway.store.tables import command

GATEWAY = "gateway"
"""Who gives what no person gave."""
HEARING = ("hear", "unhear")
"""The commands about which tags a home unit hears."""


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One command. ``reading`` is the (epoch, number) that acknowledged it, with its outcome; None while open.

    ``given_by`` is who gave it, `GATEWAY` where no person did, "" where that is not known. ``lost``: the device can not
    read any more what it set.
    """

    device: str
    generation: int
    n: int
    name: str
    arguments: dict[str, Any]
    made_at_ms: int
    expires_at_ms: int
    reading: tuple[int, int] | None = None
    outcome: int | None = None
    given_by: str = ""
    lost: bool = False


class Answer(NamedTuple):
    """A command record that a device sent."""

    device: str
    generation: int
    n: int
    epoch: int
    seq: int
    outcome: int


class Loss(NamedTuple):
    """A device's word that what it keeps could not be read, or that its journal has begun anew."""

    device: str
    epoch: int
    seq: int


def add(
    connection: Connection,
    device: str,
    name: str,
    arguments: Mapping[str, Any],
    made_at_ms: int,
    expires_at_ms: int,
    given_by: str = GATEWAY,
) -> int:
    """Write a command of the store's generation, and tell the other processes; returns its number."""
    generation = state.generation(connection)
    last = connection.execute(
        select(func.max(command.c.n)).where(command.c.device == device, command.c.generation == generation)
    ).scalar()
    n = (last or 0) + 1
    connection.execute(
        insert(command).values(
            device=device,
            generation=generation,
            n=n,
            name=name,
            arguments=json.dumps(arguments, separators=(",", ":")),
            made_at_ms=made_at_ms,
            expires_at_ms=expires_at_ms,
            given_by=given_by,
        )
    )
    state.note_command(connection)
    return n


def expire(connection: Connection, device: str, name: str, at_ms: int, given_by: str | None = None) -> None:
    """Say the open commands of this name, or those that one gave, no more from ``at_ms`` on; the outbox is told."""
    mine = update(command).where(
        command.c.device == device,
        command.c.name == name,
        command.c.outcome.is_(None),
        command.c.expires_at_ms > at_ms,
    )
    if given_by is not None:
        mine = mine.where(command.c.given_by == given_by)
    connection.execute(mine.values(expires_at_ms=at_ms))
    state.note_command(connection)


def say_no_more(connection: Connection, row: CommandRow, at_ms: int) -> None:
    """Say one open command no more from ``at_ms`` on, and tell the other processes."""
    connection.execute(update(command).where(*_this(row)).values(expires_at_ms=at_ms))
    state.note_command(connection)


def drop(connection: Connection, row: CommandRow) -> None:
    """Forget one command; an answer to it is passed over. No number is given twice where it is not the last."""
    connection.execute(delete(command).where(*_this(row)))


def _this(row: CommandRow) -> tuple[ColumnElement[bool], ...]:
    return command.c.device == row.device, command.c.generation == row.generation, command.c.n == row.n


def prune(connection: Connection, device: str, name: str, at_ms: int) -> None:
    """Drop the commands of this name that are answered or expired, but the newest: what they told is of no use later.

    No number is given twice by that: the highest of the generation either has another name, or is kept.
    """
    generation = state.generation(connection)
    mine = (command.c.device == device, command.c.name == name)
    last = connection.execute(
        select(func.max(command.c.n)).where(*mine, command.c.generation == generation)
    ).scalar()
    connection.execute(
        delete(command).where(
            *mine,
            or_(command.c.outcome.is_not(None), command.c.expires_at_ms <= at_ms),
            or_(command.c.generation != generation, command.c.n != (last or 0)),
        )
    )


def lose(connection: Connection, losses: Sequence[Loss]) -> None:
    """Note that devices have lost what was set before. To be called after `acknowledge` of the same readings."""
    lasting = ("settings", *HEARING)
    for loss in losses:
        connection.execute(
            update(command)
            .where(
                command.c.device == loss.device,
                command.c.name.in_(lasting),
                command.c.outcome == 0,
                or_(command.c.epoch != loss.epoch, command.c.seq < loss.seq),
            )
            .values(lost=True)
        )


def acknowledge(connection: Connection, answers: Sequence[Answer]) -> None:
    """Note what came of commands; the first answer to each counts, one to an unknown command is passed over."""
    for answer in answers:
        connection.execute(
            update(command)
            .where(
                command.c.device == answer.device,
                command.c.generation == answer.generation,
                command.c.n == answer.n,
                command.c.outcome.is_(None),
            )
            .values(epoch=answer.epoch, seq=answer.seq, outcome=answer.outcome)
        )


def first_open(
    connection: Connection, now_ms: int, devices: Sequence[str] | None = None
) -> dict[str, CommandRow]:
    """For each device, or those named, the command to be said: the lowest open number of the store's generation."""
    open_now = (
        select(command)
        .where(
            command.c.outcome.is_(None),
            command.c.expires_at_ms > now_ms,
            command.c.generation == state.generation(connection),
        )
        .order_by(command.c.device, command.c.n)
    )
    if devices is not None:
        open_now = open_now.where(command.c.device.in_(devices))
    found: dict[str, CommandRow] = {}
    for row in connection.execute(open_now):
        found.setdefault(row.device, _row(row))
    return found


def of_device(connection: Connection, device: str) -> list[CommandRow]:
    """Every command to a device, newest first."""
    rows = select(command).where(command.c.device == device)
    newest = rows.order_by(command.c.generation.desc(), command.c.n.desc())
    return [_row(row) for row in connection.execute(newest)]


def settings_of(connection: Connection, device: str, most: int = 100) -> list[CommandRow]:
    """The commands of the store's generation that were to change a device's settings, newest first."""
    rows = select(command).where(
        command.c.device == device,
        command.c.name == "settings",
        command.c.generation == state.generation(connection),
    )
    return [_row(row) for row in connection.execute(rows.order_by(command.c.n.desc()).limit(most))]


def hearing_of(connection: Connection, device: str) -> list[CommandRow]:
    """The commands of the store's generation about which tags a home unit hears, newest first."""
    rows = select(command).where(
        command.c.device == device,
        command.c.name.in_(HEARING),
        command.c.generation == state.generation(connection),
    )
    return [_row(row) for row in connection.execute(rows.order_by(command.c.n.desc()))]


def _row(row: Row[Any]) -> CommandRow:
    return CommandRow(
        row.device,
        row.generation,
        row.n,
        row.name,
        json.loads(row.arguments),
        row.made_at_ms,
        row.expires_at_ms,
        None if row.seq is None else (row.epoch, row.seq),
        row.outcome,
        row.given_by,
        row.lost,
    )
