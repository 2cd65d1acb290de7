"""`tagwatch retention`: what the policy deletes, what it has deleted, and what must not be deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.command_line import AsJson, DataDir, logged_in, opened

if TYPE_CHECKING:
    from gateway.policy import Policy
    from gateway.settings import Settings
    from gateway.store import Store

_COPIED_S = 30.0
By = Annotated[str | None, typer.Option("--by", help="Who has it done; left out: who is logged in.")]

retention_app = typer.Typer(
    help="Deletion by policy: what goes, what went and why, and what must stay.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(retention_app, name="retention")


@retention_app.command()
def plan(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say what `run` would delete now, and what stays although its period is over. It changes nothing."""
    from gateway import retention

    with _opened(data_dir) as (settings, store):
        policy = _policy(settings)
        found = retention.plan(store, policy, _now_ms(settings, store), settings.data_dir)
    if as_json:
        typer.echo(json.dumps({"policy": policy.version} | asdict(found), indent=1))
        return
    typer.echo(f"policy {policy.version} ({policy.source})")
    for kind, items in found.items.items():
        typer.echo(f"  {items} rows of {kind} would be deleted: {policy.said(kind)}")
    if not found.items:
        typer.echo("  nothing would be deleted")
    for order_id, needed in found.kept.items():
        typer.echo(f"  order {order_id} stays: {'; '.join(needed)}")


@retention_app.command()
def run(
    by: By = None,
    trust_clock: Annotated[
        bool, typer.Option(help="The clock is right, although no message has come for a week.")
    ] = False,
    rewrite: Annotated[
        bool,
        typer.Option(help="Write the store's files anew: takes their size once more, the gateway waits."),
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Delete what the policy no longer keeps, with proof. May be cut off at any moment. A gateway may run meanwhile."""
    from gateway import replica, retention

    copy_scrubbed = True
    with _opened(data_dir) as (settings, store):
        policy = _policy(settings)
        done = retention.run(
            store,
            policy,
            _now_ms(settings, store),
            by or logged_in("(unknown)"),
            retention.settle_by(settings, store),
            trust_clock=trust_clock,
            rewrite=rewrite,
            data_dir=settings.data_dir,
        )
        if done.proofs and settings.replica_place is not None:
            copy_scrubbed = replica.scrub(store, settings.replica_place, rewrite=rewrite, within_s=_COPIED_S)
    last = done.proofs[-1] if done.proofs else None
    if as_json:
        facts = {
            "run": done.run,
            "items": done.items,
            "bytes": done.bytes,
            "proofs": [proof.id for proof in done.proofs],
            "head": None if last is None else last.hash,
            "unreadable": done.unreadable,
            "scrubbed": done.scrubbed and copy_scrubbed,
        }
        typer.echo(json.dumps(facts, indent=1))
    else:
        told = ", ".join(f"{count} of {kind}" for kind, count in done.items.items()) or "nothing"
        typer.echo(f"deleted: {told} ({done.bytes} bytes)")
        if last is not None:
            typer.echo(f"proofs {done.proofs[0].id} to {last.id}; keep this somewhere else: {last.hash}")
        if done.unreadable:
            typer.secho(
                f"TO BE LOOKED AT: {done.unreadable} envelopes can not be read and were left: `tagwatch check` tells",
                fg=typer.colors.YELLOW,
            )
    if not copy_scrubbed:
        typer.secho(
            "TO BE LOOKED AT: the replica has not taken the deletion over yet: it does so when the gateway runs and it "
            "can be written",
            fg=typer.colors.YELLOW,
            err=True,
        )
    if not done.scrubbed:
        typer.secho(
            "TO BE LOOKED AT: somebody reads the store without end, so its log still holds what was deleted: run again",
            fg=typer.colors.YELLOW,
            err=True,
        )
    if not (done.scrubbed and copy_scrubbed):
        raise typer.Exit(1)


@retention_app.command()
def proofs(
    of: Annotated[
        Path | None,
        typer.Option(help="Only the one that these bytes (a signed envelope) were deleted under."),
    ] = None,
    alert: Annotated[
        int | None, typer.Option(help="Only those of the readings that this alert rests on.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what was deleted, when, by whom and under which policy. Ends with 1 where the chain is not whole."""
    from gateway.clock import utc_text
    from gateway.store import erasures

    steps: list[tuple[bool, bytes]] = []
    with _opened(data_dir) as (_, store), store.read() as connection:
        faults = list(erasures.faults(connection))
        if of is not None:
            item = erasures.proof_of_item(connection, of.read_bytes())
            found, steps = ([], []) if item is None else ([item[0]], item[1])
        elif alert is not None:
            found = erasures.proofs_of_alert(connection, alert)
        else:
            found = list(erasures.proofs(connection))
    rows = [
        asdict(proof) | {"at": utc_text(proof.at_ms), "about": json.loads(proof.about)} for proof in found
    ]
    if as_json:
        told = {"whole": not faults, "faults": [": ".join(fault) for fault in faults], "proofs": rows}
        if of is not None:
            told["path"] = [{"left": left, "hash": other.hex()} for left, other in steps]
        typer.echo(json.dumps(told, indent=1))
    else:
        for proof, row in zip(found, rows, strict=True):
            typer.echo(
                f"{proof.id}  {row['at']}  {proof.items} {proof.kind}, {proof.bytes} bytes, by {proof.by}\n"
                f"    about {proof.about}\n    policy {proof.version}: {proof.policy}\n    hash {proof.hash}"
            )
        if not found:
            typer.echo("nothing was deleted" if of is None else "exactly these bytes were never deleted here")
        for fault in faults:
            typer.secho(": ".join(fault), fg=typer.colors.RED)
    if faults or (of is not None and not found):
        raise typer.Exit(1)


@retention_app.command()
def hold(
    scope: Annotated[str, typer.Argument(help="order, activation, device, alert or everything.")],
    name: Annotated[str, typer.Argument(help="Its id or number; left out for everything.")] = "",
    who: Annotated[str, typer.Option(help="Who demands it: the court, the officer.")] = "",
    why: Annotated[str, typer.Option(help="Why, for whoever reads it later.")] = "",
    until: Annotated[
        datetime | None,
        typer.Option(help="UTC; left out: until it is lifted.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Nothing of this is deleted from now on: a legal hold."""
    from gateway import holding
    from gateway.clock import utc_ms

    with _opened(data_dir) as (settings, store):
        number = holding.place(
            store, scope, name, who, why, _now_ms(settings, store), None if until is None else utc_ms(until)
        )
    typer.echo(f"hold {number}")


@retention_app.command()
def lift(
    number: Annotated[int, typer.Argument(help="The hold's number.")],
    by: By = None,
    data_dir: DataDir = None,
) -> None:
    """End a hold."""
    from gateway import holding

    with _opened(data_dir) as (settings, store):
        holding.lift(store, number, by or logged_in("(unknown)"), _now_ms(settings, store))
    typer.echo(f"hold {number} is lifted")


@retention_app.command()
def holds(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Every hold that ever was: who, why, until when, and who lifted it."""
    from gateway.clock import utc_text
    from gateway.store import erasures

    with _opened(data_dir) as (settings, store):
        with store.read() as connection:
            found = erasures.holds(connection)
        now_ms = _now_ms(settings, store)
    if as_json:
        typer.echo(json.dumps([asdict(one) | {"holds": one.holds(now_ms)} for one in found], indent=1))
        return
    for one in found:
        until = "until it is lifted" if one.until_ms is None else f"until {utc_text(one.until_ms)}"
        if one.lifted_ms is not None:
            until = f"lifted {utc_text(one.lifted_ms)} by {one.lifted_by}"
        typer.echo(f"{one.id}  {one.scope} {one.name}  {one.who}: {one.why}  {until}")
    if not found:
        typer.echo("no holds")


@contextmanager
def _opened(data_dir: Path | None) -> Iterator[tuple[Settings, Store]]:
    from gateway import holding, policy, retention

    with opened(data_dir, policy.PolicyError, retention.RetentionError, holding.HoldError, OSError) as both:
        yield both


def _policy(settings: Settings) -> Policy:
    from gateway.policy import PolicyError, read

    found = read(settings.retention_path)
    if found is None:
        raise PolicyError(
            f"there is no policy, so everything is kept: write {settings.retention_path}, see docs/retention.md"
        )
    return found


def _now_ms(settings: Settings, store: Store) -> int:
    from gateway.commands import present_ms

    return present_ms(store, settings.clock)
