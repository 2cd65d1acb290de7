"""The commands about devices in stock: `tagwatch device list`, `show`, `quarantine`, `release`, `retire`, `faulty`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.command_line import AsJson, DataDir, Refused, opened, print_rows

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.store import Store

Device = Annotated[str, typer.Argument(help="The device.")]
By = Annotated[str, typer.Option("--by", help="Who says so, by name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever reads it later; it stays on record.")]
_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]


def register(device_app: typer.Typer) -> None:
    """Add the commands to `tagwatch device`."""
    device_app.command("list")(device_list)
    device_app.command("show")(show)
    device_app.command("quarantine")(quarantine)
    device_app.command("release")(release)
    device_app.command("retire")(retire)
    device_app.command("faulty")(faulty)


def device_list(
    state: Annotated[
        list[str] | None,
        typer.Option(help="'in stock', fitted, quarantined, retired, lost or revoked; may be said twice."),
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="gps_tag, rf_tag, home_unit or alcohol_tag; may be said twice.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the devices: of which kind, where each is, and who wears it."""
    from gateway.stock import StockError
    from gateway.stock.register import listing

    with opened(data_dir, StockError) as (_, store), store.read() as connection:
        rows = listing(connection, state or (), kind or ())
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        print_rows(rows)


def show(device: Device, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """All that is on record of a device: who wore it from when to when, what was done with it, and by whom."""
    from gateway.stock import StockError, history

    with opened(data_dir, StockError) as (_, store), store.read() as connection:
        told = history.show(connection, device)
    if as_json:
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    typer.secho(f"{device}, {told['kind']}: {told['state']}", bold=True)
    typer.echo(f"heard last {told['heard'] or 'never'}; certificate {told['certificate'] or 'none'}")
    for title in ("activations", "installations", "findings", "history"):
        if told[title]:
            typer.secho(f"{title}:", bold=True)
            print_rows(told[title])


def quarantine(device: Device, by: By, reason: Reason, data_dir: DataDir = None) -> None:
    """Nobody is fitted with it from now on. Where it is worn, a task says that it is to be swapped."""
    from gateway.stock import StockError
    from gateway.stock import register as stock

    with opened(data_dir, StockError) as (settings, store):
        under = stock.quarantine(store, device, by, reason, _now_ms(settings, store))
    typer.echo(f"{device} is in quarantine")
    _worn(device, under)


def release(device: Device, by: By, reason: Reason, data_dir: DataDir = None) -> None:
    """It was tested and is good, or was found again: it may be fitted."""
    from gateway.stock import StockError
    from gateway.stock import register as stock
    from gateway.store import stock as book

    with opened(data_dir, StockError) as (settings, store):
        stock.release(store, device, by, reason, _now_ms(settings, store))
        with store.read() as connection:
            lasting = [one for one in book.in_force(book.faults(connection, device)) if one.to_ms is None]
    typer.echo(f"{device} may be fitted")
    for one in lasting:
        typer.secho(
            f"TO BE LOOKED AT: finding {one.id} has no end, so what it says from now on is doubtful, too. If it was "
            f"mended: `tagwatch device faulty {device} --from … --to …`, and then --take-back {one.id}",
            fg=typer.colors.YELLOW,
        )


def retire(
    device: Device,
    by: By,
    reason: Reason,
    lost: Annotated[bool, typer.Option("--lost", help="Nobody knows where it is.")] = False,
    data_dir: DataDir = None,
) -> None:
    """It is used no more, or lost. Its readings and its history stay; its keys are revoked by `device revoke`."""
    from gateway.stock import StockError
    from gateway.stock import register as stock

    with opened(data_dir, StockError) as (settings, store):
        stock.retire(store, device, by, reason, _now_ms(settings, store), lost=lost)
    typer.echo(
        f"{device} is {'on record as lost' if lost else 'retired'}; "
        f"that nothing it says is believed any more: `tagwatch device revoke {device}`"
    )


def faulty(
    device: Device,
    by: By,
    reason: Reason,
    from_: Annotated[
        datetime | None, typer.Option("--from", help="Since when it was faulty, UTC.", formats=_FORMATS)
    ] = None,
    to: Annotated[
        datetime | None,
        typer.Option("--to", help="Until when, UTC; left out: from then on.", formats=_FORMATS),
    ] = None,
    sensor: Annotated[
        str,
        typer.Option(
            help="Only this part: satellites, radio, alcohol, strap, case, motion or power; left out: all."
        ),
    ] = "",
    back: Annotated[
        int | None, typer.Option("--take-back", help="This finding was wrong; nothing else is to be given.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """A device was faulty: flag every alert that it fed in that time, tell whoever was told, and quarantine it.

    Nothing is deleted or withdrawn. Alerts that it has still to feed of that time are flagged, too.
    """
    from gateway.clock import utc_ms
    from gateway.stock import StockError, faults

    if (back is None) == (from_ is None):
        raise Refused("say since when it was faulty with --from, or which finding was wrong with --take-back")
    with opened(data_dir, StockError) as (settings, store):
        now_ms = _now_ms(settings, store)
        if back is not None:
            done = faults.take_back(store, back, of=device, by=by, reason=reason, now_ms=now_ms)
        else:
            assert from_ is not None
            to_ms = None if to is None else utc_ms(to)
            done = faults.find(
                store, device, utc_ms(from_), to_ms, by=by, reason=reason, now_ms=now_ms, sensor=sensor
            )
    if as_json:
        facts = {"finding": done.fault.id, "alerts": done.alerts, "worn_under": done.worn_under}
        typer.echo(json.dumps(facts))
        return
    if back is not None:
        typer.echo(f"finding {back} is taken back; {len(done.alerts)} alerts are doubtful by it no longer")
        return
    numbers = ", ".join(map(str, done.alerts[:20])) + (", …" if len(done.alerts) > 20 else "")
    typer.echo(
        f"finding {done.fault.id}: {len(done.alerts)} alerts are flagged{f': {numbers}' * bool(numbers)}"
    )
    _worn(device, done.worn_under)


def _worn(device: str, under: Sequence[str]) -> None:
    for order_id in under:
        typer.secho(
            f"TO BE LOOKED AT: {device} is in use under order {order_id}: swap it; its readings count until then",
            fg=typer.colors.YELLOW,
        )


def _now_ms(settings: Settings, store: Store) -> int:
    from gateway.commands import present_ms

    return present_ms(store, settings.clock)
