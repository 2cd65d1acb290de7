"""Commands to devices: what was commanded, until when, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select, update

from gateway.store import state
from gateway.store.tables import command


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One command. ``reading`` is the (epoch, number) that acknowledged it, with its outcome; None while open."""

    device: str
    generation: int
    n: int
    name: str
    arguments: dict[str, Any]
    made_at_ms: int
    expires_at_ms: int
    reading: tuple[int, int] | None = None
    outcome: int | None = None


class Answer(NamedTuple):
    """A command record that a device sent."""

    device: str
    generation: int
    n: int
    epoch: int
    seq: int
    outcome: int


def add(
    connection: Connection,
    device: str,
    name: str,
    arguments: Mapping[str, Any],
    made_at_ms: int,
    expires_at_ms: int,
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
        )
    )
    state.note_command(connection)
    return n


def expire(connection: Connection, device: str, name: str, at_ms: int) -> None:
    """Say the open commands of this name no more from ``at_ms`` on."""
    connection.execute(
        update(command)
        .where(
            command.c.device == device,
            command.c.name == name,
            command.c.outcome.is_(None),
            command.c.expires_at_ms > at_ms,
        )
        .values(expires_at_ms=at_ms)
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
    )
