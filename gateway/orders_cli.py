"""The commands about orders as they come in: who sends them, what they mean, and what waits for a person."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.command_line import AsJson, DataDir, Order, logged_in, opened

client_app = typer.Typer(help="Order services: who may send orders over HTTP.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What it is called: 2 to 64 small letters, digits, dots, hyphens.")]


def register(order_app: typer.Typer) -> None:
    """Add these commands to `tagwatch order`."""
    order_app.add_typer(client_app, name="client")
    order_app.command("list")(order_list)
    order_app.command("show")(order_show)
    order_app.command("tasks")(order_tasks)
    order_app.command("done")(order_done)


def order_list(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the orders, newest version first: what is NOT MONITORED, and how many tasks wait."""
    from gateway.gateway_time import unsure_from_ms
    from gateway.orders import view

    with opened(data_dir) as (settings, store), store.read() as connection:
        rows = view.listing(connection, unsure_from_ms(connection, settings.clock))
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        called = f" (called {row['called']})" if row["called"] else ""
        alarm = typer.colors.YELLOW if row["monitoring"].startswith("NOT") else None
        typer.echo(f"{row['order']}{called} version {row['version']}: {row['wearer']}, {row['regime']}")
        typer.secho(f"      {row['monitoring']}; {row['tasks']} tasks; since {row['since']}", fg=alarm)
    if not rows:
        typer.echo("none")


def order_show(order: Order, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show one order: its conditions, what of them is NOT MONITORED, its tasks, and what the visit needs."""
    from gateway.gateway_time import now, unsure_from_ms
    from gateway.orders import view
    from gateway.store import looks

    with opened(data_dir, LookupError) as (settings, store):
        now_ms = now(store, settings.clock).ms
        with store.write() as connection:
            shown = view.one(connection, order, now_ms, unsure_from_ms(connection, settings.clock))
            # a look that can not be recorded is not given
            looks.add(connection, now_ms, logged_in("operator"), f"order show {shown['order']}")
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=False))
        return
    for key, value in shown.items():
        if not isinstance(value, list):
            typer.echo(f"{key:11} {value}")
            continue
        typer.echo(f"{key}:" if value else f"{key}: none")
        for one in value:
            line = one if isinstance(one, str) else " · ".join(str(part) for part in one.values() if part)
            alarm = "NOT MONITORED" in line and key == "conditions"
            typer.secho(f"  - {line}", fg=typer.colors.YELLOW if alarm else None)


def order_tasks(
    order: Annotated[str | None, typer.Option(help="Only of this order.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what is done.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List what people have to see to, the oldest first. Ends with code 1 where anything waits."""
    from gateway.gateway_time import unsure_from_ms
    from gateway.orders import view

    with opened(data_dir, LookupError) as (settings, store), store.read() as connection:
        unsure_ms = unsure_from_ms(connection, settings.clock)
        rows = view.tasks(connection, order, standing=not everything, unsure_ms=unsure_ms)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
    for row in () if as_json else rows:
        done = f" · done {row['done']} by {row['by']}: {row['note'] or ''}" if row["done"] else ""
        typer.echo(f"{row['task']:5} {row['raised']} order {row['order']} ({row['wearer']}) · {row['kind']}")
        typer.echo(f"      {row['sentence']}{done}")
    if not rows and not as_json:
        typer.echo("none")
    if any(row["done"] is None for row in rows):
        raise typer.Exit(1)


def order_done(
    task: Annotated[int, typer.Argument(help="The task's number.")],
    by: Annotated[str, typer.Option(help="Who has seen to it, by name.")],
    note: Annotated[str, typer.Option(help="What was done, or found out.")],
    data_dir: DataDir = None,
) -> None:
    """A task is done. It stands again where a later version of the order says something else of the same thing."""
    from gateway.gateway_time import now
    from gateway.store import intake

    with opened(data_dir, LookupError) as (settings, store):
        now_ms = now(store, settings.clock).ms
        with store.write() as connection:
            if not intake.settle(connection, [task], by, now_ms, note):
                raise LookupError(f"no task {task} stands: see `tagwatch order tasks`")
    typer.echo(f"task {task} is done")


@client_app.command("add")
def client_add(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let an order service send orders. Its credentials are shown now and never again."""
    from gateway.gateway_time import now
    from gateway.orders import clients

    with opened(data_dir, clients.ClientError) as (settings, store):
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

    with opened(data_dir) as (_, store), store.read() as connection:
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

    with opened(data_dir, clients.ClientError) as (settings, store):
        clients.revoke(store, name, now(store, settings.clock).ms)
    typer.echo(f"{name} is revoked")


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
