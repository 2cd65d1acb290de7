"""The commands that change a device's key: `tagwatch device rekey` and what belongs to it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from gateway.command_line import AsJson, DataDir, Refused, logged_in, opened, refusing, settings_of


def register(device_app: typer.Typer, keys_app: typer.Typer) -> None:
    """Add the commands to `tagwatch device` and `tagwatch keys`."""
    keys_app.command("rotate-authority")(rotate_authority)
    device_app.command("rekey")(rekey)
    device_app.command("rekeyed")(rekeyed)
    device_app.command("keys")(keys)
    device_app.command("shred")(shred)
    device_app.command("renew")(renew)
    device_app.command("renewed")(renewed)


def rekey(
    device: Annotated[list[str] | None, typer.Argument(help="One or more devices.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every device that is not revoked.")] = False,
    console: Annotated[
        bool, typer.Option("--console", help="Not by air: write what it is provisioned with at its console.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="It keeps its key: only where it was to be provisioned.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Give devices new MAC keys, told them by air under the old ones; no reading is lost or refused meanwhile.

    A backup that is older does not know the new keys: make one when `tagwatch device keys` is empty.
    """
    from gateway import commands, rotation
    from gateway.authority import Authority
    from gateway.devices import DeviceError
    from gateway.register import WITHOUT_LINK
    from gateway.seal import SealError
    from gateway.store import devices

    if bool(device) == every:
        raise Refused("name devices, or give --all")
    with opened(data_dir, DeviceError, SealError, OSError) as (settings, store):
        named = list(device or ())
        if every:
            with store.read() as connection:
                named = [
                    one.id
                    for one in devices.every(connection)
                    if one.revoked_at_ms is None and (console or one.kind != WITHOUT_LINK)
                ]
        authority = Authority.of(settings)
        for one in named:
            now_ms = commands.present_ms(store, settings.clock)
            if cancel:
                rotation.cancel(store, one, now_ms)
                typer.echo(f"{one} keeps its key")
                continue
            done = rotation.prepare(
                store, authority, one, settings=settings, over_air=not console, now_ms=now_ms
            )
            if done.folder is None:
                typer.echo(f"{one}: key {done.number} is told to it when it is there")
            else:
                typer.echo(f"{one}: key {done.number} lies in {done.folder / 'config.json'}: provision it")


def rekeyed(
    device: Annotated[str, typer.Argument(help="An RF tag.")],
    data_dir: DataDir = None,
) -> None:
    """An RF tag has been provisioned with its new key; its home units are told. Others tell that by themselves."""
    from gateway import commands, rotation
    from gateway.authority import Authority
    from gateway.devices import DeviceError, forget_credentials
    from gateway.seal import SealError

    with opened(data_dir, DeviceError, SealError, OSError) as (settings, store):
        now_ms = commands.present_ms(store, settings.clock)
        rotation.adopted_at_console(store, Authority.of(settings), device, now_ms)
        forget_credentials(settings, device)
    typer.echo(f"{device} has its new key; what it was provisioned with is wiped, its home units are told")


def keys(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the devices that are to change their key and have not yet."""
    import json

    from gateway import rotation

    with opened(data_dir, OSError) as (_, store):
        rows = rotation.listing(store)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(f"{row['device']}: key {row['number']}, made {row['made']}, by {row['by']}")
    if not rows:
        typer.echo("every device has the key that it is to have")


def shred(
    device: Annotated[list[str] | None, typer.Argument(help="One or more devices.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All keys that may go, of whatever device.")] = False,
    by: Annotated[str, typer.Option(help="Who has it done; left out: who is logged in.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Shred keys under which nothing is kept any more, with proof: retired ones, and those of revoked devices."""
    from gateway import commands, replica, shredding
    from gateway.authority import Authority
    from gateway.seal import SealError

    if bool(device) == every:
        raise Refused("name devices, or give --all")
    left = False
    with opened(data_dir, shredding.ShredError, SealError, OSError) as (settings, store):
        vault = Authority.of(settings).vault
        for one in shredding.may_go(store) if every else device or ():
            now_ms = commands.present_ms(store, settings.clock)
            try:
                done = shredding.shred(
                    store, vault, one, settings=settings, by=by or logged_in("operator"), now_ms=now_ms
                )
            except shredding.ShredError as error:
                if not every:
                    raise
                typer.echo(f"{one}: kept. {error}")
                continue
            numbers = ", ".join(str(number) for number in done.numbers)
            typer.echo(f"{one}: key {numbers} is shredded, proof {done.proof.id} ({done.proof.hash})")
            left = left or not done.scrubbed
        if settings.replica_place is not None:
            left = not replica.scrub(store, settings.replica_place, rewrite=False, within_s=60) or left
    if left:
        raise Refused("freed places of the store or its replica may hold keys yet: do it again")


def renew(
    device: Annotated[list[str], typer.Argument(help="One or more devices.")],
    until: Annotated[
        datetime | None,
        typer.Option(
            help="UTC; the old certificate ends then even if the new one was not shown yet.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"],
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make new certificates, to be provisioned at the consoles. The old ones are good until those are shown."""
    from gateway import renewal
    from gateway.authority import Authority
    from gateway.clock import utc_ms
    from gateway.devices import DeviceError
    from gateway.seal import SealError

    with opened(data_dir, DeviceError, SealError, OSError) as (settings, store):
        authority = Authority.of(settings)
        for one in device:
            until_ms = None if until is None else utc_ms(until)
            done = renewal.renew(store, authority, one, settings=settings, until_ms=until_ms)
            typer.echo(f"{one}: put {', '.join(done.files)} of {done.folder} and provision them together")


def renewed(
    device: Annotated[str, typer.Argument(help="The device.")],
    data_dir: DataDir = None,
) -> None:
    """A device has its new certificate: the old one ends. The embedded broker sees that itself, Mosquitto does not."""
    from gateway import mosquitto, renewal
    from gateway.authority import Authority
    from gateway.devices import DeviceError, forget_credentials
    from gateway.seal import SealError

    with opened(data_dir, DeviceError, SealError, OSError) as (settings, store):
        if not renewal.adopt(store, device):
            raise DeviceError(f"{device} has no certificate to come: it has shown it, or there was none")
        problems = [] if settings.embedded else mosquitto.read_again(settings, Authority.of(settings), store)
        forget_credentials(settings, device)
    typer.echo(f"{device} is let in with its new certificate only; what it was provisioned with is wiped")
    if problems:
        raise Refused("; ".join(problems))


def rotate_authority(
    finish: Annotated[
        bool, typer.Option("--finish", help="The second step: the present authority is trusted no more.")
    ] = False,
    leave: Annotated[
        bool, typer.Option("--leave-behind", help="Even if some devices can not connect from then on.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Change the gateway's certificate authority: first both are trusted, with --finish only the new one.

    Stop the gateway for it; tags keep their readings. Between the two steps every device is renewed (`device renew`).
    """
    from gateway import keys, renewal, restore
    from gateway.authority import Authority
    from gateway.backup import BackupError
    from gateway.seal import SealError
    from gateway.store import Store, StoreError

    settings = settings_of(data_dir)
    with refusing(StoreError, SealError, BackupError, OSError), restore.alone(settings), keys.held(settings):
        authority = Authority.of(settings)
        if not finish:
            authority.begin_change()
        else:
            if not authority.changes:
                raise SealError("no change of the authority was begun: leave out --finish")
            store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
            try:
                left = renewal.not_renewed(store, authority)
            finally:
                store.close()
            if left and not leave:
                raise SealError(
                    f"{len(left)} devices know the present authority only ({', '.join(left[:10])} …): renew or "
                    "revoke them, or say --leave-behind"
                )
            authority.end_change(settings.server_names)
    typer.echo(
        "the new authority is the only one; start the gateway"
        if finish
        else "both authorities are trusted from the next start on; renew every device, then say --finish"
    )
    if settings.embedded:
        return
    typer.echo("the outside broker needs its files anew: tagwatch broker config mosquitto")
