"""What the commands share: options, who types, the gateway's settings and store, and a refusal in one sentence."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.store import Store

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The gateway's folder (TAGWATCH_DATA_DIR; default ./tagwatch-data)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]
Order = Annotated[str, typer.Argument(help="The order's id, or what the order service calls it.")]
By = Annotated[str, typer.Option(help="Who decides or records it, by name.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would come of it, and change nothing.")]


class Refused(typer.Exit):
    """Ends the command, with one sentence on standard error that says what to do."""

    def __init__(self, error: Exception | str, code: int = 1) -> None:
        typer.secho(f"tagwatch: {error}", err=True, fg=typer.colors.RED)
        super().__init__(code)


@contextmanager
def refusing(*refusals: type[Exception], code: int = 1) -> Iterator[None]:
    """An error of these types within ends the command with what it says, and ``code``."""
    try:
        yield
    except refusals as error:
        raise Refused(error, code) from None


def settings_of(data_dir: Path | None, **overrides: object) -> Settings:
    """The gateway's settings; where they can not be used the command ends."""
    from gateway.settings import Settings, SettingsError

    with refusing(SettingsError):
        return Settings.load(data_dir, **overrides)


@contextmanager
def store_of(settings: Settings, *refusals: type[Exception], code: int = 1) -> Iterator[Store]:
    """The gateway's store, open; what it can not do, and errors of the types ``refusals``, end the command.

    A restore that was cut off is taken to its end before.
    """
    from sqlalchemy.exc import DBAPIError

    from gateway import restore
    from gateway.backup import BackupError
    from gateway.store import Store, StoreError

    with refusing(BackupError, StoreError, *refusals, code=code):
        if restore.interrupted(settings):
            restore.finish_alone(settings)
        store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
        try:
            yield store
        except DBAPIError as error:
            raise Refused(f"the store fails: {error.orig}", code) from None
        finally:
            store.close()


@contextmanager
def opened(data_dir: Path | None, *refusals: type[Exception]) -> Iterator[tuple[Settings, Store]]:
    """Settings and store of a gateway, as ``settings_of`` and ``store_of`` have them."""
    settings = settings_of(data_dir)
    with store_of(settings, *refusals) as store:
        yield settings, store


def said_by_whom_and_why(by: str, reason: str, option: str = "--reason") -> None:
    """Raises Refused where who, or why (``option``), was left empty."""
    for what, said in (("--by", by), (option, reason)):
        if not said.strip():
            raise Refused(f"{what} is empty: who and why is kept with every change")


def logged_in(otherwise: str) -> str:
    """Who types; ``otherwise`` where the system has a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return otherwise


def utc(t_ms: int | None) -> str | None:
    """An instant as people read it, UTC; None where there is none."""
    from gateway.clock import utc_text

    return None if t_ms is None else utc_text(t_ms)


def print_rows(rows: Sequence[Mapping[str, object]], as_json: bool = False) -> None:
    """Rows of the same columns, as a table or as JSON."""
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for name in rows[0] if rows else ("nothing",):
        table.add_column(name)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)
