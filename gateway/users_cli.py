"""The commands about users: `tagwatch user`."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.command_line import AsJson, DataDir, logged_in, opened, print_rows, utc

if TYPE_CHECKING:
    from gateway.store import Store

app = typer.Typer(help="Users: who may look at alerts, acknowledge them, and act.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The user's name, as signed in with.")]


@app.command("add")
def add(
    name: Annotated[
        str, typer.Argument(help="By which the user signs in: small letters, digits, dots, hyphens.")
    ],
    full_name: Annotated[str, typer.Option("--name", help="By which colleagues know the person.")],
    role: Annotated[
        str, typer.Option(help="operator, practitioner, field_officer, order_service or monitor.")
    ],
    without_password: Annotated[
        bool,
        typer.Option("--no-password", help="It can not sign in on the page: a machine, or `reset` later."),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Add a user. The password is asked for, or read from standard input; it is never an argument.

    With the first user the page asks everybody to sign in.
    """
    from gateway import users

    with _store(data_dir) as store:
        machine = without_password or role in users.MACHINES
        if role not in users.ROLES:
            raise users.UserError(f"{role!r} is no role: give one of {', '.join(users.ROLES)}")
        password = None if machine else _new_password()
        made = users.add(store, name, full_name, role, password, _by())
    may = ", ".join(sorted(users.MAY[made.role]))
    typer.echo(f"{made.full_name} is user {made.name}, {made.role}: may {may}")
    if machine:
        typer.echo(f"`tagwatch user token {name}` makes a token for it")


@app.command("list")
def list_users(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the users, what each may do, and whether they can sign in."""
    from gateway import users
    from gateway.store import accounts

    with _store(data_dir) as store, store.read() as connection:
        known = accounts.every(connection)
    rows = [
        {
            "user": one.name,
            "name": one.full_name,
            "role": one.role,
            "may": ", ".join(sorted(users.MAY.get(one.role, ()))),
            "password": "none" if one.password is None else "for one sign-in" if one.once else "set",
            "added": utc(one.made_ms),
            "disabled": utc(one.disabled_ms),
        }
        for one in known
    ]
    print_rows(rows, as_json)


@app.command("password")
def password(name: Name, data_dir: DataDir = None) -> None:
    """Give a user another password, asked for or read from standard input; they are signed out everywhere."""
    from gateway import users

    with _store(data_dir) as store:
        ended = users.set_password(store, name, _new_password(), _by())
    typer.echo(f"{name} has another password; {ended} sessions ended")


@app.command("reset")
def reset(name: Name, data_dir: DataDir = None) -> None:
    """Print a password for one sign-in within a day; there the user chooses their own. All sessions end."""
    from gateway import users

    with _store(data_dir) as store:
        once = users.reset(store, name, _by())
    typer.echo(once)


@app.command("disable")
def disable(name: Name, data_dir: DataDir = None) -> None:
    """Keep a user out, at once: sessions end, tokens are revoked. What they did stays under their name."""
    from gateway import users

    with _store(data_dir) as store:
        ended = users.disable(store, name, _by())
    typer.echo(f"{name} is disabled; {ended} sessions and tokens ended")


@app.command("enable")
def enable(name: Name, data_dir: DataDir = None) -> None:
    """Let a disabled user in again, with the password of before."""
    from gateway import users

    with _store(data_dir) as store:
        users.enable(store, name, _by())
    typer.echo(f"{name} may sign in again; tokens are to be made anew")


@app.command("sessions")
def sessions(
    name: Annotated[str | None, typer.Argument(help="Of this user only.")] = None,
    end: Annotated[bool, typer.Option("--end", help="Sign that user out everywhere.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List who is and was signed in in the last 30 days, from where and when; or end a user's sessions."""
    from gateway import users
    from gateway.store import accounts

    with _store(data_dir) as store:
        if end:
            if name is None:
                raise users.UserError("say whose sessions are to end")
            typer.echo(f"{users.end_sessions(store, name, _by())} sessions ended")
            return
        with store.read() as connection:
            known = accounts.sessions(connection, name)
    rows = [
        {
            "user": one.account,
            "from": one.address,
            "signed_in": utc(one.made_ms),
            "last_seen": utc(one.seen_ms),
            "ended": utc(one.ended_ms),
            "why": one.why,
        }
        for one in known
    ]
    print_rows(rows, as_json)


@app.command("token")
def token(
    name: Name,
    purpose: Annotated[str, typer.Option("--for", help="What it is for, so that somebody knows it again.")],
    days: Annotated[float, typer.Option(help="How long it is good for.")] = 90,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a token with which a machine acts as this user (`Authorization: Bearer …`). It is shown this once."""
    from gateway import users

    with _store(data_dir) as store:
        shown, made = users.issue_token(store, name, purpose, days, _by())
    if as_json:
        typer.echo(json.dumps({"token": shown, "id": made.id, "expires": utc(made.expires_ms)}))
        return
    typer.echo(shown)
    typer.echo(f"good until {utc(made.expires_ms)}; `tagwatch user revoke {made.id}` ends it", err=True)


@app.command("tokens")
def tokens(
    name: Annotated[str | None, typer.Argument(help="Of this user only.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List tokens: whose, what for, until when, and when last used. The tokens themselves are kept nowhere."""
    from gateway.store import accounts

    with _store(data_dir) as store, store.read() as connection:
        known = accounts.tokens(connection, name)
    rows = [
        {
            "id": one.id,
            "user": one.account,
            "for": one.purpose,
            "made": utc(one.made_ms),
            "expires": utc(one.expires_ms),
            "used": utc(one.used_ms),
            "revoked": utc(one.revoked_ms),
        }
        for one in known
    ]
    print_rows(rows, as_json)


@app.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(help="The token's id, as `tokens` lists it.")],
    data_dir: DataDir = None,
) -> None:
    """Believe a token no longer, at once."""
    from gateway import users

    with _store(data_dir) as store:
        users.revoke_token(store, token_id, _by())
    typer.echo(f"token {token_id} is revoked")


@contextmanager
def _store(data_dir: Path | None) -> Iterator[Store]:
    from gateway.users import UserError

    with opened(data_dir, UserError) as (_, store):
        yield store


def _new_password() -> str:
    """Asked for twice on a terminal; else the first line of standard input."""
    from gateway.users import UserError

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("The same again: "):
        raise UserError("the two are not the same")
    return first


def _by() -> str:
    """Who types, for the log of looks."""
    name = logged_in("")
    return f"command: {name}" if name else "command"
