"""Who can reach the page, and what that takes: nothing listens beyond this machine until TLS and a user exist.

`tagwatch serve`, the page's own process and `tagwatch doctor` go by the same function, `refusal`.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy import Connection, func, select

from gateway.settings import LOOPBACK, Settings, SettingsError
from gateway.store.tables import account


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files that the page shows itself with; ``own``: they are of the gateway's own authority."""

    chain: Path
    key: Path
    own: bool


def certificate(settings: Settings) -> Certificate | None:
    """What the page is served with over TLS; None where it is served without, to this machine alone."""
    if settings.web_certificate:
        folder = settings.data_dir
        return Certificate(folder / settings.web_certificate, folder / settings.web_key, own=False)
    if settings.page_on_this_machine:
        return None
    folder = settings.authority_dir
    return Certificate(folder / "server.pem", folder / "server.key.pem", own=True)


def names(chain: Path) -> tuple[str, ...]:
    """The names and addresses that a certificate stands for. Raises OSError or ValueError."""
    from cryptography import x509  # a page without TLS starts without

    read = x509.load_pem_x509_certificate(chain.read_bytes())
    try:
        found = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(one.value) for one in found)


def users_of(connection: Connection) -> int:
    """How many can sign in on the page."""
    may = account.c.disabled_ms.is_(None) & account.c.password.is_not(None)
    return connection.execute(select(func.count()).select_from(account).where(may)).scalar_one()


def refusal(settings: Settings, users: int) -> str:
    """Why the page can not be served as it is set: key, fact and remedy; "" where it can.

    ``users`` is how many can sign in on the page.
    """
    shown = certificate(settings)
    if shown is None:
        return ""
    if not settings.page_on_this_machine:
        reached = f"web_host: {settings.web_host} can be reached from other machines"
        if not users:
            return (
                f"{reached}, and nobody can sign in: make a user first (`tagwatch user add`), or give 127.0.0.1 and "
                "reach the page through ssh -L"
            )
        if shown.own and settings.server_names[0] in LOOPBACK:
            return (
                f"{reached}, and server_names begins with a name of this machine only: put first what browsers dial, "
                "or give web_certificate and web_key"
            )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(shown.chain, shown.key, lambda: "")
        stands_for = names(shown.chain)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        said = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        return (
            f"{'authority' if shown.own else 'web_certificate and web_key'}: {shown.chain} and {shown.key} can not be "
            f"used for TLS ({said}): give a certificate in PEM and the key that belongs to it, without a password"
        )
    if not stands_for:
        return f"web_certificate: {shown.chain} stands for no name: give one with a subject alternative name"
    return ""


def check(settings: Settings, connection: Connection) -> None:
    """Raises SettingsError where the page can not be served as it is set."""
    problem = refusal(settings, users_of(connection))
    if problem:
        raise SettingsError(problem)


def hosts(settings: Settings) -> tuple[str, ...]:
    """The names under which other machines may ask for the page, as they stand in the Host header.

    Raises OSError or ValueError where the certificate can not be read.
    """
    shown = certificate(settings)
    return () if shown is None else tuple(_in_a_url(name) for name in names(shown.chain))


def url(settings: Settings, port: int) -> str:
    """Where people find the page. A certificate that can not be read has been told of before."""
    shown = certificate(settings)
    name = settings.web_host
    if shown is not None and not settings.page_on_this_machine:
        try:
            name = next((one for one in names(shown.chain) if not one.startswith("*")), name)
        except (OSError, ValueError):
            name = settings.server_names[0]
    return f"{'http' if shown is None else 'https'}://{_in_a_url(name)}:{port}/"


def near(settings: Settings) -> str:
    """The address at which this machine itself reaches the page."""
    if settings.web_host == "localhost":
        return "127.0.0.1"
    address = ip_address(settings.web_host)
    if not address.is_unspecified:
        return settings.web_host
    return "127.0.0.1" if address.version == 4 else "::1"


def _in_a_url(name: str) -> str:
    return f"[{name}]" if ":" in name else name
