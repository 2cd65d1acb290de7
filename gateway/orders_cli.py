"""The commands about orders as they come in: `tagwatch order client`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.store import Store

client_app = typer.Typer(help="Order services: who may send orders over HTTP.", no_args_is_help=True)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The gateway's folder (TAGWATCH_DATA_DIR; default ./tagwatch-data)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]
Name = Annotated[str, typer.Argument(help="What it is called: 2 to 64 small letters, digits, dots, hyphens.")]


def register(order_app: typer.Typer) -> None:
    """Add these commands to `tagwatch order`."""
    order_app.add_typer(client_app, name="client")


@client_app.command("add")
def client_add(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let an order service send orders. Its credentials are shown now and never again."""
    from gateway.gateway_time import now
    from gateway.orders import clients

    with _opened(data_dir, clients.ClientError) as (settings, store):
        made = clients.add(store, name, now(store, settings.clock).ms)
    said = {
        "client_id": made.client_id,
        "client_secret": made.client_secret,
        "username": made.username,
        "password": made.password,
    }
    if as_json:
        typer.echo(json.dumps(said))
        return
    for key, value in said.items():
        typer.echo(f"{key:14} {value}")
    typer.echo("They are shown only now: the gateway keeps hashes of them.")


@client_app.command("list")
def client_list(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the order services."""
    from gateway.clock import utc_text
    from gateway.store import order_clients

    with _opened(data_dir) as (_, store), store.read() as connection:
        known = order_clients.every(connection)
    rows = [
        {
            "name": one.name,
            "added": utc_text(one.added_at_ms),
            "revoked": None if one.revoked_at_ms is None else utc_text(one.revoked_at_ms),
        }
        for one in known
    ]
    _print(rows, as_json)


@client_app.command("revoke")
def client_revoke(name: Name, data_dir: DataDir = None) -> None:
    """Take nothing more from an order service, from this moment on. This can not be undone."""
    from gateway.gateway_time import now
    from gateway.orders import clients

    with _opened(data_dir, clients.ClientError) as (settings, store):
        clients.revoke(store, name, now(store, settings.clock).ms)
    typer.echo(f"{name} is revoked")


@contextmanager
def _opened(data_dir: Path | None, *refusals: type[Exception]) -> Iterator[tuple[Settings, Store]]:
    from gateway.settings import Settings, SettingsError
    from gateway.store import Store, StoreError

    try:
        settings = Settings.load(data_dir)
        store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
        try:
            yield settings, store
        finally:
            store.close()
    except Exception as error:
        if not isinstance(error, (SettingsError, StoreError, *refusals)):
            raise
        typer.secho(f"tagwatch: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        typer.echo("none")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)
