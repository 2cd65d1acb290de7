"""`tagwatch fit login` and what else an officer types away from the gateway's own box."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from gateway.command_line import AsJson, DataDir, Refused, logged_in, opened, print_rows, settings_of, utc

if TYPE_CHECKING:
    from gateway.fitting import Fitted
    from gateway.fitting.bundle_desk import BundleDesk
    from gateway.fitting.context import Purpose
    from gateway.fitting.desk import Desk
    from gateway.fitting.remote_desk import RemoteDesk

TOKEN = "TAGWATCH_TOKEN"
"""In which the environment may hold the officer's token."""
PASSPHRASE = "TAGWATCH_PASSPHRASE"
"""In which it may hold a bundle's passphrase."""
NOT_FINISHED = "not finished"


def register(group: typer.Typer) -> None:
    """Add the commands to `tagwatch fit`."""
    group.command("login")(login)
    group.command("logout")(logout)
    group.command("bundle")(bundle)
    group.command("bundles")(bundles)
    group.command("finish")(finish)


def login(
    gateway: Annotated[str, typer.Argument(help="The gateway's address: https://name:port.")],
    ca: Annotated[
        Path | None,
        typer.Option(
            help="The gateway's authority/ca.pem, where its page shows a certificate of its own; left out: whom this "
            "computer trusts."
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Have this computer fit tags for a gateway elsewhere. The token is asked for, or read from standard input."""
    from gateway.fitting.officer import Officer
    from gateway.fitting.remote_desk import RemoteDesk
    from gateway.fitting.stops import Stop

    folder = settings_of(data_dir).data_dir
    try:
        trusts = ca.read_text("ascii") if ca is not None else ""
    except (OSError, ValueError) as error:
        raise Refused(f"{ca} can not be read ({error}): give the gateway's authority/ca.pem") from None
    token = os.environ.get(TOKEN) or (
        getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()
    )
    officer = Officer(gateway.rstrip("/"), token.strip(), trusts)
    try:
        with RemoteDesk(officer, folder, tries=1) as desk:
            told = desk.gateway()
            known = Officer(
                officer.url,
                officer.token,
                trusts,
                told["officer"],
                told["full_name"],
                desk.place().authority.hex(),
            )
    except Stop as stop:
        raise Refused(str(stop)) from None
    known.write(folder)
    typer.echo(f"{known.full_name} fits tags for {known.url} from this computer")


def logout(data_dir: DataDir = None) -> None:
    """Forget the gateway and the token."""
    from gateway.fitting.officer import FILE
    from gateway.whole_files import wipe

    path = settings_of(data_dir).data_dir / FILE
    if path.exists():
        wipe(path)
    typer.echo(
        "this computer has no token any more; have the operator revoke it if somebody may have seen it"
    )


def is_officers(folder: Path, gateway: str | None) -> bool:
    """Whether this is an officer's computer, or is to be used as one, rather than the gateway's own box."""
    from gateway.fitting.officer import FILE

    return gateway is not None or (folder / FILE).exists()


def remote_desk(folder: Path, gateway: str | None) -> RemoteDesk:
    """The desk of the gateway that this computer is signed in to. Raises Stop."""
    from gateway.fitting.officer import Officer
    from gateway.fitting.remote_desk import RemoteDesk
    from gateway.fitting.stops import Stop

    officer = Officer.read(folder)
    if gateway is not None and gateway.rstrip("/") != officer.url:
        raise Stop(
            f"this computer is signed in to {officer.url}, not to {gateway}",
            f"type `tagwatch fit login {gateway}`",
        )
    return RemoteDesk(officer, folder)


# ------------------------------------------------------------------------------------------------------- bundles


def bundle(
    orders: Annotated[list[str], typer.Argument(help="The orders that are visited.")],
    device: Annotated[
        list[str] | None,
        typer.Option(help="The number of a device that is taken along; said once for each."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="Of devices that are new; left out: the only kind that the orders need."),
    ] = None,
    spare: Annotated[
        int, typer.Option(help="So many new devices more, numbered by this command; write it on their cases.")
    ] = 0,
    hours: Annotated[int, typer.Option(help="Until then a visit may be begun with it; at most 168.")] = 24,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; left out: bundles/ of the tool's folder.")
    ] = None,
    account: Annotated[
        str | None, typer.Option("--for", help="At the gateway's own box: the user name of the officer.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Fetch what visits need that have no connection: signed, encrypted under a passphrase, for one officer alone."""
    import secrets

    from gateway.fitting import bundle as files
    from gateway.fitting import issuing
    from gateway.fitting.local_desk import LocalDesk
    from gateway.fitting.stops import Stop

    settings = settings_of(data_dir)
    folder, bundle_id = settings.data_dir, secrets.token_hex(8)
    path = folder / "bundles" / f"{bundle_id}.tagwatch" if out is None else out
    try:
        passphrase = _passphrase(twice=True)
        if is_officers(folder, None):
            with remote_desk(folder, None) as desk:
                numbers, private = taken_along(desk, orders, device or [], kind, spare)
                files.write(path, desk.bundle(bundle_id, orders, numbers, hours), private, passphrase)
                desk.wipe(list(private))
        else:
            if account is None:
                raise Stop("whose bundle it is is not told", "type --for and the officer's user name")
            with opened(data_dir) as (settings, store):
                local = LocalDesk(settings, store)
                numbers, private = taken_along(local, orders, device or [], kind, spare)
                made = issuing.issue(local, bundle_id, account, orders, numbers, hours)
                files.write(path, made, private, passphrase)
                local.wipe(list(private))
    except Stop as stop:
        raise Refused(str(stop)) from None
    except OSError as error:
        raise Refused(f"{path} can not be written: {error}") from None
    typer.echo(
        f"bundle {bundle_id} for {', '.join(orders)}, with {', '.join(numbers) or 'no device'}: {path}"
    )
    typer.echo(f"a visit: tagwatch fit {orders[0]} --bundle {path}")


def taken_along(
    desk: Desk, orders: Sequence[str], devices: Sequence[str], kind: str | None, spare: int
) -> tuple[list[str], dict[str, bytes]]:
    """The numbers of the devices in a bundle, and the private keys (DER) of those that are new. Raises Stop."""
    from core.senses import SENSES
    from gateway.devices import KINDS
    from gateway.fitting.stops import Stop

    wanted = {type(one) for order in orders for one in desk.order(order).conditions}
    kinds = [name for name, senses in SENSES.items() if senses & wanted]
    of_new = kind or (kinds[0] if len(kinds) == 1 else "")
    private: dict[str, bytes] = {}
    numbers = list(dict.fromkeys(devices))
    for number in [*numbers, *([""] * spare)]:
        found = desk.device(number) if number else None
        if found is not None and not found.kept:
            continue
        if found is None and of_new not in KINDS:
            raise Stop(
                "of which kind the new device is is not told", f"type --kind, one of {', '.join(KINDS)}"
            )
        if not number:
            number = _free_number(desk, of_new)
            numbers.append(number)
        made = desk.credentials(number) if found is not None else desk.enrol(number, of_new)
        private[number] = made.key_der
    return numbers, private


def _free_number(desk: Desk, kind: str) -> str:
    import secrets

    short = {"gps_tag": "gps", "rf_tag": "rft", "home_unit": "unit", "alcohol_tag": "alc"}[kind]
    while True:
        number = f"{short}{secrets.randbelow(10**6):06d}"
        if desk.device(number) is None:
            return number


def bundles(
    revoke: Annotated[
        str | None,
        typer.Option(
            help="This one is lost: finish no visit with it, and revoke its devices that were never on."
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """At the gateway's own box: list the bundles that were handed out, or revoke one.

    Numbers that came on record for one which expired two weeks ago, and that were never used, are revoked.
    """
    from gateway.fitting import issuing
    from gateway.fitting.local_desk import LocalDesk
    from gateway.fitting.stops import Stop
    from gateway.store import bundles as kept

    with opened(data_dir) as (settings, store):
        if revoke is not None:
            try:
                gone = issuing.revoke(LocalDesk(settings, store), revoke)
            except Stop as stop:
                raise Refused(str(stop)) from None
            typer.echo(f"bundle {revoke} is revoked, and so are {', '.join(gone) or 'none of its devices'}")
            return
        desk = LocalDesk(settings, store)
        now_ms, swept = desk.now_ms(), issuing.sweep(desk)
        with store.read() as connection:
            rows = [
                (one, kept.visits(connection, one.id), issuing.waiting(connection, one))
                for one in kept.every(connection)
            ]
    if swept and not as_json:
        typer.echo(f"revoked, for nobody was ever fitted with them: {', '.join(swept)}")
    print_rows(
        [
            {
                "bundle": one.id,
                "officer": one.account,
                "made": utc(one.issued_ms),
                "good until": utc(one.expires_ms),
                "orders": ", ".join(one.orders),
                "devices": ", ".join(one.devices),
                "used for": ", ".join(sorted(used)),
                "never used": ", ".join(unused),
                "revoked": utc(one.revoked_ms),
                "expired": one.expires_ms <= now_ms,
            }
            for one, used, unused in rows
        ],
        as_json,
    )


def finish(
    orders: Annotated[
        list[str] | None, typer.Argument(help="The orders; left out: every visit that waits here.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Where there is a connection: finish visits that were made without one, or before a release."""
    from gateway.fit_cli import Teller
    from gateway.fitting import Asked, bundle_desk, finish
    from gateway.fitting.journal import Journal
    from gateway.fitting.local_desk import LocalDesk
    from gateway.fitting.stops import Stop
    from gateway.fitting.unfinished import WAITS

    folder = settings_of(data_dir).data_dir
    purposes: tuple[Purpose, ...] = ("remove", "fit")
    waiting = [
        (order, purpose)
        for purpose in purposes
        for order in Journal.waiting(folder, WAITS, purpose)
        if not orders or order in orders
    ]
    # to one that does not wait it is said
    waiting += [(order, "fit") for order in orders or () if order not in {one for one, _ in waiting}]
    wrong = False
    with ExitStack() as stack:
        try:
            desk: Desk
            if is_officers(folder, None):
                remote = stack.enter_context(remote_desk(folder, None))
                desk, by = remote, remote.officer.full_name
            else:
                desk, by = LocalDesk(*stack.enter_context(opened(data_dir))), logged_in("")
            sent = bundle_desk.send_what_waits(desk, folder)
        except Stop as stop:
            raise Refused(str(stop)) from None
        if sent:
            typer.echo(f"{sent} records and tasks were sent")
        if not waiting and not sent:
            typer.echo("nothing waits here")
        for order, purpose in waiting:
            teller = Teller(silent=False, console=Console())
            try:
                done = finish(desk, folder, Asked(order, by), teller, purpose)
            except Stop as stop:
                teller.stopped(stop)
                wrong = True
                continue
            teller.finished(done)
    if wrong:
        raise typer.Exit(1)


def bundle_desk(folder: Path, path: Path) -> BundleDesk:
    """Open a bundle for a visit. Raises Stop."""
    from gateway.fitting import bundle as files
    from gateway.fitting.bundle_desk import BundleDesk
    from gateway.fitting.officer import Officer

    officer = Officer.read(folder)
    files.head_of(path)  # before somebody types a passphrase
    found = files.read(path, _passphrase(), bytes.fromhex(officer.authority), officer.name)
    return BundleDesk(found, folder)


def unfinished_words(done: Fitted) -> str:
    """What an officer has to know of a visit that waits."""
    from gateway.fitting.unfinished import ENDING

    waits = done.steps["waits"]
    if ENDING in waits["waits"]:
        how, bound = "off", "ITS ALERTS GO ON UNTIL THEN"
    else:
        how, bound = "on", "it is bound" if done.activation else "NOBODY IS MONITORED BY IT YET"
    return (
        f"{done.device} is {how}. NOT FINISHED: {' and '.join(waits['waits'])} waits, {bound}. Where there is a "
        f"connection type: tagwatch fit finish. What was done lies in {done.folder}"
    )


def instant_ms(text: str | None) -> int | None:
    """An instant that was typed, UTC ms; without a zone it is UTC."""
    from datetime import datetime

    from gateway.clock import utc_ms

    if text is None:
        return None
    try:
        return utc_ms(datetime.fromisoformat(text))
    except ValueError:
        raise typer.BadParameter(f"--release {text!r} is no time: write 2026-11-25T09:00+00:00") from None


def _passphrase(*, twice: bool = False) -> str:
    given = os.environ.get(PASSPHRASE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    typed = getpass.getpass("Passphrase of the bundle: ")
    if twice and getpass.getpass("Again: ") != typed:
        raise Refused("the two are not the same: type the command again")
    return typed
