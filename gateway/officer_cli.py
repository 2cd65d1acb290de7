"""`tagwatch fit login` and what else an officer types away from the gateway's own box."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.command_line import DataDir, Refused, settings_of

if TYPE_CHECKING:
    from gateway.fitting.remote_desk import RemoteDesk

TOKEN = "TAGWATCH_TOKEN"
"""In which the environment may hold the officer's token."""


def register(group: typer.Typer) -> None:
    """Add the commands to `tagwatch fit`."""
    group.command("login")(login)
    group.command("logout")(logout)


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
