"""`tagwatch visits`: which visits are planned, for whom, and what has to be known before the door."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from gateway.command_line import AsJson, DataDir, Refused, logged_in, opened, refusing

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.store import Store
    from gateway.visit_list import Planned, VisitList

PASSPHRASE = "TAGWATCH_PASSPHRASE"
"""In which the environment may hold the passphrase of a file that is taken along."""
visits_app = typer.Typer(
    help="Visits: plan them, and see before the door what has to be known.", no_args_is_help=True
)

By = Annotated[
    str | None,
    typer.Option("--by", help="Your name: each look is recorded with it; left out: who is logged in."),
]
Sheet = Annotated[Path, typer.Argument(help="The file that is taken along.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(visits_app, name="visits")


@visits_app.command("plan")
def plan(
    order: Annotated[str, typer.Argument(help="The order of the wearer.")],
    at: Annotated[
        datetime,
        typer.Option(help="When, by the clock on the wall.", formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]),
    ],
    officer: Annotated[str, typer.Option(help="Who goes there.")],
    purpose: Annotated[str, typer.Option("--for", help="fit, check, remove or swap.")] = "fit",
    note: Annotated[str, typer.Option(help="What else to know, in few words.")] = "",
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Plan a visit. It leaves the list when it was made, or a day after its time."""
    from gateway.orders.meaning import TIMEZONE
    from gateway.store import orders
    from gateway.visit_list import PURPOSES

    if purpose not in PURPOSES:
        raise typer.BadParameter(f"--for {purpose!r} is none of {', '.join(PURPOSES)}")
    at_ms = int(at.replace(tzinfo=ZoneInfo(TIMEZONE)).timestamp() * 1000)
    with opened(data_dir) as (settings, store), _sealed():
        now_ms = _now_ms(settings, store)
        with store.read() as connection:
            if not orders.versions(connection, order):
                raise Refused(f"order {order} is not known: see `tagwatch order list`")
        made = _list(settings).add(order, at_ms, officer, purpose, note, _named(by), now_ms)
    typer.echo(json.dumps(_row(made)) if as_json else f"visit {made.id} is planned: {_line(made)}")


@visits_app.command("list")
def visit_list(
    officer: Annotated[str | None, typer.Option(help="Only this one's visits.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Not only tonight's.")] = False,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List tonight's visits: who, where, and what has to be known before the door. The look is recorded."""
    with opened(data_dir) as (settings, store), _sealed():
        rows = _looked_at(settings, store, officer, everything, _named(by), "visits list")
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    _print(rows)


@visits_app.command("cancel")
def cancel(
    visit: Annotated[str, typer.Argument(help="The visit's id, as the list has it.")],
    data_dir: DataDir = None,
) -> None:
    """Take a visit off the list."""
    with opened(data_dir) as (settings, store), _sealed():
        gone = _list(settings).cancel(visit, _now_ms(settings, store))
    if gone is None:
        raise Refused(f"no visit {visit} is planned: see `tagwatch visits list --all`")
    typer.echo(f"visit {visit} is planned no longer: {_line(gone)}")


@visits_app.command("take")
def take(
    file: Sheet,
    officer: Annotated[str, typer.Option(help="Whose visits.")],
    by: By = None,
    data_dir: DataDir = None,
) -> None:
    """Write an officer's visits of tonight to a file under a passphrase, for a computer that is taken along."""
    from gateway.fitting import sheet

    if file.exists():
        raise Refused(f"{file} is there already: name another file, or delete it")
    with opened(data_dir) as (settings, store), _sealed():
        now_ms = _now_ms(settings, store)
        name = _named(by)
        mine = [
            one for one in _list(settings).every(now_ms) if one.officer == officer and one.tonight(now_ms)
        ]
        if not mine:
            raise Refused(f"{officer} has no visit tonight: see `tagwatch visits list --all`")
        passphrase = _passphrase(twice=True)
        rows = _looked_at(settings, store, officer, False, name, f"visits take, for {officer}")
        until_ms = max(one.at_ms for one in mine) + sheet.AFTER_LAST_MS
        with refusing(OSError):
            sheet.write(file, sheet.Sheet(officer, name, now_ms, until_ms, rows), passphrase)
    typer.echo(
        f"{len(rows)} visits lie in {file}: `tagwatch visits open {file}` shows them, and the passphrase"
    )


@visits_app.command("open")
def open_file(file: Sheet, by: By = None, as_json: AsJson = False) -> None:
    """Show a file that was taken along. The look is written into it; past its time it is wiped."""
    from gateway.fitting import sheet

    name = _named(by)
    with refusing(sheet.SheetError, OSError):
        found = sheet.look(file, _passphrase(), name, time.time_ns() // 1_000_000)
    if as_json:
        typer.echo(json.dumps(list(found.visits), ensure_ascii=False))
        return
    _print(found.visits)


@visits_app.command("return")
def give_back(file: Sheet, data_dir: DataDir = None) -> None:
    """Take the looks of a file that comes back into the gateway's log of looks, and wipe the file."""
    from gateway.fitting import sheet
    from gateway.store import looks
    from gateway.whole_files import wipe

    with opened(data_dir) as (_, store), refusing(sheet.SheetError, OSError):
        found = sheet.read(file, _passphrase())
        about = ", ".join(dict.fromkeys(one["order"] for one in found.visits))
        with store.write() as connection:
            for at_ms, who in found.looks:
                looks.add(connection, at_ms, who, f"visits open, of {found.officer}", orders=about)
        wipe(file)
    typer.echo(f"{len(found.looks)} looks are recorded, and {file} is wiped")


def _looked_at(
    settings: Settings, store: Store, officer: str | None, everything: bool, by: str, view: str
) -> list[dict[str, Any]]:
    """The visits as they are shown; a look that can not be recorded is not given."""
    from core.order import OrderError, order_from_json
    from gateway.fitting import sheet
    from gateway.fitting.doorstep import doorstep_of
    from gateway.orders.told import conditions_told
    from gateway.store import looks, orders

    now_ms = _now_ms(settings, store)
    found = [
        one
        for one in _list(settings).every(now_ms)
        if officer in (None, one.officer) and (everything or one.tonight(now_ms))
    ]
    rows = []
    with store.write() as connection:
        for one in found:
            who = doorstep_of(connection, one.order_id, now_ms)
            if who is None:
                rows.append({**_row(one), "wearer": "the order is not here any more"})
                continue
            try:
                newest = orders.versions(connection, one.order_id)[-1]
                conditions = conditions_told(order_from_json(json.loads(newest.document)))
            except OrderError as error:
                conditions = [f"can not be read: {error}"]
            rows.append(sheet.told(one, who, conditions))
        about = ", ".join(dict.fromkeys(one.order_id for one in found))
        looks.add(connection, now_ms, by, view, orders=about)
    return rows


def _list(settings: Settings) -> VisitList:
    from gateway.authority import Authority
    from gateway.visit_list import VisitList

    return VisitList(settings.data_dir, Authority.of(settings).vault)


def _sealed() -> Any:
    from gateway.seal import SealError

    return refusing(SealError)


def _now_ms(settings: Settings, store: Store) -> int:
    from gateway import gateway_time

    return gateway_time.now(store, settings.clock).ms


def _named(by: str | None) -> str:
    name = (by or logged_in("")).strip()
    if not name:
        raise Refused("say who looks, with --by and your name: each look is recorded")
    return name


def _passphrase(*, twice: bool = False) -> str:
    from gateway.fitting.sheet import passphrase_problem

    given = os.environ.get(PASSPHRASE)
    if given is None and sys.stdin.isatty():
        given = getpass.getpass("Passphrase: ")
        if twice and getpass.getpass("The same again: ") != given:
            raise Refused("these are two passphrases: type the command again")
    elif given is None:
        given = sys.stdin.readline().rstrip("\n")
    problem = passphrase_problem(given) if twice else ""
    if problem:
        raise Refused(problem)
    return given


def _row(one: Planned) -> dict[str, Any]:
    from gateway.orders.told import local

    return {
        "visit": one.id,
        "at": local(one.at_ms),
        "for": one.purpose,
        "officer": one.officer,
        "order": one.order_id,
        "note": one.note,
    }


def _line(one: Planned) -> str:
    row = _row(one)
    return f"{row['at']}, {row['for']} order {row['order']}, {row['officer']}"


def _print(rows: Any) -> None:
    for row in rows:
        typer.secho(f"{row['at']}  {row['for']}  order {row['order']}  ({row['visit']})", bold=True)
        for name, value in row.items():
            if name in ("at", "for", "order", "visit"):
                continue
            for line in value if isinstance(value, list) else [value]:
                alarm = typer.colors.YELLOW if name == "risk" and line != "nothing told" else None
                typer.secho(f"      {name + ':':24}{line}", fg=alarm)
    if not rows:
        typer.echo("none")
