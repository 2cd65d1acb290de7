"""The command ``tagwatch``: what an operator types. Rooms that come after the gateway add theirs as entry points."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from gateway import (
    completion_cli,
    fit_cli,
    keys_cli,
    operation_cli,
    order_life_cli,
    orders_cli,
    retention_cli,
    rotation_cli,
    stock_cli,
    users_cli,
    visits_cli,
    zones_cli,
)
from gateway.command_line import (
    AsJson,
    By,
    DataDir,
    Reason,
    Refused,
    logged_in,
    print_rows,
    said_by_whom_and_why,
    settings_of,
    store_of,
    utc,
)

if TYPE_CHECKING:
    pass

app = typer.Typer(
    name="tagwatch",
    help="Electronic monitoring at the edge: tags, gateway, alerts that can be explained.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
device_app = typer.Typer(
    help="Devices: in stock, their keys and certificates, what was found faulty.", no_args_is_help=True
)
order_app = typer.Typer(help="Orders: what a court imposed, and on whom.", no_args_is_help=True)
broker_app = typer.Typer(help="A broker that is not ours: what it is configured with.", no_args_is_help=True)
app.add_typer(broker_app, name="broker")
app.add_typer(device_app, name="device")
app.add_typer(order_app, name="order")
orders_cli.register(order_app)
order_life_cli.register(order_app)
operation_cli.register(app)
retention_cli.register(app)
zones_cli.register(app)
completion_cli.register(order_app, zones_cli.zone_app)
fit_cli.register(app)
visits_cli.register(app)
app.add_typer(keys_cli.app, name="keys")
rotation_cli.register(device_app, keys_cli.app)
stock_cli.register(device_app)
app.add_typer(users_cli.app, name="user")
alert_app = typer.Typer(help="One alert: who has taken notice of it.", no_args_is_help=True)
delivery_app = typer.Typer(help="Telling people of alerts: paths, and what waits.", no_args_is_help=True)
replica_app = typer.Typer(help="The second store, which tags wait for.", no_args_is_help=True)
app.add_typer(replica_app, name="replica")
app.add_typer(alert_app, name="alert")
app.add_typer(delivery_app, name="delivery")


@app.command()
def serve(
    data_dir: DataDir = None,
    broker: Annotated[
        str | None, typer.Option(help="'embedded', mqtt://host:port or mqtts://host:port.")
    ] = None,
    mqtt_port: Annotated[int | None, typer.Option(help="Port of the embedded broker; 0 picks one.")] = None,
    web_port: Annotated[int | None, typer.Option(help="Port of the page; 0 picks one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say what runs as one JSON line.")] = False,
) -> None:
    """Run the gateway: broker, ingest and page, each supervised. Ends cleanly on Ctrl-C or SIGTERM."""
    from gateway import service

    def say(running: Mapping[str, object]) -> None:
        typer.echo(f"Readings are received at {running['mqtt_host']}:{running['mqtt_port']}")
        typer.echo(
            f"Alerts are shown on {running.get('web_url', 'no page: it is switched off')}   (Ctrl-C ends)"
        )

    settings = settings_of(data_dir, broker=broker, mqtt_port=mqtt_port, web_port=web_port)
    raise typer.Exit(service.serve(settings, tell=service.print_json if as_json else say))


@device_app.command("add")
def device_add(
    device: Annotated[str, typer.Argument(help="4 to 16 small letters and digits.")],
    kind: Annotated[str, typer.Option(help="gps_tag, rf_tag, home_unit or alcohol_tag.")] = "gps_tag",
    data_dir: DataDir = None,
) -> None:
    """Add a device: a random key and a certificate of the gateway's own authority."""
    from gateway.authority import Authority
    from gateway.devices import DeviceError, add_device
    from gateway.seal import SealError

    settings = settings_of(data_dir)
    with store_of(settings, DeviceError, SealError) as store:
        authority = Authority.of(settings)
        add_device(store, authority, device, settings=settings, kind=kind)
    typer.echo(f"{device} added; what it is provisioned with lies in {settings.devices_dir / device}")


@device_app.command("revoke")
def device_revoke(
    device: Annotated[str, typer.Argument(help="The device.")],
    data_dir: DataDir = None,
) -> None:
    """Believe nothing of a device any more, end its connection, and keep it out. This can not be undone."""
    from gateway import mosquitto
    from gateway.authority import Authority
    from gateway.devices import DeviceError, revoke_device
    from gateway.seal import SealError

    settings = settings_of(data_dir)
    with store_of(settings, DeviceError, SealError, mosquitto.MosquittoError) as store:
        revoke_device(store, device, settings=settings)
        typer.echo(f"{device} is revoked")
        if not settings.embedded:
            authority = Authority.of(settings)
            mosquitto.cut_off(settings, authority, store, device)


@device_app.command("provisioned")
def device_provisioned(
    device: Annotated[list[str], typer.Argument(help="One or more devices.")],
    data_dir: DataDir = None,
) -> None:
    """They have got what they are provisioned with: wipe it from the devices folder, where it lies open."""
    from gateway.devices import forget_credentials

    settings = settings_of(data_dir)
    try:
        for one in device:
            gone = forget_credentials(settings, one)
            typer.echo(f"{one}: {'wiped' if gone else 'nothing lies there'}")
    except OSError as error:
        raise Refused(error) from None


@broker_app.command("config")
def broker_config(
    which: Annotated[str, typer.Argument(help="mosquitto.")],
    installed_at: Annotated[
        Path | None,
        typer.Option(help="Where it will lie on the broker's machine; left out: where it is written."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write all that an outside broker is configured with, and how it is installed."""
    from gateway import mosquitto
    from gateway.authority import Authority
    from gateway.seal import SealError

    settings = settings_of(data_dir)
    if which != "mosquitto":
        raise Refused(f"{which!r} is no broker that is known here: write mosquitto")
    with store_of(settings, SealError) as store:
        authority = Authority.of(settings)
        folder = settings.mosquitto_dir.resolve()
        mosquitto.write(settings, authority, store, folder, installed_at or folder)
    typer.echo(f"{folder} holds what Mosquitto needs; how it is installed stands in {folder / 'README.md'}")


Instant = Annotated[
    datetime | None, typer.Option(help="When, UTC; default now.", formats=["%Y-%m-%dT%H:%M:%SZ"])
]


@device_app.command("install")
def device_install(
    unit: Annotated[str, typer.Argument(help="The home unit's device id.")],
    activation: Annotated[str, typer.Option(help="For whom it listens: DEVICE-N, as `order add` told it.")],
    address: Annotated[
        str | None, typer.Option(help="Name of the address in the order; not needed where there is one.")
    ] = None,
    at: Instant = None,
    data_dir: DataDir = None,
) -> None:
    """A home unit was installed at an address: from now on what it hears of the wearer's tag counts."""
    from gateway.installations import install
    from gateway.orders import OrderRefused

    with store_of(settings_of(data_dir), OrderRefused) as store:
        made = install(store, unit, activation, address, at)
    typer.echo(f"{unit} listens for {activation} at address {made.place + 1} of the order")


@device_app.command("uninstall")
def device_uninstall(
    unit: Annotated[str, typer.Argument(help="The home unit's device id.")],
    activation: Annotated[str | None, typer.Option(help="Only for this wearer; default for all.")] = None,
    at: Instant = None,
    data_dir: DataDir = None,
) -> None:
    """A home unit was taken away: what it hears from now on counts for nobody."""
    from gateway.installations import uninstall
    from gateway.orders import OrderRefused

    with store_of(settings_of(data_dir), OrderRefused) as store:
        gone = uninstall(store, unit, activation, at)
    for one in gone:
        typer.echo(f"{unit} listens for {one.activation} no longer")


@device_app.command("command")
def device_command(
    device: Annotated[str, typer.Argument(help="The device.")],
    name: Annotated[
        str, typer.Argument(help="settings, pursuit, locate, vibrate, baseline, hear or unhear.")
    ],
    minutes: Annotated[
        int | None, typer.Option(help="pursuit: sample and upload fast for so long; 0 ends it.")
    ] = None,
    pattern: Annotated[int | None, typer.Option(help="vibrate: 1 long, 2 two short, 3 both.")] = None,
    times: Annotated[int | None, typer.Option(help="vibrate: how often.")] = None,
    sample_s: Annotated[int | None, typer.Option(help="settings: sampling interval.")] = None,
    upload_s: Annotated[int | None, typer.Option(help="settings: how long a reading waits.")] = None,
    pursuit_s: Annotated[int | None, typer.Option(help="settings: sampling interval in pursuit.")] = None,
    at_once: Annotated[
        list[str] | None,
        typer.Option(
            help="settings: upload at once then, FROM/UNTIL, e.g. 2026-12-01T19:00:00Z/2026-12-02T07:00:00Z."
        ),
    ] = None,
    near: Annotated[
        list[str] | None, typer.Option(help="settings: upload at once there, LATITUDE,LONGITUDE,RADIUS_M.")
    ] = None,
    provisioned: Annotated[
        list[str] | None, typer.Option(help="settings: back to what it was provisioned with, e.g. sample_s.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="hear, unhear: the RF tag, by its device id.")] = None,
    expires_minutes: Annotated[int | None, typer.Option(help="How long it is said.")] = None,
    given_by: Annotated[
        str | None, typer.Option("--by", help="Who commands it; left out: who is logged in.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Command something of a device. It is said until the device acknowledges it, or it has expired."""
    from gateway import commands

    given = {
        "minutes": minutes,
        "pattern": pattern,
        "times": times,
        "sample_s": sample_s,
        "upload_s": upload_s,
        "pursuit_s": pursuit_s,
        "tag": tag,
    }
    arguments: dict[str, object] = {key: value for key, value in given.items() if value is not None}
    settings = settings_of(data_dir)
    with store_of(settings, commands.CommandError) as store:
        if at_once:
            arguments["at_once_times"] = commands.intervals(at_once)
        if near:
            arguments["at_once_places"] = commands.circles(near)
        arguments |= dict.fromkeys(provisioned or ())
        n = commands.queue(
            store,
            device,
            name,
            arguments,
            now_ms=commands.present_ms(store, settings.clock),
            expires_ms=None if expires_minutes is None else expires_minutes * 60_000,
            given_by=logged_in("") if given_by is None else given_by,
        )
    if as_json:
        typer.echo(json.dumps({"device": device, "n": n, "name": name}))
    else:
        typer.echo(
            f"command {n} to {device}: {name}; `tagwatch device commands {device}` tells what came of it"
        )


@device_app.command("commands")
def device_commands(
    device: Annotated[str, typer.Argument(help="The device.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List what was commanded of a device, newest first, and what came of it."""
    from gateway import commands

    settings = settings_of(data_dir)
    with store_of(settings, commands.CommandError) as store:
        rows = commands.listing(store, device, commands.present_ms(store, settings.clock))
    print_rows(rows, as_json)


@order_app.command("add")
def order_add(
    file: Annotated[Path, typer.Argument(help="The typed order, JSON.")],
    by: By,
    reason: Reason,
    device: Annotated[str | None, typer.Option(help="Fit this device to the wearer of the order.")] = None,
    fitted: Annotated[
        datetime | None,
        typer.Option(help="When it was fitted, UTC; default now.", formats=["%Y-%m-%dT%H:%M:%SZ"]),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add an order, or a new version of one, with who and why; with --device also the activation."""
    from core.law import check_order
    from core.rules import DEFAULT_RULES
    from gateway.orders import OrderRefused, activate, add_order, beyond, left_out

    said_by_whom_and_why(by, reason)
    settings = settings_of(data_dir)
    with store_of(settings, OSError, json.JSONDecodeError, OrderRefused) as store:
        document = json.loads(file.read_text("utf-8"))
        order = add_order(store, document, by=by, reason=reason, clock=settings.clock)
        typer.echo(
            f"order {order.order_id} version {order.version}: {len(order.conditions)} conditions monitored"
        )
        for problem in check_order(order, DEFAULT_RULES.timezone):
            typer.secho(f"TO BE LOOKED AT: {problem}", fg=typer.colors.YELLOW)
        for one in left_out(store, order):
            typer.secho(
                f"TO BE LOOKED AT: this version leaves out what was recorded before ({one.kind}: {one.reason}), which "
                "therefore does not hold any more. Give the whole list, or take it back by `tagwatch order take-back`.",
                fg=typer.colors.YELLOW,
            )
        for unmonitored in order.unmonitored:
            typer.secho(f"NOT MONITORED: {unmonitored}", fg=typer.colors.YELLOW)
        if device:
            activation_id = activate(store, device, order.order_id, fitted, by=logged_in("operator"))
            typer.echo(f"activation {activation_id}")
            for condition in beyond(store, activation_id):
                typer.secho(
                    f"NOT MONITORED by {device}: condition {condition.id!r}, which it can not tell of: "
                    "fit a device that can",
                    fg=typer.colors.YELLOW,
                )


@app.command()
def alerts(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the violation alerts, newest first. What people loosely call a breach alert is one of these."""
    from gateway.store import alerts as book

    with store_of(settings_of(data_dir)) as store, store.read() as connection:
        rows = book.listing(connection)
    if as_json:
        print_rows(rows, as_json=True)
    else:
        print_rows(
            [
                {
                    **{key: row[key] for key in ("number", "state", "rule", "device", "start")},
                    "evidence": "DOUBTFUL" if row.get("doubts") else "",
                    "excused": "yes"
                    if {"excused", "authorised_absence"} & row.get("figures", {}).keys()
                    else "",
                    "sentence": row["sentence"],
                }
                for row in rows
            ]
        )


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new file.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write store, sealed keys and settings to one file, while the gateway runs. Keep the master key apart from it."""
    from gateway import backup as backups

    try:
        made = backups.backup(settings_of(data_dir), file)
    except backups.BackupError as error:
        raise Refused(error) from None
    if as_json:
        typer.echo(made.to_bytes().decode(), nl=False)
        return
    typer.echo(
        f"{file}: {made.counts['envelope']} envelopes, {made.counts['alert']} alerts, {len(made.files)} files"
    )
    typer.echo(f"not in it: {', '.join(made.left_out) or 'nothing'}")
    if made.master:
        typer.echo(
            f"its keys can be opened with master key {made.master} only: keep a copy of it somewhere else"
        )


@app.command()
def restore(
    file: Annotated[Path | None, typer.Argument(help="A file that `tagwatch backup` has written.")] = None,
    master_key: Annotated[
        Path | None,
        typer.Option(help="The master key that belongs to the backup; not needed where the box has it."),
    ] = None,
    from_replica: Annotated[
        bool, typer.Option("--from-replica", help="What the second store holds, instead of a backup.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup, or the replica, in the place of what is there, which is kept. The gateway must not run."""
    from gateway import restore as restoring
    from gateway.backup import BackupError

    if (file is None) != from_replica:
        raise Refused("give the file of a backup, or --from-replica")
    try:
        done = restoring.restore(settings_of(data_dir), file, master_key)
    except BackupError as error:
        raise Refused(error) from None
    if as_json:
        facts = {
            "generation": done.generation,
            "kept": done.kept,
            "unknown": done.unknown,
            "unread": done.unread,
            "missing": done.missing,
        }
        typer.echo(json.dumps(facts | {"made_at": done.manifest.made_at}))
        return
    what = "the replica held" if from_replica else "was backed up"
    typer.echo(f"restored what {what} at {done.manifest.made_at}, as generation {done.generation}")
    if done.kept:
        typer.echo(f"the store that was there is kept as {done.kept}")
    if done.unread:
        typer.secho(
            f"TO BE LOOKED AT: the store that was there can not be read ({done.unread}): "
            "revoke again whoever was revoked since the backup",
            fg=typer.colors.YELLOW,
        )
    if done.missing:
        typer.secho(
            f"TO BE LOOKED AT: {done.missing} files that came with orders are not here, nor in what was restored: "
            "copy the folder attachments from the box that is gone, or from a backup, or have them sent again",
            fg=typer.colors.YELLOW,
        )
    for name in done.unknown:
        typer.secho(
            f"TO BE LOOKED AT: {name} was added after the backup and is not known now: "
            "add it under another id and provision it anew",
            fg=typer.colors.YELLOW,
        )


@replica_app.command("begin")
def replica_begin(data_dir: DataDir = None) -> None:
    """Begin a new copy in a new, empty place; the gateway may run. Without this an empty replica is an error."""
    from gateway import replica

    settings = settings_of(data_dir)
    if settings.replica_place is None:
        raise Refused("no replica is set: see commit_after and replica in `tagwatch settings`")
    with store_of(settings) as store:
        replica.begin_anew(store)
    typer.echo(f"{replica.shown(settings.replica_place)} is filled anew, if it is empty")


@app.command()
def check(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Look through the whole store: pages, references, every MAC, every number. Exit code 1: it is damaged."""
    from rich.progress import track

    from gateway.check import check as look_through
    from gateway.seal import SealError, Vault

    settings = settings_of(data_dir)
    console = Console(stderr=True)
    with store_of(settings, SealError, code=2) as store:
        found = look_through(
            store,
            Vault.open(settings.master_key_path),
            lambda names: track(names, "looking through", console=console, transient=True),
        )
    if as_json:
        typer.echo(
            json.dumps(
                {"sound": not found.faults, "looked_at": found.looked_at, "faults": found.faults}, indent=1
            )
        )
    else:
        for fault in found.faults:
            typer.echo(fault)
        looked_at = ", ".join(f"{count} {name}" for name, count in found.looked_at.items())
        typer.echo(f"{len(found.faults) or 'no'} faults in {looked_at}")
    raise typer.Exit(bool(found.faults))


@alert_app.command("ack")
def alert_ack(
    number: Annotated[int, typer.Argument(help="The alert's number.")],
    person: Annotated[str, typer.Option("--by", help="Name of the person who takes notice of it.")],
    data_dir: DataDir = None,
) -> None:
    """Acknowledge an alert as it stands: nobody else on the rota is told of it any more."""
    from gateway.commands import present_ms
    from gateway.delivery.notice import AcknowledgementError, acknowledge

    settings = settings_of(data_dir)
    with store_of(settings, AcknowledgementError) as store:
        revision = acknowledge(store, number, person, present_ms(store, settings.clock))
    typer.echo(f"alert {number} is acknowledged up to revision {revision}")


@alert_app.command("told")
def alert_told(
    number: Annotated[int, typer.Argument(help="The alert's number.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Who was told of an alert, when and over which path, and who has acknowledged it."""
    from gateway.store import outbox

    with store_of(settings_of(data_dir)) as store, store.read() as connection:
        told = outbox.of_alert(connection, number)
        known = outbox.acknowledgements(connection, number)
    rows: list[dict[str, object]] = [
        {
            "revision": one.revision,
            "who": one.contact,
            "what": one.outcome or "waits",
            "at": utc(one.done_ms or one.made_ms),
            "route": one.route,
            "round": one.round,
        }
        for one in told
    ]
    rows += [
        {
            "revision": one.revision,
            "who": one.person,
            "what": "acknowledged" + (f": {one.note}" if one.note else ""),
            "at": utc(one.at_ms),
            "route": "",
            "round": "",
        }
        for one in known
    ]
    print_rows(rows, as_json)


@delivery_app.command("test")
def delivery_test(
    to: Annotated[str | None, typer.Option(help="Only this contact of routes.toml.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send a test message over every path of routes.toml. Ends with code 1 where one was not taken."""
    from dataclasses import asdict

    from gateway.delivery import routes, trial

    settings = settings_of(data_dir)
    try:
        tried = trial.try_all(routes.read(settings.routes_path), to)
    except routes.RoutesError as error:
        raise Refused(error) from None
    except KeyError:
        raise Refused(f"routes.toml has no contact {to!r}") from None
    rows = [asdict(one) | {"error": one.error or ("" if not as_json else None)} for one in tried]
    print_rows(rows, as_json)
    if any(one.error for one in tried):
        raise typer.Exit(1)


@delivery_app.command("status")
def delivery_status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """What waits to be told, what failed and why, since when, and the remedy. Ends with code 1 where there is any."""
    from dataclasses import asdict

    from gateway.commands import present_ms
    from gateway.delivery import routes, status

    settings = settings_of(data_dir)
    try:
        known = routes.read(settings.routes_path)
    except routes.RoutesError as error:
        raise Refused(error) from None
    with store_of(settings) as store:
        found = status.findings(store, known, present_ms(store, settings.clock))
    if as_json:
        print_rows([asdict(one) for one in found], as_json=True)
    elif not found:
        typer.echo("everybody has been told, and everything is acknowledged")
    for one in [] if as_json else found:
        typer.secho(f"{one.what}{f', since {one.since}' if one.since else ''}", bold=True)
        typer.echo(f"  why: {one.why}\n  remedy: {one.remedy}")
    if found:
        raise typer.Exit(1)


def main() -> None:
    """Entry point of the command."""
    for entry in entry_points(group="tagwatch.commands"):
        entry.load()(app)
    app()
